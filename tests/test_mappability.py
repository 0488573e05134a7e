"""Mappability against counting words by brute force, on small random genomes with planted repeats."""

from collections import Counter

import numpy as np
import pytest
from cisgrammar import mappability
from cisgrammar.log import InputError
from cisgrammar.mappability import find_unique, measure_mappability, pack_genome, plan_passes

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def opposite(sequence):
    return sequence.translate(COMPLEMENT)[::-1]


def lengths_of(genome):
    return {chrom: len(sequence) for chrom, sequence in genome.items()}


def brute_force(genome, k):
    """Dict of chromosome to uint8 array (bases,), 1 in the middle of each k-mer that occurs once."""
    starts = {
        (chrom, i): sequence[i : i + k].upper()
        for chrom, sequence in genome.items()
        for i in range(len(sequence) - k + 1)
        if set(sequence[i : i + k].upper()) <= set("ACGT")
    }
    words = {place: min(word, opposite(word)) for place, word in starts.items()}
    occurrences = Counter(words.values())
    values = {chrom: np.zeros(len(sequence), dtype=np.uint8) for chrom, sequence in genome.items()}
    for (chrom, i), word in words.items():
        values[chrom][i + k // 2] = occurrences[word] == 1
    return values


def planted_genome(rng):
    """Chromosomes with forward and reverse copies, tandem repeats, palindromes, N, and small letters."""
    genome = {chrom: "".join(rng.choice(list("ACGT"), n)) for chrom, n in {"a": 900, "b": 640, "c": 333}.items()}
    for _ in range(12):
        source, target = rng.choice(list(genome), 2)
        n = int(rng.integers(10, 150))
        start, end = rng.integers(0, len(genome[source]) - n), rng.integers(0, len(genome[target]))
        copy = genome[source][start : start + n]
        copy = [copy, opposite(copy), copy[:7] * (n // 7), copy + opposite(copy)][rng.integers(4)]
        genome[target] = genome[target][:end] + copy + genome[target][end:]
    for chrom, sequence in genome.items():
        letters = np.array(list(sequence))
        letters[rng.integers(0, len(letters), 4)] = rng.choice(list("NnRy"), 4)
        start = rng.integers(0, len(letters))
        letters[start : start + 60] = [base.lower() for base in letters[start : start + 60]]
        genome[chrom] = "".join(letters)
    return genome | {"poly": "A" * 120 + "T" * 90, "short": genome["a"][40:52], "base": "G", "none": "N" * 70}


def measured(fasta, genome, k, folder, memory_bytes=10**7):
    """The file as a dict of chromosome to array."""
    measure_mappability(fasta, lengths_of(genome), k, folder / "mappability.npy", memory_bytes)
    values = np.load(folder / "mappability.npy")
    assert values.dtype == np.uint8 and [path.name for path in folder.iterdir()] == ["mappability.npy"]
    return dict(zip(genome, np.split(values, np.cumsum(list(lengths_of(genome).values()))[:-1]), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_brute_force(tmp_path, write_fasta, seed):
    """For any number of passes; words of 31 to 33 and 64 bases fill the machine's words of 32 bases."""
    genome = planted_genome(np.random.default_rng(seed))
    fasta = write_fasta(genome)
    for k in (10, 13, 31, 32, 33, 64, 65, 100, 500):
        expected = brute_force(genome, k)
        n_kmers = max(1, sum(map(len, expected.values())))
        assert seed or k > 100 or 0 < sum(map(np.sum, expected.values())) < n_kmers
        for share in (1, 0.05):
            memory_bytes = int(sum(map(len, genome.values())) // 2 + 1024 + share * 8 * (n_kmers / 0.7 + 64))
            found = measured(fasta, genome, k, tmp_path / f"{k}_{share}", memory_bytes)
            for chrom in genome:
                np.testing.assert_array_equal(found[chrom], expected[chrom], f"{chrom}, k {k}, {share}")


def test_by_hand(tmp_path, write_fasta):
    # Ten bases in a row stand at 0 and, as reverse complement, at 12 of chr1; GAATTCGAATTC... is a palindrome of chr2.
    word, palindrome = "AACCGTGACA", "ACGTGCACGT"
    genome = {"chr1": word + "NN" + opposite(word) + "N", "chr2": palindrome + "N" + "GGATCTTTAC" + "A"}
    found = measured(write_fasta(genome), genome, 10, tmp_path / "out")
    assert np.flatnonzero(found["chr1"]).tolist() == []
    assert np.flatnonzero(found["chr2"]).tolist() == [5, 16, 17]
    # The same word once more as a chromosome of its own, in small letters, is no longer unique.
    genome["chr3"] = "ggatctttac"
    found = measured(write_fasta(genome), genome, 10, tmp_path / "again")
    assert np.flatnonzero(found["chr2"]).tolist() == [5, 17] and not found["chr3"].any()


def test_the_other_strand_has_the_same_values(tmp_path, write_fasta):
    """Turned around, base by base for odd k; even k has its middle on the right, one base further."""
    rng = np.random.default_rng(9)
    genome = {"a": "".join(rng.choice(list("ACGT"), 2000, p=[0.7, 0.05, 0.05, 0.2]))}
    turned = {"a": opposite(genome["a"])}
    for k in (11, 12):
        one = measured(write_fasta(genome), genome, k, tmp_path / f"one_{k}")["a"]
        other = measured(write_fasta(turned, "turned.fa"), turned, k, tmp_path / f"other_{k}")["a"]
        assert 100 < one.sum() < 1900
        np.testing.assert_array_equal(one[1 - k % 2 :], other[::-1][: len(other) - 1 + k % 2])


def test_only_the_chromosomes_that_are_asked_for_count(tmp_path, write_fasta):
    genome = {"a": "AACCGTGACATT", "b": "AACCGTGACATT", "c": "GGATCTTTACAG"}
    fasta = write_fasta(genome)
    found = measured(fasta, {"c": genome["c"], "a": genome["a"]}, 12, tmp_path / "out")
    assert {chrom: np.flatnonzero(values).tolist() for chrom, values in found.items()} == {"c": [6], "a": [6]}


def test_genome_without_a_kmer(tmp_path, write_fasta):
    for genome in ({"a": "ACGTACGTA"}, {"a": "ACGTN" * 30, "b": "A"}):
        found = measured(write_fasta(genome), genome, 10, tmp_path / str(len(genome)))
        assert not any(values.any() for values in found.values())


def test_writing_in_steps(tmp_path, write_fasta, monkeypatch):
    monkeypatch.setattr(mappability, "CHUNK", 64)
    genome = planted_genome(np.random.default_rng(3))
    found = measured(write_fasta(genome), genome, 20, tmp_path / "out")
    for chrom, values in brute_force(genome, 20).items():
        np.testing.assert_array_equal(found[chrom], values)


def test_pass_that_is_too_large_is_cut_in_two(caplog):
    caplog.set_level("INFO")
    codes = np.random.default_rng(4).integers(0, 4, 3000).astype(np.uint8)
    packed, valid = pack_genome([codes, codes[500:900]], 3400, 12)
    assert np.bitwise_count(valid).sum() == 3400 - 2 * 11
    at_once = find_unique(packed, valid, 3400, 12, 10_000, 1)
    assert len(caplog.messages) == 1
    np.testing.assert_array_equal(find_unique(packed, valid, 3400, 12, 200, 1), at_once)
    assert len(caplog.messages) > 15
    assert np.bitwise_count(at_once).sum() == pytest.approx(3000 - 11 - 389, abs=5)


def test_passes_keep_within_the_memory():
    assert plan_passes(1000, 700, 10**6) == (1064, 1)
    for n_bases, memory_bytes in ((3_100_000_000, 6_000_000_000), (10**6, 10**6), (10**5, 10**9)):
        n_slots, n_passes = plan_passes(n_bases, n_bases, memory_bytes)
        assert n_bases / 2 + 8 * n_slots <= memory_bytes
        assert n_slots * n_passes * 0.7 >= n_bases
    with pytest.raises(InputError, match=r"within 1600\.000 MB would take more than 256 passes; raise mem_mb .* by 8"):
        plan_passes(3_100_000_000, 3_100_000_000, 1_600_000_000)


@pytest.mark.parametrize("k", [9, 501])
def test_length_of_reads_out_of_range(tmp_path, write_fasta, k):
    with pytest.raises(InputError, match=f"k = {k} bp: k is the length of the reads, 10 to 500 bp"):
        measure_mappability(write_fasta({"a": "ACGT"}), {"a": 4}, k, tmp_path / "out" / "mappability.npy", 10**7)


def test_genome_that_does_not_fit(tmp_path, write_fasta):
    with pytest.raises(InputError, match="a has 4 bp, not 5"):
        measure_mappability(write_fasta({"a": "ACGT"}), {"a": 5}, 10, tmp_path / "out" / "mappability.npy", 10**7)
    assert not (tmp_path / "out").exists()
