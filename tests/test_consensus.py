"""Agreement of replicates: overlaps by hand, then simulated and real replicates."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.consensus import (
    best_scores,
    by_best_idr,
    by_idr,
    overlapping_pairs,
    pair_peaks,
    reproducible,
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
REPLICATES = [
    peaks_of(("chr1", 110, 190, 3), ("chr1", 110, 150, 8), ("chr1", 320, 420, 2), ("chr1", 500, 600, 1)),
    peaks_of(("chr1", 90, 210, 6), ("chr1", 299, 420, 7)),
    peaks_of(("chr1", 100, 200, 9), ("chr1", 360, 460, 9)),  # 40 of 100: too little
]


@pytest.mark.parametrize(("at_least", "starts", "numbers"), [(1, [100, 300, 500], [3, 2, 1]), (3, [100], [3])])
def test_reproducible(at_least, starts, numbers):
    found = reproducible(POOLED, REPLICATES, at_least)
    assert found["start"].tolist() == starts and found["n_replicates"].tolist() == numbers
    pd.testing.assert_frame_equal(found.drop(columns="n_replicates"), POOLED[POOLED["start"].isin(starts)])


def test_reproducible_counts_a_replicate_once():
    """Two peaks of the first replicate lie in the first pooled peak."""
    assert reproducible(POOLED, REPLICATES[:2], 2)["n_replicates"].tolist() == [2, 2]


def test_reproducible_that_cannot_be():
    with pytest.raises(InputError, match="1 replicate given; reproducible peaks need at least two"):
        reproducible(POOLED, REPLICATES[:1], 1)
    for at_least in (0, 4):
        with pytest.raises(InputError, match=f"at least {at_least} replicates, but there are 3"):
            reproducible(POOLED, REPLICATES, at_least)
    with pytest.raises(InputError) as caught:
        reproducible(POOLED, [*REPLICATES[:2], POOLED[:0]], 3)
    assert str(caught.value).startswith(
        "none of 4 pooled peaks is seen in at least 3 of 3 replicates (1 in 0, 1 in 1, 2 in 2, 0 in 3; peaks per "
        "replicate: 4, 2, 0); "
    )


def test_best_scores():
    np.testing.assert_array_equal(best_scores(POOLED, REPLICATES[0]), [8, 2, 1, np.nan])
    assert np.isnan(best_scores(POOLED, POOLED[:0])).all()


def test_pair_peaks():
    paired = pair_peaks(REPLICATES[0], REPLICATES[1], POOLED)
    assert paired.index.tolist() == [0, 1]
    assert paired["score_a"].tolist() == [8, 2] and paired["score_b"].tolist() == [6, 7]


def simulate(seed, n=1500, noise=(1.0, 1.0)):
    """Pooled peaks, half of them signal, and replicates that see all of them; scores of signal agree.

    noise: for each replicate, how much its scores of signal stray
    """
    rng = np.random.default_rng(seed)
    signal = np.arange(n) < n // 2
    strength = rng.normal(6, 1, n)
    pooled = peaks_of(*(("chr1", 1000 * i, 1000 * i + 200) for i in range(n)))
    scores = [np.where(signal, strength + rng.normal(0, 0.4 * s, n), rng.normal(2, 1, n)) for s in noise]
    return pooled.assign(score=strength), [pooled.assign(score=s, start=pooled["start"] + 20) for s in scores], signal


def test_by_idr():
    pooled, (a, b), signal = simulate(1)
    pooled.index = np.zeros(len(pooled), dtype=int)  # an index without meaning does no harm
    found = by_idr(pooled, a, b, 0.05, np.random.default_rng(1))
    assert (found["idr"] <= 0.05).all()
    is_signal = signal[found["start"] // 1000]
    assert is_signal.mean() > 0.93 and is_signal.sum() > 0.9 * signal.sum()
    assert list(found.columns) == [*pooled.columns, "idr"]
    stricter = by_idr(pooled, a, b, 0.001, np.random.default_rng(1))
    assert 0 < len(stricter) < len(found)


def test_best_pair_of_three():
    """The first replicate is noisy and the fourth too small; the pair of the other two passes most peaks."""
    pooled, (a, b, c), _ = simulate(2, noise=(6.0, 1.0, 1.0))
    found, table = by_best_idr(pooled, [a, b, c, c[:10]], 0.05, np.random.default_rng(1))
    assert list(zip(table["a"], table["b"], strict=True)) == [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    best = table.loc[table["n_passing"].idxmax()]
    assert (best["a"], best["b"], best["n_passing"]) == (2, 3, len(found))
    assert table["n_shared"].tolist() == [1500, 1500, 10, 1500, 10, 10]
    few = table["n_shared"] == 10
    assert (table.loc[few, "n_passing"] == 0).all() and table.loc[few, "mu"].isna().all()
    assert table.loc[~few, "p"].between(0.3, 0.7).all()
    alone = by_idr(pooled, b, c, 0.05, np.random.default_rng(1))
    assert found["start"].tolist() == alone["start"].tolist()


def test_idr_that_leaves_nothing():
    pooled, (a, b), _ = simulate(4, n=300)
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="1 replicate given"):
        by_best_idr(pooled, [a], 0.05, rng)
    b = b.assign(score=rng.random(300))
    with pytest.raises(InputError, match=r"none of 300 .* IDR <= 0.05 \(replicates 1 and 2: 0 of 300 shared; at least"):
        by_idr(pooled, a.assign(score=rng.random(300)), b, 0.05, rng)
    with pytest.raises(InputError, match="1 and 2: 0 of 12 shared; at least 20 shared ones are needed"):
        by_idr(pooled, a, b[:12], 0.05, rng)


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
    both = reproducible(pooled, halves, 2)
    assert 0.2 * len(pooled) < len(both) < 0.98 * len(pooled)
    found, table = by_best_idr(pooled, halves, 0.05, np.random.default_rng(1))
    assert 200 < len(found) < len(both)
    assert set(found["start"]) <= set(both["start"])
    assert found["score"].median() > both["score"].median()
    assert table["rho"][0] > 0.4 and 0 < table["p"][0] < 1
