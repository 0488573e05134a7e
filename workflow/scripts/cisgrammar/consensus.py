"""Peaks on which replicates agree: seen in several of them, or with a low irreproducible discovery rate.

Peaks are data frames chrom, start, end, summit, score, as `peaks.read_peaks` gives; pooled peaks are those called on
the reads of all replicates together. Both ways keep rows of the pooled peaks, their places and scores unchanged.
"""

import itertools
import logging

import numpy as np
import pandas as pd

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


def reproducible(pooled, replicates, at_least):
    """Pooled peaks that overlap a peak of at least `at_least` replicates by half of the shorter one.

    With `at_least` = number of replicates it is the naive overlap of ENCODE's ChIP-seq pipeline.
    replicates: list of two or more data frames of peaks
    Returns these rows of `pooled` with the column n_replicates (int64).
    Raises InputError with the numbers when there are fewer than two replicates, `at_least` is not between 1 and their
    number, or no peak is left.
    """
    check_replicates(replicates)
    if not 1 <= at_least <= len(replicates):
        raise InputError(f"peaks are to be seen in at least {at_least} replicates, but there are {len(replicates)}")
    seen = np.zeros(len(pooled), dtype=np.int64)
    for replicate in replicates:
        seen[np.unique(overlapping_pairs(pooled, replicate)[0])] += 1
    per_number = np.bincount(seen, minlength=len(replicates) + 1)
    numbers = ", ".join(f"{n} in {k}" for k, n in enumerate(per_number))
    logging.info("%d pooled peaks, by the number of replicates they are seen in: %s", len(pooled), numbers)
    kept = seen >= at_least
    if not kept.any():
        raise InputError(
            f"none of {len(pooled)} pooled peaks is seen in at least {at_least} of {len(replicates)} replicates "
            f"({numbers}; peaks per replicate: {', '.join(str(len(r)) for r in replicates)}); ask for fewer replicates "
            "or call them with a more lenient threshold"
        )
    return pooled.assign(n_replicates=seen)[kept]


def best_scores(pooled, replicate):
    """Score of the best peak of a replicate that overlaps each pooled peak, float array (len(pooled),), nan for none."""
    i, j = overlapping_pairs(pooled, replicate)
    best = np.full(len(pooled), -np.inf)
    np.maximum.at(best, i, replicate["score"].to_numpy(dtype=float)[j])
    return np.where(np.isneginf(best), np.nan, best)


def pair_peaks(a, b, pooled):
    """Scores of the pooled peaks in two replicates, for IDR.

    a, b, pooled: data frames of peaks; overlap as in `overlapping_pairs`; of several the best score counts
    Returns a data frame score_a, score_b without the pooled peaks that one of the replicates lacks; its index is the row
    number in `pooled`, from 0.
    """
    return pd.DataFrame({"score_a": best_scores(pooled, a), "score_b": best_scores(pooled, b)}).dropna()


def by_idr(pooled, a, b, threshold, rng):
    """Pooled peaks with an irreproducible discovery rate of at most `threshold` between two replicates.

    pooled, a, b: data frames of peaks, a and b called with a lenient threshold (ENCODE: -p 0.01), since IDR learns the
    noise from weak peaks; threshold: of the global IDR, 0 to 1, in ENCODE 0.05; rng: numpy Generator, breaks ties
    A pooled peak that one replicate lacks is left out, as in ENCODE.
    Returns these rows of `pooled` with the column idr (float64).
    Raises InputError with the numbers when no peak is left, as when fewer than 20 are shared.
    """
    return by_best_idr(pooled, [a, b], threshold, rng)[0]


def by_best_idr(pooled, replicates, threshold, rng):
    """As `by_idr` for two or more replicates: all pairs, and the pair with most peaks passing gives the set.

    This is ENCODE's practice (its conservative set); pairs with fewer than 20 shared peaks pass none.
    Returns (peaks with column idr, data frame of the pairs: a, b (numbers from 1), n_shared, n_passing, mu, sigma, rho,
    p, gain; nan where there were too few).
    Raises InputError with the numbers when there are fewer than two replicates or no pair has a peak passing.
    """
    check_replicates(replicates)
    rows, best = [], pd.Series(dtype=float)
    for a, b in itertools.combinations(range(len(replicates)), 2):
        scores = pair_peaks(replicates[a], replicates[b], pooled)
        row = {"a": a + 1, "b": b + 1, "n_shared": len(scores), "n_passing": 0}
        if len(scores) < MINIMUM:
            rows.append(row | dict.fromkeys(("mu", "sigma", "rho", "p", "gain"), np.nan))
            continue
        fit = estimate_idr(scores["score_a"], scores["score_b"], rng)
        passing = fit.idr <= threshold
        row["n_passing"] = int(passing.sum())
        rows.append(row | fit.parameters._asdict() | {"gain": fit.gain})
        if row["n_passing"] > len(best):
            best = pd.Series(fit.idr, index=scores.index)[passing]
    table = pd.DataFrame(rows)
    logging.info("IDR of the pairs of replicates:\n%s", table.to_string(index=False))
    if best.empty:
        numbers = ", ".join(f"{row['a']} and {row['b']}: 0 of {row['n_shared']} shared" for row in rows)
        raise InputError(
            f"none of {len(pooled)} pooled peaks has an IDR <= {threshold:g} (replicates {numbers}; at least {MINIMUM} "
            "shared ones are needed); call the replicates with a more lenient threshold, raise that of IDR, or take the "
            "peaks seen in several replicates"
        )
    return pooled.iloc[best.index].assign(idr=best.to_numpy()), table


def check_replicates(replicates):
    """Raise InputError when there are fewer than two replicates."""
    if len(replicates) < 2:
        raise InputError(f"{len(replicates)} replicate given; reproducible peaks need at least two")
