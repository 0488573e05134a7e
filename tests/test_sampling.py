"""Matched draws: exact numbers, splits that never mix, and covariates that end up like those of the peaks."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.balance import balance, separability
from cisgrammar.density import binned_ratio, density_ratio, quantile_codes
from cisgrammar.log import InputError
from cisgrammar.sampling import draw, draw_matched, inclusion
from cisgrammar.splits import SPLITS

COVARIATES = ["gc", "cpg", "constant"]


def table(n, shift, rng):
    """Windows of which two correlated covariates are moved by `shift` standard deviations."""
    gc = rng.normal(0.4 + 0.05 * shift, 0.05, n)
    cpg = np.exp(rng.normal(2 * gc + 0.2 * shift, 0.3))
    return pd.DataFrame({"name": rng.choice(SPLITS, n, p=[0.7, 0.1, 0.2]), "gc": gc, "cpg": cpg, "constant": 0.0})


def design(seed, n_peaks=600, n_candidates=40_000, shift=1.0):
    rng = np.random.default_rng(seed)
    return table(n_peaks, shift, rng), table(n_candidates, 0.0, rng)


@pytest.mark.parametrize("seed", range(3))
def test_covariates_are_balanced_and_a_classifier_cannot_tell(seed):
    peaks, candidates = design(seed)
    negatives, counts = draw_matched(peaks, candidates, COVARIATES, 5, np.random.default_rng(seed))
    found = balance(peaks, candidates, negatives, COVARIATES)
    assert (found.loc[found["covariate"] != "constant", "smd_before"].abs() > 0.5).all()
    assert (found["smd_after"].abs() <= 0.05).all()
    before = separability(peaks, candidates, COVARIATES, np.random.default_rng(seed))
    after = separability(peaks, negatives, COVARIATES, np.random.default_rng(seed))
    assert (before["auroc"] > 0.7).all()
    assert (after["auroc"] <= 0.58).all()
    assert after["auroc"][0] <= 0.55
    assert (counts["wanted"] == counts["drawn"]).all()


@pytest.mark.parametrize("ratio", [1, 2.5, 8])
def test_exact_numbers_without_repeats_in_each_split(ratio):
    peaks, candidates = design(4)
    negatives, counts = draw_matched(peaks, candidates, COVARIATES, ratio, np.random.default_rng(0))
    assert not negatives.index.duplicated().any()
    assert negatives.index.isin(candidates.index).all()
    expected = [round(ratio * (peaks["name"] == split).sum()) for split in SPLITS]
    assert [(negatives["name"] == split).sum() for split in SPLITS] == expected == counts["drawn"].tolist()


def test_a_hundred_negatives_per_peak():
    peaks, candidates = design(4, n_peaks=60, shift=0.3)
    negatives, counts = draw_matched(peaks, candidates, COVARIATES, 100, np.random.default_rng(0))
    assert (counts["drawn"] == counts["wanted"]).all() and counts["drawn"].sum() == 6000 == len(negatives)
    assert (balance(peaks, candidates, negatives, COVARIATES)["smd_after"].abs() <= 0.05).all()


def test_seeds():
    peaks, candidates = design(5, n_peaks=200, n_candidates=5000)
    one, two, other = (
        draw_matched(peaks, candidates, COVARIATES, 3, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_constant_covariates_alone_give_a_plain_draw():
    peaks, candidates = design(6, n_peaks=60, n_candidates=3000)
    negatives, _ = draw_matched(peaks, candidates, ["constant"], 4, np.random.default_rng(0))
    assert len(negatives) == sum(4 * (peaks["name"] == split).sum() for split in SPLITS)


def test_a_shortfall_is_an_error_with_the_numbers_or_a_warning(caplog):
    peaks, candidates = design(7, n_peaks=100, n_candidates=3000)
    candidates = candidates[candidates["name"] != "test"]
    n_test = (peaks["name"] == "test").sum()
    with pytest.raises(InputError, match=rf"test: 0 of {10 * n_test}.*allow_shortfall: true"):
        draw_matched(peaks, candidates, COVARIATES, 10, np.random.default_rng(0))
    negatives, counts = draw_matched(peaks, candidates, COVARIATES, 10, np.random.default_rng(0), True)
    assert "too few negatives" in caplog.text
    assert "test" not in set(negatives["name"])
    assert counts.set_index("split").loc["test"].tolist() == [10 * n_test, 0]


def test_a_covariate_that_the_candidates_do_not_cover_is_a_shortfall_with_its_bin():
    """All GC of the peaks lies far above that of the candidates, so not one of the wanted rows is there."""
    peaks, candidates = design(8, n_peaks=200, n_candidates=4000, shift=8)
    with pytest.raises(
        InputError, match=r"train: 0 of \d+ \(2\d+ candidates, with gc 0\.\d+ to 0\.\d+ 0 for \d+ wanted\)"
    ):
        draw_matched(peaks, candidates, COVARIATES, 2, np.random.default_rng(0))


def test_separability_of_few_peaks_is_not_known():
    peaks, candidates = design(9, n_peaks=30, n_candidates=500)
    found = separability(peaks, candidates, COVARIATES, np.random.default_rng(0)).set_index("split")["auroc"]
    assert np.isnan(found["validation"])


def test_inclusion_by_hand():
    assert inclusion(np.array([1.0, 1, 2, 4]), 2) == pytest.approx([0.25, 0.25, 0.5, 1])
    assert inclusion(np.array([1.0, 1, 2, 4]), 3) == pytest.approx([0.5, 0.5, 1, 1])
    assert inclusion(np.array([0.0, 3, 3]), 2) == pytest.approx([0, 1, 1])
    with pytest.raises(ValueError, match="3 rows wanted"):
        inclusion(np.array([0.0, 3, 3]), 3)


def test_systematic_draw_has_the_wanted_chances():
    probabilities = inclusion(np.random.default_rng(0).exponential(size=40), 10)
    order = np.random.default_rng(1).permutation(40)
    counts, n = np.zeros(40), 4000
    for seed in range(n):
        rows = draw(probabilities, order, np.random.default_rng(seed))
        assert len(np.unique(rows)) == 10
        counts[rows] += 1
    assert np.abs(counts / n - probabilities).max() < 0.04


def test_bins_by_hand():
    """Four edges: the values at a third and at two thirds of either column; equal numbers share a bin."""
    peaks, candidates = np.array([0.0, 1, 2, 3]), np.array([10.0, 20, 20, 30])
    of_peaks, of_candidates = quantile_codes(peaks, candidates, 4)
    assert of_peaks.tolist() == [0, 0, 1, 2]  # edges 1, 2, 20
    assert of_candidates.tolist() == [2, 2, 2, 3]
    for column in quantile_codes(np.zeros(5), np.zeros(7), 254):
        assert not column.any()
    assert [len(column) for column in quantile_codes(peaks, candidates[:1], 1)] == [4, 1]


def test_codes_of_many_rows_keep_their_order_and_spread():
    rng = np.random.default_rng(0)
    peaks, candidates = rng.normal(2, 1, 150_000), rng.normal(0, 1, 60_000)
    for column, codes in zip((peaks, candidates), quantile_codes(peaks, candidates, 254), strict=True):
        assert codes.min() == 0 and codes.max() <= 254
        assert (np.diff(codes[np.argsort(column)]) >= 0).all()
        assert np.bincount(codes).max() < 0.02 * len(codes)


def test_one_covariate_has_the_ratio_of_two_normal_densities():
    """Peaks N(1, 1), candidates N(0, 1): the ratio is exp(x - 1/2)."""
    rng = np.random.default_rng(1)
    peaks, candidates = rng.normal(1, 1, 20_000), rng.normal(0, 1, 100_000)
    middle = np.abs(candidates) < 1.5
    for found in (binned_ratio(peaks, candidates), density_ratio(peaks[:, None], candidates[:, None], rng)):
        assert np.abs(np.log(found) - (candidates - 0.5))[middle].mean() < 0.1


@pytest.mark.parametrize("n_peaks", [30, 60, 600])
def test_one_covariate_is_matched_in_all_its_values(n_peaks):
    """Few values, one of which the candidates rarely have: their shares become those of the peaks."""
    rng = np.random.default_rng(2)
    peaks = pd.DataFrame({"name": "train", "gc": rng.choice([0.2, 0.5, 0.9], n_peaks, p=[0.2, 0.3, 0.5])})
    candidates = pd.DataFrame({"name": "train", "gc": rng.choice([0.2, 0.5, 0.9], 40_000, p=[0.5, 0.4, 0.1])})
    negatives, _ = draw_matched(peaks, candidates, ["gc"], 5, rng)
    assert len(negatives) == 5 * n_peaks
    for value in (0.2, 0.5, 0.9):
        assert (negatives["gc"] == value).mean() == pytest.approx((peaks["gc"] == value).mean(), abs=0.02)
