"""bigWig tracks by hand."""

import numpy as np
import pyBigWig
import pytest
from cisgrammar.tracks import write_bigwig


def test_values_by_hand(tmp_path):
    windows = {"chrom": np.array(["b", "a", "a"], dtype=object), "start": [0, 10, 12], "end": [2, 14, 16]}
    values = [np.array([7.0, -8.0]), np.array([1.0, 2, 3, 4]), np.array([5.0, 6, 7, 8])]
    write_bigwig(tmp_path / "x.bw", windows, values, {"a": 20, "b": 5, "c": 5})
    with pyBigWig.open(str(tmp_path / "x.bw")) as file:
        assert file.chroms() == {"a": 20, "b": 5, "c": 5}
        found = np.nan_to_num(file.values("a", 8, 18), nan=-1)
        assert found.tolist() == pytest.approx([-1, -1, 1, 2, 4, 5, 7, 8, -1, -1])
        assert file.values("b", 0, 2) == pytest.approx([7, -8])


def test_one_value_per_window(tmp_path):
    windows = {"chrom": np.array(["a"]), "start": [1], "end": [3]}
    write_bigwig(tmp_path / "x.bw", windows, np.array([0.5]), {"a": 9})
    with pyBigWig.open(str(tmp_path / "x.bw")) as file:
        assert file.values("a", 1, 3) == [0.5, 0.5]
        assert file.intervals("a")[0][0] == 1
