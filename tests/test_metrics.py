"""Metrics by hand and against scikit-learn; the bootstrap over blocks."""

import numpy as np
import pytest
from cisgrammar.metrics import Ranking, bootstrap, draw_blocks, interval, place_blocks, rank_bins
from sklearn.metrics import average_precision_score, roc_auc_score

LABELS, SCORES = np.array([1, 0, 1, 0, 0]), np.array([5.0, 4.0, 3.0, 2.0, 1.0])


def areas(labels, scores, weights=None):
    """Metrics where each window is a block of its own and counts as often as its weight says."""
    n = len(labels)
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    return Ranking(labels, scores, np.arange(n), n)(weights[None])[0]


def sampled(labels, scores, block, n_samples, seed=0):
    _, block = np.unique(block, return_inverse=True)
    n_blocks = block.max() + 1
    measures = {"cnn": [Ranking(labels, scores, block, n_blocks)]}
    points, samples = bootstrap(measures, labels, block, n_blocks, n_samples, np.random.default_rng(seed))
    return points["cnn"], samples["cnn"]


def random_labels(n, rng, share=0.3):
    labels = (rng.random(n) < share).astype(int)
    labels[:2] = 0, 1
    return labels, labels + rng.normal(0, 1, n)


def test_bins_by_hand():
    bins, n = rank_bins(np.array([0, 1, 0, 0, 1, 0, 0]), np.array([9.0, 8, 8, 7, 6, 5, 4]))
    assert (bins.tolist(), n) == ([0, 1, 1, 2, 3, 4, 4], 5)
    with pytest.raises(ValueError, match="1 of 2 scores are nan"):
        rank_bins(np.array([0, 1]), np.array([np.nan, 1]))


def test_metrics_by_hand():
    # the positives have precision 1/1 and 2/3; of 6 pairs only (3, 4) is in the wrong order; one is found without error
    assert areas(LABELS, SCORES) == pytest.approx([5 / 6, (1 + 2 / 3) / 2, 1, 1 / 2])
    # twice the window of score 4: pairs 6 of 8 right, precision 1/1 and 2/4
    assert areas(LABELS, SCORES, [1, 2, 1, 1, 1]) == pytest.approx([6 / 8, (1 + 2 / 4) / 2, 1, 1 / 2])
    # all tied: everything is called at once
    assert areas(LABELS, np.zeros(5)) == pytest.approx([0.5, 0.4, 0.4, 0])
    # the best window is no positive: precision of the first 5% is 1/2, and no threshold has 90% precision
    assert areas(1 - LABELS, SCORES) == pytest.approx([1 / 6, (1 / 2 + 2 / 4 + 3 / 5) / 3, 1 / 2, 0])


def test_recall_where_a_tenth_is_false():
    """Nine positives, one negative, one positive: 9 of 10 called are right, and so are 10 of 11."""
    labels = np.array([1] * 9 + [0, 1, 0, 0, 1])
    assert areas(labels, -np.arange(14.0))[3] == pytest.approx(10 / 11)
    # 21 positives: the first 5% are two, of which one comes after a negative
    labels = np.array([1, 0, 1] + [1] * 19)
    assert areas(labels, -np.arange(22.0))[2] == pytest.approx(2 / 3)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_equal_scikit_learn(ties):
    rng = np.random.default_rng(0)
    for n in (10, 200):
        for _ in range(10):
            labels, scores = random_labels(n, rng)
            scores = np.round(scores) if ties else scores
            weights = rng.integers(0, 5, n)
            weights[:2] = 1
            auroc, auprc = areas(labels, scores, weights)[:2]
            assert auroc == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
            assert auprc == pytest.approx(average_precision_score(labels, scores, sample_weight=weights), abs=1e-12)


def test_metrics_of_one_class_are_not_known():
    for labels in (np.zeros(3, dtype=int), np.ones(3, dtype=int)):
        point, samples = sampled(labels, np.arange(3.0), np.arange(3), 20)
        assert np.isnan(point).all() and samples.shape == (0, 4)


def test_intervals_hold_the_point_and_a_perfect_ranking_has_none():
    rng = np.random.default_rng(1)
    labels, scores = random_labels(400, rng)
    point, samples = sampled(labels, scores, np.arange(400) // 10, 200)
    low, high = interval(samples)
    assert samples.shape == (200, 4)
    assert ((low[:2] < point[:2]) & (point[:2] < high[:2]) & (low[:2] > 0) & (high[:2] < 1)).all()
    point, samples = sampled(labels, labels.astype(float), np.arange(400), 50)
    assert (point == 1).all() and samples == pytest.approx(1)


def test_whole_blocks_are_drawn():
    rng = np.random.default_rng(2)
    labels, scores = random_labels(60, rng)
    point, samples = sampled(labels, scores, np.zeros(60, dtype=int), 50)
    assert samples == pytest.approx(np.tile(point, (50, 1)))
    # each window twice, both in one block: nothing is learned from the copies
    _, single = sampled(labels, scores, np.arange(60), 50)
    _, double = sampled(*(np.repeat(x, 2) for x in (labels, scores, np.arange(60))), 50)
    assert double == pytest.approx(single)


def test_samples_of_one_class_are_drawn_again():
    labels, scores = np.array([1, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 0.0])
    _, samples = sampled(labels, scores, np.array([0, 0, 1, 1]), 20)
    assert len(samples) == 20 and samples[:, 0] == pytest.approx(3 / 4)


def test_no_samples_no_interval():
    point, samples = sampled(np.array([1, 0]), np.array([1.0, 0.0]), np.array([0, 1]), 0)
    assert point[:2].tolist() == [1, 1]
    assert np.isnan(interval(samples)).all()


def test_as_many_blocks_are_drawn_as_there_are():
    labels, block = np.tile([0, 1], 30), np.arange(60) // 4
    parts = list(draw_blocks(labels, block, 15, 100, np.random.default_rng(0), at_once=30))
    assert [len(part) for part in parts] == [30, 30, 30, 10]
    assert (np.concatenate(parts).sum(axis=1) == 15).all()
    assert np.concatenate(parts).mean(axis=0) == pytest.approx(np.ones(15), abs=0.5)


def test_blocks_end_with_the_chromosome():
    block, n = place_blocks(["chr8", "chr8", "chr9", "chr8", "chr9"], [0, 99, 50, 100, 1000], 100)
    assert (block.tolist(), n) == ([0, 0, 2, 1, 3], 4)
