"""Metrics against scikit-learn and by hand; site scores against a scan base by base."""

import numpy as np
import pytest
from cisgrammar.evaluation import best_sites, choose_matrix, evaluate, fit_gc, log_odds, measure, weighted_areas
from sklearn.metrics import average_precision_score, roc_auc_score

LABELS, SCORES = np.array([1, 0, 1, 0, 0]), np.array([5.0, 4.0, 3.0, 2.0, 1.0])


def matrix_of(consensus, share=0.97):
    matrix = np.full((4, len(consensus)), (1 - share) / 3)
    matrix[["ACGT".index(base) for base in consensus], np.arange(len(consensus))] = share
    return matrix


def codes_of(sequence):
    return np.array(["ACGTN".index(base) for base in sequence], dtype=np.uint8)


def random_labels(n, rng, share=0.3):
    labels = (rng.random(n) < share).astype(int)
    return labels, labels + rng.normal(0, 1, n)


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


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_areas_equal_scikit_learn(ties):
    rng = np.random.default_rng(0)
    for n in (10, 200):
        for _ in range(10):
            labels, scores = random_labels(n, rng)
            labels[:2] = 0, 1
            scores = np.round(scores) if ties else scores
            weights = rng.integers(1, 5, n)
            auroc, auprc = weighted_areas(labels, scores, weights)
            assert auroc == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)
            assert auprc == pytest.approx(average_precision_score(labels, scores, sample_weight=weights), abs=1e-12)


def test_weighted_areas_by_hand():
    # the positives have precision 1/1 and 2/3; of 6 pairs only (3, 4) is in the wrong order
    assert weighted_areas(LABELS, SCORES, np.ones(5, dtype=int)) == pytest.approx((5 / 6, (1 + 2 / 3) / 2))
    # twice the window of score 4: pairs 6 of 8 right, precision 1/1 and 2/4
    assert weighted_areas(LABELS, SCORES, np.array([1, 2, 1, 1, 1])) == pytest.approx((6 / 8, (1 + 2 / 4) / 2))
    assert weighted_areas(LABELS, np.zeros(5), np.ones(5, dtype=int)) == pytest.approx((0.5, 0.4))


def test_measure_by_hand():
    found = measure(LABELS, SCORES, np.arange(5), 100, np.random.default_rng(0))
    assert (found["n_pos"], found["n_neg"], found["prevalence"]) == (2, 3, pytest.approx(0.4))
    assert found["auroc"] == pytest.approx(5 / 6)
    assert found["auprc"] == pytest.approx(5 / 6)


def test_intervals_hold_the_point():
    rng = np.random.default_rng(1)
    labels, scores = random_labels(400, rng)
    found = measure(labels, scores, np.arange(400) // 10, 200, rng)
    assert 0 < found["auroc_low"] < found["auroc"] < found["auroc_high"] < 1
    assert 0 < found["auprc_low"] < found["auprc"] < found["auprc_high"] < 1


def test_a_perfect_and_a_reversed_ranking():
    labels = np.repeat([1, 0], [30, 70])
    found = measure(labels, labels.astype(float), np.arange(100), 50, np.random.default_rng(0))
    assert [found[name] for name in found if name.startswith("au")] == [1.0] * 6
    found = measure(labels, -labels.astype(float), np.arange(100), 50, np.random.default_rng(0))
    assert found["auroc"] == found["auroc_high"] == 0
    assert found["auprc"] > 0


def test_whole_blocks_are_drawn():
    rng = np.random.default_rng(2)
    labels, scores = random_labels(60, rng)
    one = measure(labels, scores, np.zeros(60, dtype=int), 50, np.random.default_rng(0))
    for area in ("auroc", "auprc"):
        assert one[f"{area}_low"] == pytest.approx(one[area])
        assert one[f"{area}_high"] == pytest.approx(one[area])
    # each window twice, both in one block: nothing is learned from the copies
    single = measure(labels, scores, np.arange(60), 50, np.random.default_rng(0))
    double = measure(*(np.repeat(x, 2) for x in (labels, scores, np.arange(60))), 50, np.random.default_rng(0))
    for name in ("auroc_low", "auroc_high", "auprc_low", "auprc_high"):
        assert double[name] == pytest.approx(single[name])


def test_samples_of_one_class_are_drawn_again():
    labels, scores = np.array([1, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 0.0])
    found = measure(labels, scores, np.array([0, 0, 1, 1]), 20, np.random.default_rng(0))
    assert found["auroc_low"] == found["auroc_high"] == pytest.approx(3 / 4)


def test_no_samples_no_interval():
    found = measure(np.array([1, 0]), np.array([1.0, 0.0]), np.array([0, 1]), 0, np.random.default_rng(0))
    assert (found["auroc"], found["auprc"]) == (1, 1)
    assert np.isnan(found["auroc_low"])


def example_windows(n, rng):
    labels, scores = random_labels(n, rng)
    chrom = np.repeat(["chr8", "chr9"], [n // 2, n - n // 2])
    windows = {"label": labels.astype(np.uint8), "chrom": chrom, "start": np.arange(n, dtype=np.int64) * 100}
    return {**windows, "negatives": np.where(labels == 1, "", "matched")}, scores


def test_evaluate_gives_each_model_the_same_samples():
    windows, scores = example_windows(100, np.random.default_rng(3))
    table = evaluate(windows, {"cnn": scores, "pwm": scores.copy(), "gc": -scores}, 50, 1000, 4)
    assert table["model"].tolist() == ["cnn", "pwm", "gc"]
    assert table["negatives"].tolist() == ["matched"] * 3
    assert table.drop(columns="model").iloc[0].equals(table.drop(columns="model").iloc[1])
    assert table["auroc"][2] == pytest.approx(1 - table["auroc"][0])
    assert (table["n_pos"] + table["n_neg"] == 100).all()


def test_blocks_end_with_the_chromosome():
    windows, scores = example_windows(100, np.random.default_rng(3))
    windows["start"] = windows["start"] % 5000  # the same places on both chromosomes
    two = evaluate(windows, {"cnn": scores}, 50, 10_000, 4).iloc[0]
    assert two["auroc_low"] < two["auroc_high"]
    one = evaluate({**windows, "chrom": np.full(100, "chr8")}, {"cnn": scores}, 50, 10_000, 4).iloc[0]
    assert one["auroc_low"] == pytest.approx(one["auroc_high"])


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

    monkeypatch.setattr("cisgrammar.evaluation.best_sites", counting)
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 4, (100, 40)).astype(np.uint8)
    labels = np.repeat([1, 0], [25, 75])
    choose_matrix({"MA0001.1": ("A", matrix_of("TGACTCAGC"))}, codes, labels, rng, most=most)
    assert looked_at == [expected]


def gc_windows(shares, rng):
    """Windows of 200 bp with the given GC contents."""
    gc = rng.random((len(shares), 200)) < np.asarray(shares)[:, None]
    return np.where(gc, rng.choice([1, 2], gc.shape), rng.choice([0, 3], gc.shape)).astype(np.uint8)


def test_gc_alone():
    rng = np.random.default_rng(7)
    codes = gc_windows(np.repeat([0.6, 0.4], [100, 300]), rng)
    predict = fit_gc(codes, np.repeat([1, 0], [100, 300]))
    assert predict(codes).mean() == pytest.approx(0.25, abs=0.01)
    low, middle, high = predict(gc_windows([0.3, 0.5, 0.7], rng))
    assert 0 <= low < 0.05 < middle < high <= 1
    unknown = np.full((1, 200), 4, dtype=np.uint8)
    half = np.tile(np.array([0, 1], dtype=np.uint8), 100)[None]
    assert predict(unknown) == pytest.approx(predict(half))


def test_gc_in_the_middle():
    """The square lets windows of middling GC content score best."""
    rng = np.random.default_rng(8)
    codes = gc_windows(np.repeat([0.5, 0.3, 0.7], 100), rng)
    predict = fit_gc(codes, np.repeat([1, 0, 0], 100))
    low, middle, high = predict(gc_windows([0.3, 0.5, 0.7], rng))
    assert middle > 0.5 > max(low, high)


def test_each_set_of_negatives_is_scored_on_its_own_against_all_peaks():
    label = np.array([1, 1, 0, 0, 0, 0, 0])
    windows = {"label": label, "chrom": np.full(7, "chr8"), "start": np.arange(7) * 1000}
    windows["negatives"] = np.array(["", "", "matched", "matched", "matched", "motif", "motif"])
    table = evaluate(windows, {"cnn": np.array([3.0, 2, 1, 1, 1, 4, 2.5])}, 10, 1000, 0).set_index("negatives")
    assert table["n_neg"].to_dict() == {"matched": 3, "motif": 2}
    assert (table["n_pos"] == 2).all()
    assert table.loc["matched", "auroc"] == 1
    assert table.loc["motif", "auroc"] == pytest.approx(1 / 4)
