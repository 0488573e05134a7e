"""Peaks on which replicates agree: seen in several of them, or with a low irreproducible discovery rate.

Peaks are data frames chrom, start, end, summit, score, as `peaks.read_peaks` gives; pooled peaks are those called on
the reads of all replicates together. Replicates are dicts from their name to their own peaks.
"""

import itertools
import logging

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from cisgrammar.idr import MINIMUM, estimate_idr
from cisgrammar.log import InputError


def overlapping_pairs(a, b):
    """Pairs of rows that share at least one base and half of the shorter of the two.

    a, b: data frames chrom, start, end, in any order, overlapping within themselves or not
    Returns two int64 arrays (pairs,), row numbers of `a` and of `b`, sorted by the first, then the second.
    """
    rows_a, rows_b = [], []
    of_b = b.groupby("chrom", sort=False).indices
    for chrom, here in a.groupby("chrom", sort=False).indices.items():
        if chrom not in of_b:
            continue
        others = of_b[chrom][np.argsort(b["start"].to_numpy()[of_b[chrom]], kind="stable")]
        starts, ends = b["start"].to_numpy()[others], b["end"].to_numpy()[others]
        first = np.searchsorted(np.maximum.accumulate(ends), a["start"].to_numpy()[here], side="right")
        last = np.searchsorted(starts, a["end"].to_numpy()[here], side="left")
        n = np.maximum(last - first, 0)
        offset = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        rows_a.append(np.repeat(here, n))
        rows_b.append(others[np.repeat(first, n) + offset])
    if not rows_a:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    i, j = np.concatenate(rows_a), np.concatenate(rows_b)
    start_a, end_a, start_b, end_b = (t[c].to_numpy()[k] for t, k in ((a, i), (b, j)) for c in ("start", "end"))
    shared = np.minimum(end_a, end_b) - np.maximum(start_a, start_b)
    kept = (shared >= 1) & (2 * shared >= np.minimum(end_a - start_a, end_b - start_b))
    i, j = i[kept], j[kept]
    order = np.lexsort((j, i))
    return i[order], j[order]


def best_scores(pooled, replicate):
    """Score of the best peak of a replicate that overlaps each pooled peak, float array (len(pooled),), nan for none."""
    i, j = overlapping_pairs(pooled, replicate)
    best = np.full(len(pooled), -np.inf)
    np.maximum.at(best, i, replicate["score"].to_numpy(dtype=float)[j])
    return np.where(np.isneginf(best), np.nan, best)


def compare_replicates(pooled, replicates, threshold, rng):
    """How well replicates agree on the pooled peaks, peak by peak and pair by pair.

    pooled: data frame of peaks; replicates: dict of two or more, called with a lenient threshold (ENCODE: -p 0.01), since
    the irreproducible discovery rate (IDR) learns the noise from weak peaks
    threshold: of the global IDR, 0 to 1, in ENCODE 0.05; rng: numpy Generator, breaks ties
    A replicate has a pooled peak when one of its peaks overlaps it as in `overlapping_pairs`; of several the best score
    counts. IDR looks at the peaks that both replicates of a pair have; pairs with fewer than 20 of them pass none.
    Returns (peaks, pairs). peaks: one row per pooled peak, in their order: chrom, start, end, n_replicates (that have it),
    score_<name> of each replicate (nan where it lacks the peak), idr in the pair with most peaks passing (ENCODE's
    conservative set; nan where one of the two lacks the peak, and where no pair has a peak passing).
    pairs: a, b (names), n_a, n_b (peaks of each), n_shared, correlation (Spearman, of the scores), n_passing, mu, sigma,
    rho, p, gain (of the fit); nan where there were too few.
    Raises InputError when there are fewer than two replicates.
    """
    if len(replicates) < 2:
        raise InputError(f"{len(replicates)} replicate given; reproducible peaks need at least two")
    scores = {name: best_scores(pooled, replicate) for name, replicate in replicates.items()}
    rows, best, most = [], np.full(len(pooled), np.nan), 0
    for a, b in itertools.combinations(replicates, 2):
        shared = np.flatnonzero(~np.isnan(scores[a]) & ~np.isnan(scores[b]))
        row = {"a": a, "b": b, "n_a": len(replicates[a]), "n_b": len(replicates[b]), "n_shared": len(shared)}
        row |= {"correlation": np.nan, "threshold": threshold, "n_passing": 0} | dict.fromkeys(
            ("mu", "sigma", "rho", "p", "gain"), np.nan
        )
        if len(shared) >= MINIMUM:
            score_a, score_b = scores[a][shared], scores[b][shared]
            fit = estimate_idr(score_a, score_b, rng)
            row |= {"correlation": spearman(score_a, score_b), "n_passing": int((fit.idr <= threshold).sum())}
            row |= fit.parameters._asdict() | {"gain": fit.gain}
            if row["n_passing"] > most:
                most = row["n_passing"]
                best[:] = np.nan
                best[shared] = fit.idr
        rows.append(row)
    n_replicates = np.sum([~np.isnan(column) for column in scores.values()], axis=0)
    peaks = pooled[["chrom", "start", "end"]].assign(
        n_replicates=n_replicates, **{f"score_{name}": column for name, column in scores.items()}, idr=best
    )
    pairs = pd.DataFrame(rows)
    logging.info("%d pooled peaks, pairs of replicates:\n%s", len(pooled), pairs.to_string(index=False))
    return peaks, pairs


def spearman(a, b):
    """Correlation of the ranks of two arrays, ties at their mean rank; nan where one is constant."""
    ranks = np.stack([rankdata(a), rankdata(b)])
    return float(np.corrcoef(ranks)[0, 1]) if (ranks.std(axis=1) > 0).all() else np.nan


def choose_peaks(peaks, pairs, consensus, at_least, threshold):
    """Which pooled peaks the replicates agree on, bool array (len(peaks),).

    peaks, pairs: of `compare_replicates`
    consensus: `reproducible`, seen in at least `at_least` replicates (with all of them, the naive overlap of ENCODE's
    ChIP-seq pipeline), or `idr`, an irreproducible discovery rate of at most `threshold`
    Raises InputError with the numbers when no peak is left or there are fewer than `at_least` replicates.
    """
    n_peaks = dict(zip(pairs["a"], pairs["n_a"], strict=True)) | dict(zip(pairs["b"], pairs["n_b"], strict=True))
    if consensus == "idr":
        kept = (peaks["idr"] <= threshold).to_numpy()
        if not kept.any():
            numbers = ", ".join(
                f"{row.a} and {row.b}: {row.n_passing} of {row.n_shared} shared" for row in pairs.itertuples()
            )
            raise InputError(
                f"none of {len(peaks)} pooled peaks has an IDR <= {threshold:g} (replicates {numbers}; at least {MINIMUM} "
                "shared ones are needed); raise peaks.replicate_q_value or peaks.idr, or take the peaks seen in several "
                "replicates (peaks.consensus: reproducible)"
            )
        return kept
    if at_least > len(n_peaks):
        raise InputError(
            f"peaks are to be seen in at least {at_least} replicates, but there are {len(n_peaks)}; lower peaks.at_least"
        )
    kept = (peaks["n_replicates"] >= at_least).to_numpy()
    if not kept.any():
        per_number = np.bincount(peaks["n_replicates"], minlength=len(n_peaks) + 1)
        raise InputError(
            f"none of {len(peaks)} pooled peaks is seen in at least {at_least} of {len(n_peaks)} replicates "
            f"({', '.join(f'{n} in {k}' for k, n in enumerate(per_number))}; peaks per replicate: "
            f"{', '.join(map(str, n_peaks.values()))}); lower peaks.at_least or raise peaks.replicate_q_value"
        )
    return kept


def support(windows, replicates):
    """Which replicates have a peak in each window, so that they can be told apart as batches of a training.

    windows: data frame chrom, start, end; replicates: dict of one or more; overlap as in `overlapping_pairs`
    Returns a data frame chrom, start, end and a column replicate_<name> of 0 and 1 (int64) for each replicate.
    """
    table = windows[["chrom", "start", "end"]].reset_index(drop=True)
    for name, replicate in replicates.items():
        seen = np.zeros(len(table), dtype=np.int64)
        seen[overlapping_pairs(table, replicate)[0]] = 1
        table[f"replicate_{name}"] = seen
    return table
