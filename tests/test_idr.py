"""Irreproducible discovery rate: steps by hand, then simulated replicates whose parameters and noise are known."""

import numpy as np
import pytest
from cisgrammar.idr import (
    BOUNDS,
    STARTS,
    Parameters,
    estimate_idr,
    expect,
    fit_em,
    fit_mixture,
    irreproducible_rates,
    log_densities,
    log_likelihood,
    maximise,
    pseudo_values,
    ranks,
)
from cisgrammar.log import InputError
from scipy.special import ndtri
from scipy.stats import multivariate_normal, norm


def simulate(n, parameters, seed):
    """Scores (n, 2) of two replicates, and which pairs are reproducible."""
    rng = np.random.default_rng(seed)
    mu, sigma, rho, p = parameters
    reproducible = rng.random(n) < p
    z = rng.standard_normal((n, 2))
    shared = rng.multivariate_normal([mu, mu], sigma**2 * np.array([[1, rho], [rho, 1]]), n)
    return np.exp(np.where(reproducible[:, None], shared, z)), reproducible


def test_ranks():
    rng = np.random.default_rng(1)
    assert ranks(np.array([0.5, -1.0, 9.0]), rng).tolist() == [2, 1, 3]
    tied = np.array([ranks(np.array([7.0, 1.0, 7.0]), rng) for _ in range(200)])
    assert (tied[:, 1] == 1).all()
    assert 70 < (tied[:, 0] == 2).sum() < 130  # a tie falls either way
    assert (tied[:, 0] + tied[:, 2] == 5).all()


def test_ranks_of_ties_follow_the_seed():
    scores = np.zeros(50)
    first, same, other = (ranks(scores, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == same).all() and (first != other).any()


def test_pseudo_values_of_one_component_are_normal_quantiles():
    """Both components equal: the mixture is N(0, 1), with quartiles -0.67449, 0, 0.67449."""
    np.testing.assert_allclose(pseudo_values(3, Parameters(0, 1, 0.5, 0.5)), [-0.67449, 0, 0.67449], atol=1e-5)


def test_pseudo_values_of_two_components():
    """Half N(3, 1), half N(0, 1): the median is 1.5 by symmetry, and every value gives back its rank."""
    parameters = Parameters(3.0, 1.0, 0.5, 0.5)
    values = pseudo_values(99, parameters)
    assert values[49] == pytest.approx(1.5, abs=1e-4)
    back = 0.5 * norm.cdf(values - 3) + 0.5 * norm.cdf(values)
    np.testing.assert_allclose(back, np.arange(1, 100) / 100, atol=1e-6)


@pytest.mark.parametrize(
    "parameters", [Parameters(5, 3, 0.5, 0.01), Parameters(0, 0.2, 0, 0.9), Parameters(20, 20, 0, 0.5)]
)
def test_pseudo_values_of_unusual_parameters_give_back_their_ranks(parameters):
    mu, sigma, _, p = parameters
    values = pseudo_values(999, parameters)
    back = p * norm.cdf((values - mu) / sigma) + (1 - p) * norm.cdf(values)
    np.testing.assert_allclose(back, np.arange(1, 1000) / 1000, atol=2e-4)


def test_pseudo_values_in_the_tails():
    n = 1_000_000
    values = pseudo_values(n, Parameters(0, 1, 0, 0.5))
    np.testing.assert_allclose(values[[0, -1]], [ndtri(1 / (n + 1)), -ndtri(1 / (n + 1))], atol=1e-3)
    assert (np.diff(values) > 0).all()


def test_densities_by_hand():
    """mu = 1, sigma = 2, rho = 0.6 at (3, 1): x = (1, 0), square = 1 / 0.64; determinant 16 x 0.64."""
    parameters = Parameters(1.0, 2.0, 0.6, 0.3)
    reproducible, noise = log_densities(np.array([[3.0, 1.0]]), parameters)
    assert reproducible[0] == pytest.approx(-np.log(2 * np.pi * np.sqrt(16 * 0.64)) - 0.5 / 0.64)
    assert noise[0] == pytest.approx(-np.log(2 * np.pi) - 5)
    assert reproducible[0] == pytest.approx(multivariate_normal.logpdf([3, 1], [1, 1], [[4, 2.4], [2.4, 4]]))


def test_e_step_by_hand():
    """mu = 2, sigma = 1, rho = 0: noise is e^(-2 (z1 + z2) + 4) times as dense, and p = 1/3 doubles its odds.

    At (1, 1) both are equally dense: 1/3. At (2, 2) the odds are e^4 / 2, at (0, 0) e^-4 / 2.
    """
    parameters = Parameters(2.0, 1.0, 0.0, 1 / 3)
    found = expect(np.array([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0], [2.0, 0.0]]), parameters)
    up, down = np.exp(4) / 2, np.exp(-4) / 2
    np.testing.assert_allclose(found, [1 / 3, up / (1 + up), down / (1 + down), 1 / 3])


def test_e_step_of_extreme_values():
    found = expect(np.array([[60.0, 60.0], [-60.0, -60.0]]), Parameters(2.0, 1.0, 0.0, 0.5))
    assert found.tolist() == [pytest.approx(1), pytest.approx(0)]


def test_m_step_by_hand():
    """Weights 1, 1, 0: mean of 1, 3, 3, 5 is 3; variance (4 + 0 + 0 + 4) / 4 = 2; covariance (0 + 0) / 2 = 0."""
    z = np.array([[1.0, 3.0], [3.0, 5.0], [-9.0, 40.0]])
    found = maximise(z, np.array([1.0, 1.0, 0.0]))
    assert found == pytest.approx(Parameters(3.0, np.sqrt(2), 0.0, 2 / 3))
    # (1, 1) and (3, 3): mean 2, variance 1, correlation 1, held below 1
    assert maximise(np.array([[1.0, 1.0], [3.0, 3.0]]), np.ones(2)) == (2.0, 1.0, BOUNDS["rho"][1], BOUNDS["p"][1])


def test_m_step_without_weight_stays_within_bounds():
    found = maximise(np.ones((3, 2)), np.zeros(3))
    assert all(low <= value <= high for value, (low, high) in zip(found, BOUNDS.values(), strict=True))


def test_log_likelihood_is_that_of_a_copula():
    """0 where the reproducible part is noise itself; for p near 1 the Gaussian copula density."""
    z = np.array([[0.3, 1.2], [-2.0, 0.1]])
    assert log_likelihood(z, Parameters(0.0, 1.0, 0.0, 0.4)) == pytest.approx(0, abs=1e-12)
    x, y, rho = z[:, 0], z[:, 1], 0.5
    copula = -0.5 * np.log(1 - rho**2) - (rho**2 * (x**2 + y**2) - 2 * rho * x * y) / (2 * (1 - rho**2))
    assert log_likelihood(z, Parameters(0.0, 1.0, rho, 1 - 1e-12)) == pytest.approx(copula.sum(), abs=1e-9)


def test_global_rate_by_hand():
    """Sorted 0.1, 0.1, 0.4, 0.6: means 0.1, 0.1, 0.2, 0.3; equal local rates share theirs."""
    np.testing.assert_allclose(irreproducible_rates(np.array([0.6, 0.1, 0.4, 0.1])), [0.3, 0.1, 0.2, 0.1])
    np.testing.assert_allclose(irreproducible_rates(np.array([0.5, 0.2, 0.5])), [0.4, 0.2, 0.4])
    assert len(irreproducible_rates(np.array([]))) == 0


@pytest.mark.parametrize(
    "truth",
    [
        Parameters(2.6, 1.3, 0.8, 0.7),
        Parameters(2.5, 1.0, 0.8, 0.3),
        Parameters(3.0, 1.0, 0.9, 0.05),
    ],
)
def test_known_parameters_are_recovered(truth):
    scores, reproducible = simulate(20_000, truth, seed=4)
    fit = estimate_idr(scores[:, 0], scores[:, 1], np.random.default_rng(1))
    assert fit.parameters.mu == pytest.approx(truth.mu, abs=0.1)
    assert fit.parameters.sigma == pytest.approx(truth.sigma, abs=0.15)
    assert fit.parameters.rho == pytest.approx(truth.rho, abs=0.03)
    assert fit.parameters.p == pytest.approx(truth.p, abs=0.02)
    passing = fit.idr <= 0.05
    assert (~reproducible[passing]).mean() == pytest.approx(0.05, abs=0.015)  # the rate is what it says
    assert reproducible[passing].sum() > 0.8 * reproducible.sum()
    assert np.corrcoef(fit.local, ~reproducible)[0, 1] > 0.8


def test_search_finds_what_expectation_maximisation_misses():
    truth = Parameters(2.6, 1.3, 0.8, 0.7)
    scores, _ = simulate(5000, truth, seed=5)
    rng = np.random.default_rng(1)
    pairs = np.column_stack([ranks(scores[:, 0], rng), ranks(scores[:, 1], rng)])

    def likelihood(parameters):
        return log_likelihood(pseudo_values(5000, parameters)[pairs - 1], parameters)

    by_em = fit_em(pairs, STARTS[0], steps=200)
    found, best = fit_mixture(pairs)
    assert best == pytest.approx(likelihood(found))
    assert best > likelihood(truth) > likelihood(by_em)
    assert abs(found.sigma - 1.3) < abs(by_em.sigma - 1.3)


def test_all_reproducible():
    scores, _ = simulate(1000, Parameters(2.0, 1.0, 0.9, 1.0), seed=6)
    fit = estimate_idr(scores[:, 0], scores[:, 1], np.random.default_rng(1))
    assert (fit.idr <= 0.05).all()
    assert fit.parameters.p > 0.95 and fit.parameters.rho == pytest.approx(0.9, abs=0.03)


def test_identical_replicates():
    scores = np.random.default_rng(2).random(200)
    assert (estimate_idr(scores, scores, np.random.default_rng(1)).idr <= 0.05).all()


@pytest.mark.parametrize("n", [20, 300, 3000])
def test_all_noise(n):
    rng = np.random.default_rng(n)
    fit = estimate_idr(rng.random(n), rng.random(n), rng)
    assert (fit.idr == 1).all() and (fit.local == 1).all() and fit.gain < 10


def test_opposite_and_constant_replicates():
    scores = np.random.default_rng(3).random(500)
    for other in (-scores, np.zeros(500)):
        assert (estimate_idr(scores, other, np.random.default_rng(1)).idr == 1).all()


def test_only_ranks_count_and_replicates_may_be_swapped():
    scores, _ = simulate(1500, Parameters(2.5, 1.0, 0.8, 0.4), seed=7)
    a, b = scores.T
    fit, other, swapped = (
        estimate_idr(x, y, np.random.default_rng(1)) for x, y in ((a, b), (np.log(a) * 3, b**2), (b, a))
    )
    np.testing.assert_array_equal(fit.idr, other.idr)
    np.testing.assert_allclose(fit.idr, swapped.idr, atol=1e-4)
    assert ((fit.idr >= 0) & (fit.idr <= fit.local.max())).all()


def test_ties_follow_the_seed():
    scores, reproducible = simulate(3000, Parameters(2.6, 1.0, 0.8, 0.4), seed=8)
    a, b = np.round(scores).T
    first, same = (estimate_idr(a, b, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first.idr, same.idr)
    assert (~reproducible[first.idr <= 0.05]).mean() < 0.08


def test_bad_scores():
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="19 peaks are shared by both replicates, fewer than the 20"):
        estimate_idr(np.arange(19), np.arange(19), rng)
    with pytest.raises(InputError, match="2 of 30 peaks have a score that is no number"):
        estimate_idr([np.nan, *range(29)], [*range(29), np.inf], rng)
    with pytest.raises(ValueError, match=r"\(30,\) and \(29,\)"):
        estimate_idr(np.arange(30), np.arange(29), rng)
