"""MEME files: written, read back, and read when they hold nothing."""

import numpy as np
import pytest
from cisgrammar.log import InputError
from cisgrammar.meme import count_table, read_meme, write_jaspar, write_meme


def test_round_trip_scales_counts_and_keeps_order_and_names(tmp_path):
    counts = np.array([[8, 0, 1], [0, 8, 1], [0, 0, 1], [2, 2, 1]], dtype=float)
    motifs = [
        {"id": "MA0001.1", "name": "CTCF", "matrix": counts},
        {"id": "motif_1", "matrix": np.array([[0.1], [0.2], [0.3], [0.4]]), "n_sites": 37},
        {"id": "MA0002.1", "name": "MAX::MYC (var.2)", "matrix": np.eye(4)},
    ]
    path = tmp_path / "motifs.meme"
    write_meme(motifs, path)
    found = read_meme(path)
    assert list(found) == ["MA0001.1", "motif_1", "MA0002.1"]
    assert [name for name, _ in found.values()] == ["CTCF", "", "MAX::MYC (var.2)"]
    expected = [[0.8, 0, 0.25], [0, 0.8, 0.25], [0, 0, 0.25], [0.2, 0.2, 0.25]]
    np.testing.assert_allclose(found["MA0001.1"][1], expected, atol=1e-6)
    np.testing.assert_allclose(found["motif_1"][1], [[0.1], [0.2], [0.3], [0.4]], atol=1e-6)
    np.testing.assert_array_equal(found["MA0002.1"][1], np.eye(4))
    assert list(tmp_path.iterdir()) == [path]


def test_columns_sum_to_one_after_rounding(tmp_path):
    matrix = np.random.default_rng(1).dirichlet(np.ones(4), 30).T
    write_meme([{"id": "m", "matrix": matrix}], tmp_path / "m.meme")
    found = read_meme(tmp_path / "m.meme")["m"][1]
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(found, matrix, atol=2e-6)


def test_header_and_number_of_sites(tmp_path):
    path = tmp_path / "m.meme"
    write_meme([{"id": "a", "matrix": np.full((4, 2), 5.0)}, {"id": "b", "matrix": np.eye(4), "n_sites": 37}], path)
    lines = path.read_text().splitlines()
    assert lines[0] == "MEME version 4" and "ALPHABET= ACGT" in lines
    assert "letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0" in lines
    assert "letter-probability matrix: alength= 4 w= 4 nsites= 37 E= 0" in lines


@pytest.mark.parametrize("text", ["", "MEME version 4\n\nALPHABET= ACGT\n", "no motif here\n"])
def test_file_without_a_motif(tmp_path, text):
    path = tmp_path / "m.meme"
    path.write_text(text)
    with pytest.raises(InputError, match=r"m\.meme: no motif in MEME format; check the file"):
        read_meme(path)


def test_jaspar_and_counts_by_hand(tmp_path):
    motifs = [{"id": "m1", "matrix": np.array([[1.5, 0], [2, 0], [0, 0], [0, 7]])}]
    write_jaspar(motifs, tmp_path / "m.jaspar")
    assert (tmp_path / "m.jaspar").read_text() == ">m1\tm1\nA [ 1.5 0 ]\nC [ 2 0 ]\nG [ 0 0 ]\nT [ 0 7 ]\n"
    assert count_table(motifs).to_numpy().tolist() == [["m1", 0, 1.5, 2, 0, 0], ["m1", 1, 0, 0, 0, 7]]
    assert list(count_table([]).columns) == ["motif", "column", "A", "C", "G", "T"]


def test_a_file_without_a_motif_may_be_fine(tmp_path):
    write_meme([], tmp_path / "none.meme")
    assert read_meme(tmp_path / "none.meme", empty=True) == {}
