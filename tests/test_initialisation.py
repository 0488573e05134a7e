"""Filters that start from motifs, and their bias against the exact distribution of scores."""

import itertools
import math

import numpy as np
import pytest
import torch
from cisgrammar.blocks import MemberConv, PWMConv, TiedConv
from cisgrammar.initialisation import log_odds, place, start_from_motifs, threshold
from cisgrammar.layers import MotifDetectors, one_hot
from cisgrammar.log import InputError
from memelite.fimo import _pwm_to_mapping

SKEWED = (0.3, 0.2, 0.2, 0.3)


def random_counts(width, sites=100, seed=0):
    """Counts of a motif whose columns differ in how sharp they are."""
    rng = np.random.default_rng(seed)
    p = np.array([rng.dirichlet([a] * 4) for a in rng.choice([0.1, 0.5, 2.0], width)])
    return np.array([rng.multinomial(sites, column) for column in p]).T


def exact_rate(weights, score, background=(0.25,) * 4, step=1e-3):
    """Probability that a random position exceeds a score, column by column over scores rounded to `step`."""
    table, low = np.ones(1), 0
    for column in np.round(weights / step).astype(int).T:
        longer = np.zeros(len(table) + np.ptp(column))
        for share, weight in zip(background, column - column.min(), strict=True):
            longer[weight : weight + len(table)] += share * table
        table, low = longer, low + column.min()
    return table[(low + np.arange(len(table))) * step > score].sum()


def test_log_odds_by_hand():
    """Three A and one C, and one more site shared out: 3.25, 1.25, 0.25, 0.25 of 5."""
    expected = np.log(np.array([13, 5, 1, 1]) / 5)
    assert log_odds([[3], [1], [0], [0]])[:, 0] == pytest.approx(expected)
    skewed = np.log(np.array([3.3 / 0.3, 1.2 / 0.2, 0.2 / 0.2, 0.3 / 0.3]) / 5)
    assert log_odds([[3], [1], [0], [0]], SKEWED)[:, 0] == pytest.approx(skewed)
    assert log_odds([[0], [0], [0], [0]]) == pytest.approx(0)


def test_threshold_by_hand():
    """One column of 3, -1, -1, -1 has mean 0 and variance 3; four of them 12. A rate of 1/2 is the mean."""
    weights = np.tile([[3.0], [-1], [-1], [-1]], 4)
    assert threshold(weights, 0.5) == pytest.approx(0)
    assert threshold(weights, 0.05) == pytest.approx(1.6448536 * math.sqrt(12))
    assert threshold(np.stack([weights, weights + 1]), 0.5) == pytest.approx([0, 4])
    assert threshold(np.zeros((4, 3)), 0.01) == 0


@pytest.mark.parametrize("background", [(0.25,) * 4, SKEWED])
def test_the_exact_rate_is_that_of_all_words(background):
    weights = log_odds(random_counts(6), background)
    words = np.array(list(itertools.product(range(4), repeat=6)))
    scores = weights[words, np.arange(6)].sum(axis=1)
    shares = np.array(background)[words].prod(axis=1)
    for score in (-3.0, 0.0, 2.5):
        assert exact_rate(weights, score, background) == pytest.approx(shares[scores > score].sum(), abs=1e-3)


def test_the_exact_rate_is_that_of_memelite():
    weights = log_odds(random_counts(12, seed=3))
    smallest, log2_rate = _pwm_to_mapping(weights, 1e-3)
    for score in (-5.0, 0.0, 4.0):
        expected = 2 ** log2_rate[round(score / 1e-3) - smallest]
        assert exact_rate(weights, score) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("background", [(0.25,) * 4, SKEWED])
@pytest.mark.parametrize(("rate", "least", "most"), [(0.05, 0.9, 1.3), (0.01, 0.9, 1.6), (0.001, 0.4, 2)])
def test_the_rate_is_about_the_wanted_one(rate, least, most, background):
    """Nearly so for the sum of many like columns, within a factor for sharp motifs of 8 to 20 bp."""
    ratios = []
    for seed in range(30):
        weights = log_odds(random_counts(8 + seed % 13, seed=seed), background)
        ratios.append(exact_rate(weights, threshold(weights, rate, background), background) / rate)
    assert least < np.median(ratios) < most
    assert max(ratios) < 5
    soft = log_odds(np.tile([[30], [25], [25], [20]], 100), background)
    assert exact_rate(soft, threshold(soft, rate, background), background) == pytest.approx(rate, rel=0.3)


def test_place_by_hand():
    assert place(np.ones((4, 2)), 5)[0].tolist() == [0, 1, 1, 0, 0]
    assert place(np.array([[1.0, 0, 2, 3, 0, 1]] * 4), 3)[0].tolist() == [0, 2, 3]
    assert place(np.ones((4, 3)), 3).shape == (4, 3)


def layers():
    torch.manual_seed(0)
    return [
        MemberConv(2, 4, 3, 9, shared=True),
        TiedConv(2, 4, 3, 9, shared=True),
        PWMConv(2, 4, 3, 9, shared=True),
        PWMConv(2, 4, 3, 9, background=SKEWED, shared=True),
    ]


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: type(layer).__name__)
def test_layers_start_from_motifs(layer):
    """The weights are log-odds with zeros around; the bias fits them; the third filter stays random."""
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    background = layer.log_background.exp().flatten().tolist() if isinstance(layer, PWMConv) else (0.25,) * 4
    matrices = [random_counts(7), random_counts(9, seed=1)]
    start_from_motifs(layer, matrices, rate=0.01)
    for i, counts in enumerate(matrices):
        odds = place(log_odds(counts, background), 9)
        for member in range(2):
            assert layer.weight[member, i].detach().numpy() == pytest.approx(odds, abs=1e-4)
            assert layer.bias[member, i].item() == pytest.approx(-threshold(odds, 0.01, background), abs=1e-3)
    assert torch.equal(layer.weight[:, 2], before[:, 2])
    assert torch.equal(layer.bias[:, 2], bias[:, 2])


def test_detectors_start_from_motifs():
    """Their columns are centred, and the bias fits the centred ones: of random bases about 1% lie above 0."""
    layer = MotifDetectors(1, 1, 11)
    start_from_motifs(layer, [random_counts(11, seed=2)], rate=0.01)
    weight, bias = layer.weight[0, 0].detach(), layer.bias.item()
    assert weight.sum(dim=0).abs().max() < 1e-4
    codes = np.random.default_rng(0).integers(0, 4, (1, 200_000)).astype(np.uint8)
    values = torch.nn.functional.conv1d(one_hot(codes), weight[None]) + bias
    exact = exact_rate(weight.double().numpy(), -bias)
    assert (values > 0).float().mean().item() == pytest.approx(exact, rel=0.1)
    assert 0.005 < exact < 0.02


def test_further_rows_become_zero():
    layer = MemberConv(1, 6, 2, 9, shared=True)
    start_from_motifs(layer, [random_counts(9)])
    assert not layer.free[0, 0, 4:].any()
    assert layer.free[0, 1, 4:].all()


def test_too_many_motifs():
    with pytest.raises(InputError, match="1 filters cannot start from 2 motifs"):
        start_from_motifs(MemberConv(1, 4, 1, 9), [random_counts(9)] * 2)
