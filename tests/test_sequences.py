"""Sequences of windows: read from the genome, written, read back."""

import h5py
import numpy as np
import pandas as pd
import pytest
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.log import InputError
from cisgrammar.sequences import extract_codes, read_sequences, write_sequences

SEQUENCES = {"chr1": "ACGTNacgtnRYACGTTTTT", "chr2": "GGGGGCCCCCAAAAATTTTT", "chr3": "TTTTTTTTTTCATGACCCCC"}


def windows(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "name"])


def letters(codes):
    return ["".join("ACGTN"[base] for base in row) for row in codes]


@pytest.fixture
def genome(write_fasta):
    return write_fasta(SEQUENCES)


@pytest.fixture
def stored(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    peaks = windows(("chr1", 0, 6, "train"), ("chr2", 5, 11, "validation"), ("chr3", 14, 20, "test"))
    negatives = windows(("chr1", 12, 18, "train"), ("chr1", 6, 12, "train"), ("chr3", 8, 14, "test"))
    write_sequences(peaks, negatives, genome, 2, path)
    return path


def test_codes_by_hand(genome):
    found = extract_codes(windows(("chr1", 0, 6, ""), ("chr1", 6, 12, ""), ("chr2", 14, 20, "")), genome)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 4, 4], [0, 3, 3, 3, 3, 3]]


def test_flanks_beyond_the_chromosome_are_unknown(genome):
    rows = windows(("chr2", 0, 5, ""), ("chr2", 2, 7, ""), ("chr2", 15, 20, ""), ("chr2", 8, 13, ""))
    assert letters(extract_codes(rows, genome, flank_bp=3)) == [
        *("NNNGGGGGCCC", "NGGGGGCCCCC", "AAATTTTTNNN", "CCCCCAAAAAT"),
    ]


def test_flanks_longer_than_the_chromosome(genome):
    found = letters(extract_codes(windows(("chr2", 0, 20, "")), genome, flank_bp=30))
    assert found == ["N" * 30 + SEQUENCES["chr2"] + "N" * 30]


def test_both_strands_of_a_palindrome_and_of_a_window(genome):
    codes = extract_codes(windows(("chr3", 10, 15, ""), ("chr1", 0, 5, "")), genome)
    assert letters(codes) == ["CATGA", "ACGTN"]
    assert letters(reverse_complement_codes(codes)) == ["TCATG", "NACGT"]


def test_round_trip(stored):
    data = read_sequences(stored)
    assert letters(data["codes"]) == ["ACGTNA", "CCCCCA", "ACCCCC", "ACGTTT", "CGTNNN", "TTCATG"]
    assert data["codes"].dtype == np.uint8
    assert data["chrom"].tolist() == ["chr1", "chr2", "chr3", "chr1", "chr1", "chr3"]
    assert data["start"].tolist() == [0, 5, 14, 12, 6, 8]
    assert data["end"].tolist() == [6, 11, 20, 18, 12, 14]
    assert data["label"].tolist() == [1, 1, 1, 0, 0, 0]
    assert data["weight"].tolist() == [1] * 6 and data["weight"].dtype == np.float32
    assert (data["window_bp"], data["flank_bp"]) == (6, 2)


def test_round_trip_with_flanks(stored):
    codes = read_sequences(stored, flank=True)["codes"]
    assert letters(codes)[:3] == ["NNACGTNACG", "GGCCCCCAAA", "TGACCCCCNN"]
    np.testing.assert_array_equal(codes[:, 2:-2], read_sequences(stored)["codes"])


@pytest.mark.parametrize(
    ("split", "starts", "labels"),
    [("train", [0, 12, 6], [1, 0, 0]), ("validation", [5], [1]), ("test", [14, 8], [1, 0])],
)
def test_windows_of_one_split(stored, split, starts, labels):
    data = read_sequences(stored, split)
    assert data["start"].tolist() == starts and data["label"].tolist() == labels
    assert data["codes"].shape == (len(starts), 6)


def test_what_the_file_says_of_itself(stored):
    with h5py.File(stored) as store:
        assert store.attrs["alphabet"] == "ACGT"
        assert list(store.attrs["splits"]) == ["train", "validation", "test"]
        assert store["split"][:].tolist() == [0, 1, 2, 0, 0, 2]
        assert store["codes"].shape == (6, 10)


def test_same_windows_same_file(stored, genome, tmp_path):
    again = tmp_path / "again.h5"
    peaks = windows(("chr1", 0, 6, "train"), ("chr2", 5, 11, "validation"), ("chr3", 14, 20, "test"))
    negatives = windows(("chr1", 12, 18, "train"), ("chr1", 6, 12, "train"), ("chr3", 8, 14, "test"))
    write_sequences(peaks, negatives, genome, 2, again)
    assert again.read_bytes() == stored.read_bytes()


def test_split_without_a_window(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    write_sequences(windows(("chr1", 0, 6, "train")), windows(), genome, 0, path)
    assert letters(read_sequences(path, "train")["codes"]) == ["ACGTNA"]
    with pytest.raises(InputError, match=r"sequences\.h5: no window of the test chromosomes; choose others under"):
        read_sequences(path, "test")


def test_failed_write_leaves_the_old_file(stored, genome):
    old = stored.read_bytes()
    with pytest.raises(KeyError):
        write_sequences(windows(("chrX", 0, 6, "train")), windows(("chr1", 0, 6, "train")), genome, 2, stored)
    assert stored.read_bytes() == old
    assert sorted(path.name for path in stored.parent.iterdir()) == ["genome.fa", "genome.fa.fai", "sequences.h5"]
