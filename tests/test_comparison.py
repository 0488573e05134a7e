"""What matches mean: divergences by hand, nulls, own matrices."""

import numpy as np
import pytest
from cisgrammar.comparison import (
    COLUMNS,
    NULLS,
    add_evidence,
    aligned_columns,
    best_gains,
    divergences,
    match_runs,
    own_matrices,
)
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
    assert list(found.columns) == [*matches.columns, *COLUMNS, *NULLS]
    top = found.iloc[0]
    assert (top["jaspar_id"], top["own"], top["own_rank"]) == ("M7", "name", 1)
    assert top["own_p"] == top["p"] and top["e"] == pytest.approx(60 * top["p"])
    assert top["overlap"] == known["M7"][1].shape[1]
    assert top["js"] < 0.01 < found["js"].iloc[1]
    assert top["null_p"] == pytest.approx(0.05) and top["null_best"] > top["p"]
    assert (found["own"].iloc[1:] == "").all()
    assert top["better"] == 1 and np.isnan(top["untrained_best"])


def test_noise_does_not(known):
    rng = np.random.default_rng(9)
    noise = [{"id": f"m{i}", "matrix": rng.dirichlet(np.full(4, 0.3), 10).T, "n_sites": 5} for i in range(12)]
    found = add_evidence(compare_motifs(noise, known, 1), noise, known, {}, 19, rng)
    assert found["own_rank"].isna().all()
    assert 0.25 < found["null_p"].mean() < 0.8


def test_gains_by_hand():
    """Of three runs the first is a thousand times better with one matrix; the second with none, as all match it."""
    runs = np.array([[1e-4, 1e-9], [1e-1, 1e-9], [1, 1e-8]])
    assert best_gains(runs).tolist() == pytest.approx([1e-3, 1, 10])
    assert best_gains(runs[:1]).tolist() == [1e-9]
    assert best_gains(runs[:0]).tolist() == []


def test_a_match_must_beat_every_untrained_run(known):
    """Three runs: one finds noise, one nothing, and of one the last motif is as good as the motif itself."""
    motif = {"id": "motif_1", "matrix": known["M7"][1], "n_sites": 100}
    matches, rng = compare_motifs([motif], known, 2), np.random.default_rng(0)
    noise = [rng.dirichlet(np.full(4, 2), 9).T for _ in range(8)]
    runs = match_runs([noise, [], [*noise, 50 * known["M7"][1]]], known)
    assert runs.shape == (3, 60) and (runs[1] == 1).all()
    assert runs[0].min() > 1e-6 and runs[2, 7] == matches["p"].iloc[0]
    found = add_evidence(matches, [motif], known, {}, 0, rng, runs[:2])
    assert found["untrained_p"].iloc[0] == pytest.approx(1 / 3)
    assert found[["untrained_best", "untrained_same"]].iloc[0].tolist() == [runs[0].min(), runs[0, 7]]
    assert found["better"].iloc[0] == 1 and found["null_p"].isna().all()
    beaten = add_evidence(matches, [motif], known, {}, 19, rng, runs)
    assert beaten["untrained_p"].iloc[0] == pytest.approx(1 / 2)
    assert beaten["better"].tolist() == [0, 0] and beaten["null_p"].notna().all()


def test_a_matrix_that_all_match_is_no_hindrance(known):
    """Untrained runs match one matrix with a smaller p than the motif has for its own, which they do not match."""
    motif = {"id": "motif_1", "matrix": known["M7"][1], "n_sites": 100}
    runs = np.ones((2, 60))
    runs[:, 3] = 1e-30
    usual = runs.min(axis=0)
    matches = compare_motifs([motif], known, 1, usual)
    assert matches["jaspar_id"].tolist() == ["M7"]
    found = add_evidence(matches, [motif], known, {}, 0, np.random.default_rng(0), runs)
    assert found[["untrained_best", "untrained_same", "better"]].iloc[0].tolist() == [1e-30, 1, 1]


def test_without_a_null_nothing_is_better(known):
    motif = {"id": "motif_1", "matrix": known["M7"][1], "n_sites": 100}
    found = add_evidence(compare_motifs([motif], known, 1), [motif], known, {}, 0, np.random.default_rng(0))
    assert found[NULLS].isna().all(axis=None)


def test_no_motif(known):
    found = add_evidence(compare_motifs([], known, 1), [], known, {}, 19, np.random.default_rng(0))
    assert found.empty and {*COLUMNS, *NULLS} <= set(found.columns)
