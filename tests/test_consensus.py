"""Agreement of replicates: overlaps by hand, then simulated and real replicates."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.consensus import (
    best_scores,
    choose_peaks,
    compare_replicates,
    overlapping_pairs,
    spearman,
    support,
)
from cisgrammar.log import InputError
from cisgrammar.peaks import call_peaks, read_peaks


def peaks_of(*rows):
    """Peaks (chrom, start, end[, score])."""
    table = pd.DataFrame([(*row, 0.0)[:4] for row in rows], columns=["chrom", "start", "end", "score"])
    table = table.astype({"start": "int64", "end": "int64", "score": float})
    return table.assign(summit=(table["start"] + table["end"]) // 2)[["chrom", "start", "end", "summit", "score"]]


def pairs(a, b):
    return list(zip(*(rows.tolist() for rows in overlapping_pairs(a, b)), strict=True))


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (200, 300, False),  # touches
        (150, 250, True),  # 50 of 100
        (151, 251, False),  # 49 of 100
        (50, 150, True),
        (49, 149, False),
        (190, 210, True),  # 10 of the 20 of the shorter
        (191, 211, False),
        (0, 1000, True),  # the shorter one lies inside
        (120, 121, True),  # a point
        (199, 200, True),
        (99, 100, False),
    ],
)
def test_half_of_the_shorter(start, end, found):
    a, b = peaks_of(("chr1", 100, 200)), peaks_of(("chr1", start, end))
    assert pairs(a, b) == pairs(b, a) == ([(0, 0)] if found else [])
    assert pairs(a, b.assign(chrom="chr2")) == []


def test_pairs_are_those_of_all_against_all():
    rng = np.random.default_rng(1)

    def draw(n):
        starts = rng.integers(0, 2000, n)
        chroms = rng.choice(["chr1", "chr2", "chr3"], n)
        return peaks_of(*zip(chroms, starts, starts + rng.integers(1, 300, n), strict=True))

    a, b = draw(80), draw(60)
    expected = []
    for i, x in enumerate(a.itertuples()):
        for j, y in enumerate(b.itertuples()):
            shared = min(x.end, y.end) - max(x.start, y.start)
            if x.chrom == y.chrom and shared >= 1 and shared >= min(x.end - x.start, y.end - y.start) / 2:
                expected.append((i, j))
    assert len(expected) > 100
    assert pairs(a, b) == expected


POOLED = peaks_of(("chr1", 100, 200, 5), ("chr1", 300, 400, 4), ("chr1", 500, 600, 3), ("chr2", 0, 50, 2))
REPLICATES = {
    "a": peaks_of(("chr1", 110, 190, 3), ("chr1", 110, 150, 8), ("chr1", 320, 420, 2), ("chr1", 500, 600, 1)),
    "b": peaks_of(("chr1", 90, 210, 6), ("chr1", 299, 420, 7)),
    "c": peaks_of(("chr1", 100, 200, 9), ("chr1", 360, 460, 9)),  # 40 of 100: too little
}


def compare(pooled, replicates, threshold=0.05, seed=1):
    return compare_replicates(pooled, replicates, threshold, np.random.default_rng(seed))


def test_comparison_by_hand():
    """Of two peaks of a replicate in one pooled peak the better score counts, and the replicate counts once."""
    peaks, pairs = compare(POOLED, REPLICATES)
    assert list(peaks.columns) == [*("chrom", "start", "end", "n_replicates", "score_a", "score_b", "score_c", "idr")]
    pd.testing.assert_frame_equal(peaks[["chrom", "start", "end"]], POOLED[["chrom", "start", "end"]])
    assert peaks["n_replicates"].tolist() == [3, 2, 1, 0]
    np.testing.assert_array_equal(peaks["score_a"], [8, 2, 1, np.nan])
    np.testing.assert_array_equal(peaks["score_b"], [6, 7, np.nan, np.nan])
    assert peaks["idr"].isna().all()
    found = pairs[["a", "b", "n_a", "n_b", "n_shared", "n_passing"]].to_numpy().tolist()
    assert found == [["a", "b", 4, 2, 2, 0], ["a", "c", 4, 2, 1, 0], ["b", "c", 2, 2, 1, 0]]
    assert pairs[["correlation", "mu", "gain"]].isna().all(axis=None)


@pytest.mark.parametrize(("at_least", "starts"), [(1, [100, 300, 500]), (2, [100, 300]), (3, [100])])
def test_peaks_of_several_replicates(at_least, starts):
    peaks, pairs = compare(POOLED, REPLICATES)
    assert peaks["start"][choose_peaks(peaks, pairs, "reproducible", at_least, 0.05)].tolist() == starts


def test_agreement_that_cannot_be():
    with pytest.raises(InputError, match="1 replicate given; reproducible peaks need at least two"):
        compare(POOLED, {"a": REPLICATES["a"]})
    peaks, pairs = compare(POOLED, REPLICATES)
    with pytest.raises(InputError, match=r"at least 4 replicates, but there are 3; lower peaks\.at_least"):
        choose_peaks(peaks, pairs, "reproducible", 4, 0.05)
    peaks, pairs = compare(POOLED, REPLICATES | {"c": POOLED[:0]})
    with pytest.raises(InputError) as caught:
        choose_peaks(peaks, pairs, "reproducible", 3, 0.05)
    assert str(caught.value).startswith(
        "none of 4 pooled peaks is seen in at least 3 of 3 replicates (1 in 0, 1 in 1, 2 in 2, 0 in 3; peaks per "
        "replicate: 4, 2, 0); "
    )


def test_best_scores():
    np.testing.assert_array_equal(best_scores(POOLED, REPLICATES["a"]), [8, 2, 1, np.nan])
    assert np.isnan(best_scores(POOLED, POOLED[:0])).all()


def test_spearman():
    """Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5."""
    assert spearman(np.array([1, 5, 5, 9]), np.array([0, 2, 1, 7])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_support():
    """A window is supported by a replicate with a peak over half of it, or over half of which it lies."""
    windows = peaks_of(("chr1", 150, 250), ("chr2", 0, 100), ("chr1", 100, 200))
    windows.index = [7, 7, 7]
    points = peaks_of(("chr2", 99, 100), ("chr2", 100, 101))
    found = support(windows, {"1": peaks_of(("chr1", 200, 400), ("chr1", 149, 151)), "x y": points, "none": points[:0]})
    assert (found["chrom"].tolist(), found["start"].tolist()) == (["chr1", "chr2", "chr1"], [150, 0, 100])
    columns = {"replicate_1": [1, 0, 1], "replicate_x y": [0, 1, 0], "replicate_none": [0, 0, 0]}
    assert found.iloc[:, 3:].to_dict("list") == columns


def simulate(seed, n=1500, noise=(1.0, 1.0)):
    """Pooled peaks, half of them signal, and replicates that see all of them; scores of signal agree.

    noise: for each replicate, how much its scores of signal stray
    """
    rng = np.random.default_rng(seed)
    signal = np.arange(n) < n // 2
    strength = rng.normal(6, 1, n)
    pooled = peaks_of(*(("chr1", 1000 * i, 1000 * i + 200) for i in range(n)))
    scores = [np.where(signal, strength + rng.normal(0, 0.4 * s, n), rng.normal(2, 1, n)) for s in noise]
    return (
        pooled.assign(score=strength),
        {name: pooled.assign(score=s, start=pooled["start"] + 20) for name, s in zip("abcd", scores, strict=False)},
        signal,
    )


def test_rate_between_replicates():
    pooled, replicates, signal = simulate(1)
    pooled.index = np.zeros(len(pooled), dtype=int)  # an index without meaning does no harm
    peaks, pairs = compare(pooled, replicates)
    kept = choose_peaks(peaks, pairs, "idr", 2, 0.05)
    assert kept.sum() == pairs["n_passing"][0]
    assert signal[kept].mean() > 0.93 and signal[kept].sum() > 0.9 * signal.sum()
    assert 0 < choose_peaks(peaks, pairs, "idr", 2, 0.001).sum() < kept.sum()
    assert pairs["correlation"][0] == pytest.approx(peaks["score_a"].corr(peaks["score_b"], method="spearman"))


def test_best_pair_of_three():
    """The first replicate is noisy and the fourth too small; the pair of the other two passes most peaks."""
    pooled, replicates, _ = simulate(2, noise=(6.0, 1.0, 1.0))
    replicates["d"] = replicates["c"][:10]
    peaks, pairs = compare(pooled, replicates)
    assert (pairs["a"] + pairs["b"]).tolist() == ["ab", "ac", "ad", "bc", "bd", "cd"]
    best = pairs.loc[pairs["n_passing"].idxmax()]
    kept = choose_peaks(peaks, pairs, "idr", 2, 0.05)
    assert (best["a"], best["b"], best["n_passing"]) == ("b", "c", kept.sum())
    assert pairs["n_shared"].tolist() == [1500, 1500, 10, 1500, 10, 10]
    few = pairs["n_shared"] == 10
    assert (pairs.loc[few, "n_passing"] == 0).all() and pairs.loc[few, "mu"].isna().all()
    assert pairs.loc[~few, "p"].between(0.3, 0.7).all()
    alone, of_two = compare(pooled, {name: replicates[name] for name in "bc"})
    assert (choose_peaks(alone, of_two, "idr", 2, 0.05) == kept).all()


def test_rate_that_leaves_nothing():
    pooled, replicates, _ = simulate(4, n=300)
    rng = np.random.default_rng(1)
    a, b = (replicates[name].assign(score=rng.random(300)) for name in "ab")
    for other, words in ((b, "0 of 300 shared; at least 20"), (b[:12], "0 of 12 shared; at least 20 shared ones")):
        peaks, pairs = compare(pooled, {"a": a, "b": other})
        with pytest.raises(InputError, match=rf"none of 300 .* IDR <= 0.05 \(replicates a and b: {words}"):
            choose_peaks(peaks, pairs, "idr", 2, 0.05)


def test_halves_of_real_reads(shared, tmp_path):
    """CTCF reads split in two by chance: most peaks of all reads are seen in both halves, and IDR keeps the strong."""
    folder = shared / "macs3"
    if not folder.is_dir():
        pytest.skip("the CTCF reads of macs3 are not there (folder shared/data/macs3 beside the checkout)")
    reads = pd.read_csv(folder / "CTCF_SE_ChIP_chr22_50k.bed.gz", sep="\t", header=None)
    half = np.random.default_rng(1).random(len(reads)) < 0.5
    called = []
    for name, rows in (("pooled", reads), ("first", reads[half]), ("second", reads[~half])):
        rows.to_csv(tmp_path / f"{name}.bed", sep="\t", header=False, index=False)
        output = tmp_path / f"{name}.narrowPeak"
        files = [{"file": str(tmp_path / f"{name}.bed"), "role": "treatment", "format": "BED"}]
        call_peaks(files, 52_000_000, 0.5, "--nomodel --extsize 230", output)
        called.append(read_peaks([output]))
    pooled, *halves = called
    peaks, pairs = compare(pooled, dict(zip("ab", halves, strict=True)))
    both, found = (choose_peaks(peaks, pairs, consensus, 2, 0.05) for consensus in ("reproducible", "idr"))
    assert 0.2 * len(pooled) < both.sum() < 0.98 * len(pooled)
    assert 200 < found.sum() < both.sum() and both[found].all()
    assert pooled["score"][found].median() > pooled["score"][both].median()
    assert pairs["rho"][0] > 0.4 and 0 < pairs["p"][0] < 1 and pairs["correlation"][0] > 0.4
