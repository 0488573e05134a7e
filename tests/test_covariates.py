"""The genome store against counting by hand and by brute force, on small random genomes; signals; TSS distances."""

import gzip
import json
from itertools import pairwise

import numpy as np
import pyBigWig
import pytest
from cisgrammar.covariates import (
    COMPOSITION,
    COUNTS,
    DINUCLEOTIDES,
    FARTHEST_BP,
    PAIRS,
    open_store,
    read_tss,
    tss_distance,
    window_cells,
    windows_covariates,
    write_store,
)
from cisgrammar.log import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")
LETTERS = "ACGTacgtNnRy"


def random_genome(rng, lengths):
    """Dict of name to sequence: letters mixed, with runs of one kind, so that windows without a known base occur."""
    genome = {}
    for chrom, length in lengths.items():
        letters = rng.choice(list(LETTERS), size=length, p=[0.11] * 8 + [0.03] * 4)
        for kind in ("N", "C", "g", "a"):
            start = rng.integers(0, length)
            letters[start : start + rng.integers(1, 150)] = kind
        genome[chrom] = "".join(letters)
    return genome


def sizes(genome):
    return {chrom: len(sequence) for chrom, sequence in genome.items()}


def brute_force(sequence):
    """Composition of one window, counted letter by letter."""
    upper = sequence.upper()
    known = [base for base in upper if base in "ACGT"]
    n_gc = sum(base in "GC" for base in known)
    pairs = [a + b for a, b in pairwise(upper) if a in "ACGT" and b in "ACGT"]
    pooled = [pair if pair in PAIRS else pair.translate(COMPLEMENT)[::-1] for pair in pairs]
    shares = [pooled.count(pair) / len(pairs) if pairs else np.nan for pair in PAIRS]
    gc = n_gc / len(known) if known else np.nan
    cpg = 4 * shares[PAIRS.index("CG")] / gc**2 if n_gc and pairs else 0.0
    masked = sum(base.islower() for base in sequence)
    return [gc, cpg, *shares, masked / len(sequence), 1 - len(known) / len(sequence)]


def as_table(covariates):
    return np.column_stack(list(covariates.values()))


@pytest.mark.parametrize("seed", range(4))
def test_covariates_are_those_of_brute_force(tmp_path, write_fasta, seed):
    rng = np.random.default_rng(seed)
    lengths = {"chr2": 1000 + seed, "chr10": 640, "chr1": 64, "s": 63, "t": 65, "u": 1, "v": 129}
    genome = random_genome(rng, lengths)
    write_store(write_fasta(genome), lengths, tmp_path / "store")
    store = open_store(tmp_path / "store")
    for chrom, length in lengths.items():
        for width in {1, 2, 17, 63, 64, 65, 128, 200, length} - set(range(length + 1, 201)):
            starts = np.unique([0, length - width, *rng.integers(0, length - width + 1, 30)])
            rng.shuffle(starts)
            found = windows_covariates(store, chrom, starts, width)
            assert tuple(found) == COMPOSITION
            expected = [brute_force(genome[chrom][start : start + width]) for start in starts]
            np.testing.assert_allclose(as_table(found), expected, rtol=1e-12, atol=1e-15)


def test_covariates_by_hand(tmp_path, write_fasta):
    # AC CG GG Ga aN NN NN Nc cg gT: known pairs AC CG GG GA CG GT, pooled AC twice (GT), CG twice, CC once, GA once
    write_store(write_fasta({"chr1": "ACGGaNNNcgT"}), {"chr1": 11}, tmp_path / "store")
    store = open_store(tmp_path / "store")
    found = {name: values[0] for name, values in windows_covariates(store, "chr1", [0], 11).items()}
    assert found["gc"] == pytest.approx(5 / 8)
    assert found["cpg"] == pytest.approx(4 * (2 / 6) / (5 / 8) ** 2)
    shares = {"ac": 2 / 6, "cg": 2 / 6, "cc": 1 / 6, "ga": 1 / 6}
    assert {name: found[name] for name in DINUCLEOTIDES} == pytest.approx(dict.fromkeys(DINUCLEOTIDES, 0) | shares)
    assert found["repeats"] == pytest.approx(3 / 11)
    assert found["unknown"] == pytest.approx(3 / 11)
    codes = [0, 1, 2, 2, 8, 4, 4, 4, 9, 10, 3]
    assert store.bases("chr1").tolist() == codes and store.codes.dtype == np.uint8
    totals = dict(zip(COUNTS, store.counts[-1], strict=True))
    expected = {"known": 8, "masked": 3, "gc": 5, "AC": 2, "CG": 2, "CC": 1, "GA": 1}
    assert totals == dict.fromkeys(COUNTS, 0) | expected


def test_windows_without_a_known_base_or_pair(tmp_path, write_fasta):
    write_store(write_fasta({"chr1": "nnNNANGNAAAA"}), {"chr1": 12}, tmp_path / "store")
    found = windows_covariates(open_store(tmp_path / "store"), "chr1", [0, 4, 8], 4)
    np.testing.assert_array_equal(found["gc"], [np.nan, 0.5, 0])
    np.testing.assert_array_equal(found["cpg"], [0, 0, 0])
    np.testing.assert_array_equal(found["aa"], [np.nan, np.nan, 1])
    np.testing.assert_array_equal(found["gc_step"], [np.nan, np.nan, 0])
    np.testing.assert_array_equal(found["repeats"], [0.5, 0, 0])
    np.testing.assert_array_equal(found["unknown"], [1, 0.5, 0])


def test_covariates_are_those_of_the_other_strand(tmp_path, write_fasta):
    sequence = random_genome(np.random.default_rng(7), {"chr1": 500})["chr1"]
    opposite = sequence.translate(str.maketrans("ACGTacgt", "TGCAtgca"))[::-1]
    genome = {"chr1": sequence, "chr2": opposite}
    write_store(write_fasta(genome), sizes(genome), tmp_path / "store")
    store = open_store(tmp_path / "store")
    starts = np.arange(0, 401, 7)
    forward = as_table(windows_covariates(store, "chr1", starts, 100))
    np.testing.assert_array_equal(forward, as_table(windows_covariates(store, "chr2", 400 - starts, 100)))


def test_layout_of_the_store(tmp_path, write_fasta):
    genome = random_genome(np.random.default_rng(5), {"a": 150, "b": 128, "c": 10})
    genome |= {"a": "G" + genome["a"][1:-1] + "C", "b": "G" + genome["b"][1:]}  # no CG across two chromosomes
    lengths = {"c": 10, "a": 150, "b": 128}
    write_store(write_fasta(genome), lengths, tmp_path / "store")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["codes.npy", "counts.npy", "store.json"]
    content = json.loads((tmp_path / "store" / "store.json").read_text())
    assert content == {
        "block_bp": 64,
        "chromosomes": [
            {"chrom": "c", "length_bp": 10, "first_base": 0, "first_row": 0},
            {"chrom": "a", "length_bp": 150, "first_base": 10, "first_row": 2},
            {"chrom": "b", "length_bp": 128, "first_base": 160, "first_row": 6},
        ],
        "counts": ["known", "masked", "gc", *PAIRS],
        "signals": [],
    }
    codes, counts = np.load(tmp_path / "store" / "codes.npy"), np.load(tmp_path / "store" / "counts.npy")
    assert codes.shape == (288,) and codes.dtype == np.uint8
    assert counts.shape == (9, 13) and counts.dtype == np.uint32
    assert not counts[[0, 2, 6]].any()
    for chrom, first, ends in (("c", 0, [10]), ("a", 2, [64, 128, 150]), ("b", 6, [64, 128])):
        for row, end in enumerate(ends, start=first + 1):
            sequence = genome[chrom]
            pairs = [sequence[i : i + 2].upper() for i in range(end)]
            assert counts[row, 0] == sum(base in "ACGTacgt" for base in sequence[:end])
            assert counts[row, 1] == sum(base.islower() for base in sequence[:end])
            assert counts[row, 2] == sum(base in "CGcg" for base in sequence[:end])
            assert counts[row, 3 + PAIRS.index("CG")] == pairs.count("CG")
            assert counts[row, 3 + PAIRS.index("AC")] == pairs.count("AC") + pairs.count("GT")
    with pytest.raises(ValueError, match="read-only"):
        open_store(tmp_path / "store").codes[0] = 1


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_encoding_in_steps_with_any_line_length_or_ending(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("cisgrammar.covariates.CHUNK", 64)
    genome = random_genome(np.random.default_rng(3), {"a": 500, "b": 64, "c": 333})
    path = tmp_path / "genome.fa"
    with open(path, "wb") as handle:
        for (chrom, sequence), width in zip(genome.items(), (7, 64, 1000), strict=True):
            lines = [f">{chrom} text", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
            handle.write(ending.join(lines).encode() + ending.encode() * (chrom != "c"))  # c ends without a line end
    write_store(path, {"a": 500, "c": 333}, tmp_path / "store")
    store = open_store(tmp_path / "store")
    for chrom in ("a", "c"):
        expected = ["ACGT".find(base.upper()) % 5 + 8 * base.islower() for base in genome[chrom]]
        assert store.bases(chrom).tolist() == expected


def test_a_store_replaces_an_older_one(tmp_path, write_fasta):
    for sequence in ("ACGTACGT", "GGGG"):
        path = write_fasta({"chr1": sequence}, f"{sequence}.fa")
        write_store(path, {"chr1": len(sequence)}, tmp_path / "in" / "store")
    assert open_store(tmp_path / "in" / "store").codes.tolist() == [2, 2, 2, 2]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["store"]


def test_a_failure_leaves_the_older_store(tmp_path, write_fasta):
    path = write_fasta({"chr1": "ACGT", "chr2": "CCCC"})
    write_store(path, {"chr1": 4}, tmp_path / "in" / "store")
    path.write_text(path.read_text().replace("CC", "C>"))
    with pytest.raises(InputError, match=r"chr2 is not where the index says; delete .*genome.fa.fai"):
        write_store(path, {"chr1": 4, "chr2": 4}, tmp_path / "in" / "store")
    assert open_store(tmp_path / "in" / "store").codes.tolist() == [0, 1, 2, 3]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["store"]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"chr3": 4}, "genome.fa: no chromosome 'chr3'; it has chr1, chr2"),
        ({"chr1": 5}, "genome.fa: chr1 has 4 bp, not 5"),
    ],
)
def test_lengths_that_do_not_fit(tmp_path, write_fasta, lengths, message):
    with pytest.raises(InputError, match=message):
        write_store(write_fasta({"chr1": "ACGT", "chr2": "AC"}), lengths, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_file_that_is_no_fasta(tmp_path):
    (tmp_path / "genome.fa").write_text("chr1\t0\t10\n")
    with pytest.raises(InputError, match=r"genome\.fa: "):
        write_store(tmp_path / "genome.fa", {"chr1": 10}, tmp_path / "store")


def test_open_store_that_is_not_whole(tmp_path, write_fasta):
    write_store(write_fasta({"chr1": "ACGT"}), {"chr1": 4}, tmp_path / "store")
    (tmp_path / "store" / "counts.npy").unlink()
    with pytest.raises(InputError, match="no whole genome store"):
        open_store(tmp_path / "store")


def test_cells_by_hand(tmp_path, write_fasta):
    """8 x GC level + 2 x CpG level + masked, over whole blocks of 64 bp."""
    blocks = ["A" * 64, "N" * 64, "CG" * 32, "ac" * 32, "ACGTTGCATT" + "T" * 54, "G" * 64, "CA" * 6]
    # GC of 0, unknown, 1, 0.5 (soft-masked), 4 of 64 with one CpG, 1 without CpG, 6 of 12
    write_store(write_fasta({"chr1": "".join(blocks)}), {"chr1": 396}, tmp_path / "store")
    store = open_store(tmp_path / "store")
    # One CpG in 64 bp: 4 x 1 x 64 / 4^2 = 16, cut to level 3; 32 CpG and GC of 1: 4 x 32 x 64 / 64^2 = 2, level 3
    expected = [0, 255, 8 * 24 + 2 * 3, 8 * 12 + 1, 8 * 1 + 2 * 3, 8 * 24, 8 * 12]
    assert window_cells(store, "chr1", [0, 64, 128, 192, 256, 320, 384], 12).tolist() == expected
    assert window_cells(store, "chr1", [0, 64, 128], 64).tolist() == expected[:3]
    # A window over two blocks counts both: 64 of 128 bases known and GC of 1; then 96 of 128 bases are G or C
    assert window_cells(store, "chr1", [100, 190], 40).tolist() == [8 * 24 + 6, 8 * 18 + 2 * 3]
    assert window_cells(store, "chr1", [], 40).tolist() == []


def test_windows_that_leave_the_chromosome(tmp_path, write_fasta):
    write_store(write_fasta({"chr1": "ACGTA", "chr2": "ACGT"}), {"chr1": 5, "chr2": 4}, tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert all(len(values) == 0 for values in windows_covariates(store, "chr1", [], 10).values())
    for starts, width in (([0, 2], 4), ([-1], 2), ([0], 0), ([0], 6)):
        with pytest.raises(ValueError, match="leave chr1 of 5 bp"):
            windows_covariates(store, "chr1", starts, width)


# Signals

LENGTHS = {"chr1": 1000, "chr2": 200, "chr3": 64}


@pytest.fixture
def genome(write_fasta):
    return write_fasta({chrom: "ACGTT" * (length // 5) + "A" * (length % 5) for chrom, length in LENGTHS.items()})


def signal_rows(rng, n=60):
    """Rows of a bedGraph, unsorted and overlapping, and the values per base that they mean."""
    values = {chrom: np.zeros(length) for chrom, length in LENGTHS.items()}
    rows = []
    for _ in range(n):
        chrom = ["chr1", "chr2"][rng.integers(2)]
        start = int(rng.integers(0, LENGTHS[chrom]))
        end = int(min(LENGTHS[chrom], start + rng.integers(1, 150)))
        value = float(rng.integers(-8, 9)) / 4
        rows.append((chrom, start, end, value))
        values[chrom][start:end] = value
    return rows, values


def interpolated(values, start, end):
    """Mean of a window of a signal whose value is the mean of its block."""
    even = np.concatenate([np.full(len(part), part.mean()) for part in np.split(values, range(64, len(values), 64))])
    return even[start:end].mean()


def check_signal(store, name, values):
    for chrom, per_base in values.items():
        for width in (64, 128, 1, 30, 200, 1000):
            starts = np.arange(0, len(per_base) - width + 1)
            if len(starts):
                found = windows_covariates(store, chrom, starts, width)[name]
                expected = [interpolated(per_base, start, start + width) for start in starts]
                np.testing.assert_allclose(found, expected, atol=1e-9)
                assert found[0] == pytest.approx(per_base[:width].mean()) or width % 64
    sums = store.signals[store.rows("chr1"), store.signal_names.index(name)]
    ends = [*range(0, 1000, 64), 1000]
    np.testing.assert_allclose(sums, [values["chr1"][:end].sum() for end in ends], atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_bedgraph_of_any_order(tmp_path, monkeypatch, genome, seed):
    monkeypatch.setattr("cisgrammar.covariates.ROWS", 7)
    monkeypatch.setattr("cisgrammar.covariates.CHUNK", 128)
    rows, values = signal_rows(np.random.default_rng(seed))
    text = "track type=bedGraph\n#comment\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    text += "chr9\t0\t5000\t1\n" + "chr2\t0\t10\tnan\n"
    values["chr2"][:10] = 0
    path = tmp_path / "signal.bedGraph.gz"
    path.write_bytes(gzip.compress(text.encode()))
    write_store(genome, LENGTHS, tmp_path / "store", [("open", path)])
    store = open_store(tmp_path / "store")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [
        *("codes.npy", "counts.npy", "signals.npy", "store.json")
    ]
    assert store.signals.dtype == np.float64 and store.signals.shape == (len(store.counts), 1)
    check_signal(store, "open", values)


def test_bed_is_one_inside(tmp_path, genome):
    path = tmp_path / "unique.BED"
    path.write_text('browser x\nchr2\t0\t64\t"a\t0\t-\r\nchr1\t500\t900\tb\t7\t+\r\n\r\nchr1\t450\t510\tc\t9\t+\r\n')
    values = {chrom: np.zeros(length) for chrom, length in LENGTHS.items()}
    values["chr2"][:64] = values["chr1"][450:900] = 1
    write_store(genome, LENGTHS, tmp_path / "store", [("unique", str(path))])
    check_signal(open_store(tmp_path / "store"), "unique", values)


def write_bigwig(path, lengths, entries):
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader(list(lengths.items()))
        for chrom, start, end, value in entries:
            track.addEntries([chrom], [start], ends=[end], values=[value])
    return path


def test_bigwig_and_array_side_by_side(tmp_path, monkeypatch, genome, caplog):
    monkeypatch.setattr("cisgrammar.covariates.CHUNK", 64)
    rows = [("chr1", 3, 90, 1.5), ("chr1", 128, 256, -2.0), ("chr1", 900, 1000, 4.0), ("chr2", 0, 1, 8.0)]
    values = {chrom: np.zeros(length) for chrom, length in LENGTHS.items()}
    for chrom, start, end, value in rows:
        values[chrom][start:end] = value
    bigwig = write_bigwig(tmp_path / "a.bigWig", {"chr1": 1000, "chr2": 200, "chrX": 50}, rows)
    rng = np.random.default_rng(1)
    unique = rng.integers(0, 2, sum(LENGTHS.values())).astype(np.uint8)
    np.save(tmp_path / "unique.npy", unique)
    signals = [("unique", tmp_path / "unique.npy"), ("open", bigwig)]
    write_store(genome, LENGTHS, tmp_path / "store", signals)
    store = open_store(tmp_path / "store")
    assert store.signal_names == ["unique", "open"]
    assert tuple(windows_covariates(store, "chr1", [0], 5)) == (*COMPOSITION, "unique", "open")
    check_signal(store, "open", values)
    check_signal(store, "unique", dict(zip(LENGTHS, np.split(unique.astype(float), [1000, 1200]), strict=True)))
    assert "nothing on 1 chromosomes, 0 there: chr3" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bedGraph", "chr1\t0\t5\t1\nchr1\t9\t5\t1\n", "a.bedGraph, row 2: 'chr1\t9\t5\t1' is no row"),
        ("a.bedGraph", "track x\n\nchr1\t0\t5\t1\nchr1\t0\t5\tx\n", "a.bedGraph, row 4: "),
        ("a.bedGraph", "chr1\t0\t5\n", "a.bedGraph, row 1: 'chr1\t0\t5' is no row"),
        ("a.bdg", "chr1\t0\t5\t1\nchr1\t5\t6\nchr1\t5\t9\t1\n", "a.bdg, row 2: "),
        ("a.bg", "chr1\t0\t5\t1\nchr1\t5\t9\t1e400\n", "a.bg: infinite values on chr1"),
        ("a.bed", "chr1\t0\t5\n#c\nchr2\t199\t201\n", "a.bed, row 3: ends at 201, beyond chr2 of 200 bp"),
        ("a.bed", "chr1\t0\t5\ntrack name=b\nchr1\t7\t9\n", "a.bed, row 2: 'track name=b' is no row"),
        ("a.bed", "chr1\t-1\t5\n", "a.bed, row 1: "),
        ("a.bed", "chr1 0 5\n", "a.bed, row 1: "),
        ("a.bed", "1\t0\t5\n2\t0\t5\n", r"a.bed: its chromosomes \(1, 2\) are not those of the genome \(chr1, chr2"),
        ("a.bed", "", r"a.bed: its chromosomes \(none\)"),
        ("a.bed", "#only\n", r"a.bed: its chromosomes \(none\)"),
        ("a.bed.gz", gzip.compress(b"chr1\t0\t5\n" * 1000)[:-12], "a.bed.gz: the file is cut short"),
        ("a.bw", "chr1\t0\t5\n", "a.bw: not a sound bigWig"),
        ("a.npy", "chr1\t0\t5\n", "a.npy: not a .npy file"),
        ("a.txt", "chr1\t0\t5\n", "a.txt: unknown kind of signal; give .bw .bigwig"),
    ],
)
def test_bad_signals(tmp_path, genome, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        write_store(genome, LENGTHS, tmp_path / "in" / "store", [("open", tmp_path / name)])
    assert list((tmp_path / "in").iterdir()) == []


def test_bigwig_of_another_genome(tmp_path, genome):
    for lengths, message in (
        ({"1": 1000, "2": 200}, r"a.bw: its chromosomes \(1, 2\) are not those of the genome \(chr1, chr2, chr3\)"),
        ({"chr1": 1001}, "a.bw: chr1 has 1001 bp there and 1000 bp in the genome"),
    ):
        path = write_bigwig(tmp_path / "a.bw", lengths, [(next(iter(lengths)), 0, 10, 1.0)])
        with pytest.raises(InputError, match=message):
            write_store(genome, LENGTHS, tmp_path / "store", [("open", path)])


def test_array_of_another_genome(tmp_path, genome):
    np.save(tmp_path / "a.npy", np.zeros(1263))
    with pytest.raises(InputError, match=r"float64 array \(1263,\), but the genome has 1264 bases"):
        write_store(genome, LENGTHS, tmp_path / "store", [("unique", tmp_path / "a.npy")])


@pytest.mark.parametrize("names", [["gc"], ["open", "open"]])
def test_signal_names_that_are_taken(tmp_path, genome, names):
    with pytest.raises(InputError, match="this name is taken"):
        write_store(genome, LENGTHS, tmp_path / "store", [(name, "a.bed") for name in names])


# Transcription starts

GFF = """##gff-version 3
chr1\tx\tchromosome\t1\t1000\t.\t.\t.\tID=chr1
chr1\tx\tgene\t101\t300\t.\t+\t.\tID=g1
chr1\tx\tmRNA\t151\t300\t.\t+\t.\tID=t1;Note=#1
chr1\tx\tCDS\t160\t300\t.\t+\t0\tID=c1
chr1\tx\tncRNA_gene\t501\t700\t.\t-\t.\tID=g2
chr1\tx\tmiRNA\t510\t530\t.\t-\t.\tID=m2
chr1\tx\tgene\t800\t900\t.\t.\t.\tID=g3
chrM\tx\tgene\t10\t20\t.\t+\t.\tID=g4
chr2\tx\ttRNA\t150\t205\t.\t-\t.\tID=circular
##FASTA
>chr1
ACGT
"""


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_tss_by_hand(tmp_path, caplog, compress):
    (tmp_path / "genes.gff3").write_bytes(compress(GFF.encode()))
    starts = read_tss(tmp_path / "genes.gff3", LENGTHS)
    assert {chrom: positions.tolist() for chrom, positions in starts.items()} == {
        "chr1": [100, 150, 699],
        "chr2": [4],
        "chr3": [],
    }
    assert "no transcription start on 1 chromosomes (chr3)" in caplog.text
    found = tss_distance(starts, "chr1", [100, 0, 124, 126, 698, 999])
    np.testing.assert_allclose(found, np.log10([1, 101, 25, 25, 2, 301]))
    np.testing.assert_allclose(tss_distance(starts, "chr3", [5, 60]), np.log10(1 + FARTHEST_BP))
    assert tss_distance(starts, "chr1", []).shape == (0,)


def test_tss_of_a_gtf(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text('chr1\tx\ttranscript\t11\t30\t.\t-\t.\tgene_id "a"; transcript_id "b";\n')
    assert read_tss(path, {"chr1": 100})["chr1"].tolist() == [29]


def test_tss_distance_is_that_of_brute_force():
    rng = np.random.default_rng(2)
    for n in (1, 2, 40):
        starts = np.sort(rng.choice(5000, n, replace=False))
        centers = rng.integers(0, 5000, 300)
        expected = np.log10(1 + np.abs(centers[:, None] - starts).min(axis=1))
        np.testing.assert_allclose(tss_distance({"chr1": starts}, "chr1", centers), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("chr1\t0\t10\n", "genes.gff3, row 1: not a GFF3 or GTF row of this genome"),
        ("#a\nchr1\tx\tgene\t0\t9\t.\t+\t.\t.\n", "genes.gff3, row 2: "),
        ("chr1\tx\tgene\t1001\t1009\t.\t+\t.\t.\n", "genes.gff3, row 1: "),
        ("chr1\tx\texon\t1\t9\t.\t+\t.\t.\n", "genes.gff3: no gene or transcript with a strand, but exon; give a file"),
        ("I\tx\tgene\t1\t9\t.\t+\t.\t.\n", r"genes.gff3: its chromosomes \(I\) are not those of the genome \(chr1"),
        ("", "no gene or transcript with a strand, but no row"),
        (gzip.compress(GFF.split("##FASTA")[0].encode() * 50)[:-20], "genes.gff3: the file is cut short"),
    ],
)
def test_bad_annotations(tmp_path, content, message):
    (tmp_path / "genes.gff3").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_tss(tmp_path / "genes.gff3", LENGTHS)
