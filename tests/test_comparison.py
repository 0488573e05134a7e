"""What matches mean: divergences by hand, nulls, own matrices."""

import numpy as np
import pytest
from cisgrammar.comparison import COLUMNS, add_evidence, aligned_columns, divergences, own_matrices
from cisgrammar.motifs import compare_motifs


def test_divergences_by_hand():
    a, b = np.array([[1.0], [0], [0], [0]]), np.array([[0.0], [1], [0], [0]])
    assert divergences(a, a) == pytest.approx((0, 0))
    assert divergences(a, b, 1e-9)[0] == pytest.approx(1, abs=1e-6)
    half = np.array([[0.5], [0.5], [0], [0]])
    js, kl = divergences(a, half, 1e-12)
    assert kl == pytest.approx(1)
    assert js == pytest.approx((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)) / 2)
    both = np.hstack([a, b])
    assert divergences(both, np.hstack([a, a]), 1e-9)[0] == pytest.approx(0.5, abs=1e-6)
    assert np.isnan(divergences(a[:, :0], a[:, :0])).all()


def test_aligned_columns_by_hand():
    query, target = np.arange(20).reshape(4, 5), np.arange(12).reshape(4, 3)
    for offset, strand, columns, others in (
        (1, "+", [1, 2, 3], [0, 1, 2]),
        (-1, "+", [0, 1], [1, 2]),
        (4, "+", [4], [0]),
    ):
        left, right = aligned_columns(query, target, offset, strand)
        assert np.array_equal(left, query[:, columns]) and np.array_equal(right, target[:, others])
    left, right = aligned_columns(query, target, 3, "-")
    assert np.array_equal(right, target[::-1, ::-1][:, :2])


def test_own_matrices_by_hand():
    known = {key: (name, None) for key, name in (("1", "Spi1"), ("2", "SPIB"), ("3", "MAX::MYC"), ("4", "Runx1"))}
    families = {"1": "Ets", "2": "Ets", "3": "bHLH", "4": ""}
    assert own_matrices("SPI1", known, families) == {"1": "name", "2": "family"}
    assert own_matrices("Myc", known) == {"3": "name"}
    assert own_matrices("SPI", known, families) == {}
    assert own_matrices("runx1", known, families) == {"4": "name"}


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(4)
    return {f"M{i}": (f"TF{i}", rng.dirichlet(np.full(4, 0.3), rng.integers(8, 14)).T) for i in range(60)}


def test_a_known_matrix_beats_its_null(known):
    motif = {"id": "motif_1", "matrix": 100 * known["M7"][1][::-1, ::-1] + 0.5, "n_sites": 100}
    matches = compare_motifs([motif], known, 3)
    found = add_evidence(matches, [motif], known, {"M7": "name"}, 19, np.random.default_rng(0))
    assert list(found.columns) == [*matches.columns, *COLUMNS]
    top = found.iloc[0]
    assert (top["jaspar_id"], top["own"], top["own_rank"]) == ("M7", "name", 1)
    assert top["own_p"] == top["p"] and top["e"] == pytest.approx(60 * top["p"])
    assert top["overlap"] == known["M7"][1].shape[1]
    assert top["js"] < 0.01 < found["js"].iloc[1]
    assert top["null_p"] == pytest.approx(0.05) and top["null_best"] > top["p"]
    assert (found["own"].iloc[1:] == "").all()


def test_noise_does_not(known):
    rng = np.random.default_rng(9)
    noise = [{"id": f"m{i}", "matrix": rng.dirichlet(np.full(4, 0.3), 10).T, "n_sites": 5} for i in range(12)]
    found = add_evidence(compare_motifs(noise, known, 1), noise, known, {}, 19, rng)
    assert found["own_rank"].isna().all()
    assert 0.25 < found["null_p"].mean() < 0.8


def test_filters_of_an_untrained_network_are_a_null(known):
    motif = {"id": "motif_1", "matrix": known["M7"][1], "n_sites": 100}
    matches = compare_motifs([motif], known, 2)
    rng = np.random.default_rng(0)
    untrained = [known["M7"][1], *(rng.dirichlet(np.full(4, 2), 9).T for _ in range(8))]
    found = add_evidence(matches, [motif], known, {}, 0, rng, untrained)
    assert found["untrained_p"].iloc[0] == pytest.approx(0.2)  # one of nine is as good
    assert found["null_p"].isna().all()


def test_no_motif(known):
    found = add_evidence(compare_motifs([], known, 1), [], known, {}, 19, np.random.default_rng(0))
    assert found.empty and set(COLUMNS) <= set(found.columns)
