"""How alike peaks and negatives are in their covariates."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from cisgrammar.density import TREES, some
from cisgrammar.splits import SPLITS

JUDGED = 50_000  # rows of each class at most that the classifier of `separability` sees


def smd(a, b):
    """Standardised mean differences of two tables, float array (covariates,).

    a, b: float arrays (rows, covariates). The difference of the means is divided by the root of the mean of the two
    variances (Austin 2009, Statistics in Medicine 28:3083); 0 when neither varies and both means agree.
    """
    gap, spread = a.mean(axis=0) - b.mean(axis=0), np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    return np.where(gap == 0, 0.0, np.divide(gap, spread, out=np.copysign(np.inf, gap), where=spread > 0))


def largest_gap(a, b):
    """Kolmogorov-Smirnov statistic of two samples; only the first is sorted, so the second may be large."""
    a, gaps = np.sort(a), []
    for of_a, of_b in (("right", "left"), ("left", "right")):  # shares up to each of `a` and shares below it
        share_a = np.searchsorted(a, a, side=of_a) / len(a)
        share_b = np.cumsum(np.bincount(np.searchsorted(a, b, side=of_b), minlength=len(a) + 1))[:-1] / len(b)
        gaps.append(np.abs(share_a - share_b).max())
    return max(gaps)


def compare_distributions(a, b):
    """(standardised mean difference, Kolmogorov-Smirnov statistic) of two float arrays; nan when one is empty."""
    return (smd(a[:, None], b[:, None])[0], largest_gap(a, b)) if len(a) and len(b) else (np.nan, np.nan)


def balance(peaks, candidates, negatives, covariates):
    """How alike peaks and negatives are, per split and covariate, before (all candidates) and after the draw.

    peaks, candidates, negatives: data frames with name (= split) and the covariates
    Returns a data frame split, covariate, n_peaks, n_candidates, n_negatives, mean_peaks, mean_candidates,
    mean_negatives, smd_before, smd_after, ks_before, ks_after; nan where a table has no row.
    """
    lines = []
    for split in SPLITS:
        tables = [table[table["name"] == split] for table in (peaks, candidates, negatives)]
        for covariate in covariates:
            own, pool, drawn = (table[covariate].to_numpy(np.float64) for table in tables)
            line = {"split": split, "covariate": covariate}
            for name, values in (("peaks", own), ("candidates", pool), ("negatives", drawn)):
                line[f"n_{name}"] = len(values)
            for name, values in (("peaks", own), ("candidates", pool), ("negatives", drawn)):
                line[f"mean_{name}"] = values.mean() if len(values) else np.nan
            for when, values in (("before", pool), ("after", drawn)):
                line[f"smd_{when}"], line[f"ks_{when}"] = compare_distributions(own, values)
            lines.append(line)
    names = ["split", "covariate", *(f"{a}_{b}" for a in ("n", "mean") for b in ("peaks", "candidates", "negatives"))]
    return pd.DataFrame(lines, columns=[*names, "smd_before", "smd_after", "ks_before", "ks_after"])


def separability(peaks, negatives, covariates, rng):
    """How well a classifier that sees only the covariates tells peaks from negatives.

    peaks, negatives: data frames with name (= split) and the covariates; rng: numpy Generator
    AUROC of gradient-boosted trees, scores out of fold in 5 stratified folds, pooled; at most 200,000 rows of each
    class. 0.5: not at all. A draw balanced to the very peaks at hand comes out somewhat below 0.5: what the other
    folds have too much of, the left-out fold has too little of.
    Returns a data frame split, auroc, one row per split and one for `all`; nan with fewer than 20 peaks or negatives.
    """
    seed = int(rng.integers(2**31))
    lines = []
    for split in (*SPLITS, "all"):
        tables = [table if split == "all" else table[table["name"] == split] for table in (peaks, negatives)]
        auroc = np.nan
        if min(map(len, tables)) >= 20:
            values = [some(table[covariates].to_numpy(np.float64), rng, JUDGED) for table in tables]
            x, label = np.concatenate(values), np.repeat([1, 0], [len(v) for v in values])
            score = np.zeros(len(x))
            for fit, held_out in StratifiedKFold(5, shuffle=True, random_state=seed).split(x, label):
                trees = HistGradientBoostingClassifier(**TREES, random_state=seed).fit(x[fit], label[fit])
                score[held_out] = trees.decision_function(x[held_out])
            auroc = roc_auc_score(label, score)
        lines.append((split, auroc))
    return pd.DataFrame(lines, columns=["split", "auroc"])
