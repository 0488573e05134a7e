"""Learning curves: sizes, intervals and where transfer stops helping."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.curves import choose_sizes, describe_curve, mean_interval, stops_helping, summarize


def curve(*sizes, transfer):
    """Three repetitions; transfer: what is added to scratch at each size, repetition by repetition."""
    rows = []
    for size, gains in zip(sizes, transfer, strict=True):
        for seed, gain in enumerate(gains):
            base = 0.3 + 0.1 * seed
            rows += [(size, seed, "matched", "scratch", base), (size, seed, "matched", "transfer", base + gain)]
    return pd.DataFrame(rows, columns=["n_peaks", "seed", "negatives", "model", "auprc"])


HELPS, NOT, WORSE = (0.10, 0.11, 0.12), (0.05, -0.05, 0.0), (-0.10, -0.11, -0.12)


def test_choose_sizes():
    assert choose_sizes([100, 50, 1000], 142) == [50, 100, 142]
    assert choose_sizes([100], 100) == [100]
    assert choose_sizes([500], 30) == [30]


def test_mean_interval():
    """Of 1, 2, 3: standard error 1/sqrt(3), t of two degrees of freedom 4.3027."""
    mean, low, high = mean_interval([1, 2, 3])
    assert (mean, high - mean) == pytest.approx((2, 4.3027 / np.sqrt(3)), abs=1e-4)
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(mean_interval([1])[1])


def test_differences_are_within_a_repetition():
    """Scratch varies by 0.1 between repetitions, the gain by 0.01 only."""
    summary = summarize(curve(50, transfer=[HELPS])).set_index("model")
    row = summary.loc["transfer"]
    assert row["difference"] == pytest.approx(0.11)
    assert row["difference_high"] - row["difference"] == pytest.approx(4.3027 * 0.01 / np.sqrt(3), abs=1e-5)
    assert row["high"] - row["auprc"] > 0.2
    assert summary.loc["scratch", "difference"] == 0
    assert summary["n"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("gains", "end", "words"),
    [
        ([HELPS, HELPS, NOT], 500, "stops helping from 500 peaks on."),
        ([HELPS, NOT, HELPS], None, "still helps at 500 peaks, the most that were tried."),
        ([NOT, NOT, NOT], 50, "at none of the sizes"),
        ([HELPS, NOT, WORSE], 100, "from 100 peaks on. It makes the network worse at 500 peaks."),
    ],
)
def test_where_it_stops_helping(gains, end, words):
    summary = summarize(curve(50, 100, 500, transfer=gains))
    assert stops_helping(summary) == end
    assert words in describe_curve(summary)


def test_one_repetition_tells_nothing():
    assert "cannot tell" in describe_curve(summarize(curve(50, transfer=[(0.1,)])))
