"""Learning curves: from how many peaks on transfer stops helping."""

import numpy as np
import pandas as pd
from scipy import stats

MODELS = ("scratch", "transfer", "delivered")


def choose_sizes(wanted, available):
    """The sizes of a curve: those wanted that are below the number of peaks there are, then that number."""
    return [*sorted(size for size in set(wanted) if size < available), available]


def summarize(curve):
    """The mean of each model at each size and how much more than `scratch` it is, with 95% intervals.

    curve: data frame n_peaks, seed, negatives, model, auprc, a row per repetition; the models of a repetition learned from
    the same peaks, so differences are taken within it
    The interval is that of a t-distributed mean where there are two repetitions or more, else nan.
    Returns a data frame negatives, n_peaks, model, n, auprc, low, high, difference, difference_low, difference_high.
    """
    rows = []
    for (negatives, n_peaks), part in curve.groupby(["negatives", "n_peaks"], sort=False):
        wide = part.pivot(index="seed", columns="model", values="auprc")
        for model in (name for name in MODELS if name in wide):
            point = mean_interval(wide[model])
            gap = mean_interval(wide[model] - wide["scratch"])
            names = ("auprc", "low", "high", "difference", "difference_low", "difference_high")
            row = {"negatives": negatives, "n_peaks": n_peaks, "model": model, "n": len(wide)}
            rows.append(row | dict(zip(names, (*point, *gap), strict=True)))
    return pd.DataFrame(rows)


def mean_interval(values):
    """(mean, low, high) of a mean, 95% by Student's t; low and high are nan for a single value."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), np.nan, np.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def stops_helping(summary, model="transfer"):
    """The smallest number of peaks from which on a model is nowhere surely better than `scratch`; None where it always helps.

    summary: of `summarize`, of one set of negatives. Better for sure: the interval of the difference is above zero.
    """
    rows = summary[summary["model"] == model].sort_values("n_peaks")
    helps = (rows["difference_low"] > 0).to_numpy()
    first = int(np.flatnonzero(helps).max()) + 1 if helps.any() else 0
    return None if first == len(rows) else int(rows["n_peaks"].iloc[first])


def describe_curve(summary, model="transfer"):
    """What the curve says, in a sentence."""
    rows = summary[summary["model"] == model].sort_values("n_peaks")
    sizes, n_seeds = rows["n_peaks"].tolist(), int(rows["n"].min())
    if n_seeds < 2:
        return f"One repetition at {', '.join(f'{size:,}' for size in sizes)} peaks cannot tell whether transfer helps."
    end = stops_helping(summary, model)
    worse = rows.loc[rows["difference_high"] < 0, "n_peaks"].tolist()
    if end is None:
        text = f"Transfer still helps at {sizes[-1]:,} peaks, the most that were tried."
    elif end == sizes[0]:
        text = "Transfer helps for sure at none of the sizes that were tried."
    else:
        text = f"Transfer stops helping from {end:,} peaks on."
    if worse:
        text += f" It makes the network worse at {', '.join(f'{size:,}' for size in worse)} peaks."
    return text
