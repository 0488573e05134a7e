"""Sequence files that are read: by split, with and without flanks, in any order."""

import h5py
import numpy as np
import pytest
from cisgrammar.extraction import write_sequences
from cisgrammar.log import InputError
from cisgrammar.sequences import hide_padding, inside, read_rows, read_sequences
from sequence_data import SEQUENCES, letters, windows


@pytest.fixture
def genome(write_genome):
    return write_genome(SEQUENCES)


@pytest.fixture
def stored(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    peaks = windows(("chr1", 0, 6, "train"), ("chr2", 5, 11, "validation"), ("chr3", 14, 20, "test"))
    negatives = windows(("chr1", 12, 18, "train"), ("chr1", 6, 12, "train"), ("chr3", 8, 14, "test"))
    write_sequences(peaks, negatives, genome, 2, path)
    return path


def test_with_flanks(stored):
    data = read_sequences(stored, flank=True)
    assert letters(data["codes"])[:3] == ["NNACGTNACG", "GGCCCCCAAA", "TGACCCCCNN"]
    np.testing.assert_array_equal(data["codes"][:, 2:-2], read_sequences(stored)["codes"])
    assert data["mask"].shape == (6, 10) and data["mask"].all()
    assert data["length"].tolist() == [6] * 6


@pytest.mark.parametrize(
    ("split", "starts", "labels"),
    [("train", [0, 12, 6], [1, 0, 0]), ("validation", [5], [1]), ("test", [14, 8], [1, 0])],
)
def test_windows_of_one_split(stored, split, starts, labels):
    data = read_sequences(stored, split)
    assert data["start"].tolist() == starts and data["label"].tolist() == labels
    assert data["codes"].shape == (len(starts), 6)


def test_split_without_a_window(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    write_sequences(windows(("chr1", 0, 6, "train")), windows(), genome, 0, path)
    assert letters(read_sequences(path, "train")["codes"]) == ["ACGTNA"]
    with pytest.raises(InputError, match=r"sequences\.h5: no window of the test chromosomes; choose others under"):
        read_sequences(path, "test")


def test_inside_by_hand():
    assert inside(np.array([4, 1, 2, 3]), 4).astype(int).tolist() == [[1] * 4, [0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]]
    assert inside(np.array([5, 5]), 5).all() and inside(np.array([5, 5]), 5).shape == (2, 5)
    assert inside(np.array([], dtype=int), 3).shape == (0, 3)


def test_hide_padding_by_hand():
    codes, channels = np.array([[0, 1, 4], [2, 3, 0]], dtype=np.uint8), np.ones((2, 2, 3), dtype=np.float16)
    hide_padding(codes, channels, np.array([[True, True, True], [False, True, False]]))
    assert codes.tolist() == [[0, 1, 4], [5, 3, 5]]
    assert channels.tolist() == [[[1] * 3] * 2, [[0, 1, 0]] * 2]
    hide_padding(codes, None, inside(np.array([3, 3]), 3))
    assert codes.tolist() == [[0, 1, 4], [5, 3, 5]]


@pytest.mark.parametrize("chunk", [1, 3, 16])
@pytest.mark.parametrize("most", [1, 10, 4096])
def test_rows_in_any_order(tmp_path, chunk, most):
    values = np.random.default_rng(0).integers(0, 99, (50, 2, 7))
    rng = np.random.default_rng(1)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        dataset = file.create_dataset("rows", data=values, chunks=(chunk, 2, 7))
        for rows in ([], [7], [49, 0], range(50), rng.permutation(50), rng.integers(0, 50, 20), [3, 3, 2]):
            np.testing.assert_array_equal(read_rows(dataset, rows, most=most), values[list(rows)])
            np.testing.assert_array_equal(read_rows(dataset, rows, slice(2, 5), most), values[list(rows)][..., 2:5])
