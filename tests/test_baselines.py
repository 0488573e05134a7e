"""Site scores against a scan base by base; what the covariates alone tell."""

import numpy as np
import pytest
from cisgrammar.baselines import best_sites, choose_matrix, fit_covariates, log_odds
from sequence_data import codes_of


def matrix_of(consensus, share=0.97):
    matrix = np.full((4, len(consensus)), (1 - share) / 3)
    matrix[["ACGT".index(base) for base in consensus], np.arange(len(consensus))] = share
    return matrix


def scan(matrix, codes):
    """Best log-odds of one sequence over all places and both strands, one base at a time."""
    odds, width = log_odds(matrix), matrix.shape[1]
    best = -np.inf
    for strand in (codes, [3 - code if code < 4 else 4 for code in codes[::-1]]):
        for start in range(-(width // 2), len(codes) + width // 2 - width + 1):
            places = [(i, start + i) for i in range(width) if 0 <= start + i < len(codes)]
            best = max(best, sum(odds[strand[at], i] for i, at in places if strand[at] < 4))
    return best


def test_log_odds_by_hand():
    matrix = np.array([[0.25, 1.0], [0.25, 0.0], [0.25, 0.0], [0.25, 0.0]])
    odds = log_odds(matrix)
    assert odds[:, 0] == pytest.approx([0, 0, 0, 0])
    assert odds[:, 1] == pytest.approx([np.log(0.9925 / 0.25), *[np.log(0.0025 / 0.25)] * 3])


def test_best_sites_equal_a_scan():
    rng = np.random.default_rng(5)
    matrices = [rng.dirichlet(np.full(4, 0.4), width).T for width in (5, 8, 11, 8, 1)]
    codes = rng.integers(0, 5, (7, 30)).astype(np.uint8)
    codes[6] = 4
    found = best_sites(matrices, codes, batch_size=3)
    assert (found.shape, found.dtype) == ((7, 5), np.float32)
    expected = [[scan(matrix, sequence) for matrix in matrices] for sequence in codes.tolist()]
    assert found == pytest.approx(np.array(expected), abs=1e-4)


def test_best_site_by_hand():
    matrix = matrix_of("AACG", share=1.0)
    codes = np.array([codes_of("TTAACGTT"), codes_of("TTCGTTTT"), codes_of("NNNNNNNN"), codes_of("CGTTTTTT")])
    most = 4 * np.log(0.9925 / 0.25)
    # the last: CGTT at the very start is the site on the other strand
    assert best_sites([matrix], codes)[:, 0] == pytest.approx([most, most, 0, most], abs=1e-5)


def test_a_site_may_hang_over_the_end():
    matrix = matrix_of("AACG", share=1.0)
    assert best_sites([matrix], codes_of("CGTTTTTT")[None, :][:, :7])[0, 0] > 0
    # CG at the left end is the second half of the matrix, what lies before it scores 0
    left = best_sites([matrix], codes_of("CGAAAAAA")[None])[0, 0]
    assert left == pytest.approx(2 * np.log(0.9925 / 0.25), abs=1e-5)


def test_the_planted_matrix_is_chosen():
    rng = np.random.default_rng(6)
    motifs = {f"MA000{i}.1": (name, matrix_of(name)) for i, name in enumerate(("GGGTGGGGC", "TGACTCAGC", "AGATAAGCA"))}
    codes = rng.integers(0, 4, (400, 60)).astype(np.uint8)
    codes[:100, 30:39] = 3 - codes_of("TGACTCAGC")[::-1]
    identifier, name, auprc = choose_matrix(motifs, codes, np.repeat([1, 0], [100, 300]), rng)
    assert (identifier, name) == ("MA0001.1", "TGACTCAGC")
    assert auprc > 0.95


@pytest.mark.parametrize(("most", "expected"), [(10, 40), (300, 100)])
def test_no_more_windows_than_wanted_are_looked_at(monkeypatch, most, expected):
    """Of 25 positives 10 and three negatives for each; or all of them and 75 negatives."""
    looked_at = []

    def counting(matrices, codes):
        looked_at.append(len(codes))
        return best_sites(matrices, codes)

    monkeypatch.setattr("cisgrammar.baselines.best_sites", counting)
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 4, (100, 40)).astype(np.uint8)
    labels = np.repeat([1, 0], [25, 75])
    choose_matrix({"MA0001.1": ("A", matrix_of("TGACTCAGC"))}, codes, labels, rng, most=most)
    assert looked_at == [expected]


def test_covariates_alone():
    """Trees see a covariate in the middle of its range, give the share of training windows, and bear unknown ones."""
    rng = np.random.default_rng(8)
    gc = np.repeat([0.5, 0.3, 0.7], 300) + rng.normal(0, 0.03, 900)
    logits = fit_covariates(np.column_stack([gc, rng.random(900)]), np.repeat([1, 0, 0], 300), rng)
    low, middle, high, unknown = logits(np.array([[0.3, 0.5], [0.5, 0.5], [0.7, 0.5], [np.nan, np.nan]]))
    assert middle > 1 and max(low, high) < -1 and np.isfinite(unknown)
    assert (1 / (1 + np.exp(-logits(np.column_stack([gc, rng.random(900)]))))).mean() == pytest.approx(1 / 3, abs=0.02)


def test_covariates_that_tell_nothing():
    rng = np.random.default_rng(9)
    logits = fit_covariates(np.zeros((100, 2)), np.repeat([1, 0], [20, 80]), rng)
    assert logits(np.ones((3, 2))) == pytest.approx([np.log(20 / 80)] * 3, abs=1e-6)
