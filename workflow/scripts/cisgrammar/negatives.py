"""Negatives: windows without a peak, with the GC content of the peaks, drawn in each split on its own."""

import logging

import numpy as np
import pandas as pd
import pyfaidx

from cisgrammar.dna import CODES
from cisgrammar.intervals import overlaps
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS


def composition(codes, starts, window_bp):
    """GC content and unknown share of windows of one chromosome.

    codes: uint8 array (bases,), 0..3 for ACGT, 4 for unknown; starts: int array (windows,)
    Returns two float arrays (windows,): G and C among the known bases (nan where none is known), unknown bases
    among all. Prefix sums make the cost independent of the width.
    """
    gc = np.concatenate([[0], np.cumsum((codes == 1) | (codes == 2))])
    known = np.concatenate([[0], np.cumsum(codes < 4)])
    n_known = known[starts + window_bp] - known[starts]
    n_gc = gc[starts + window_bp] - gc[starts]
    share = np.divide(n_gc, n_known, out=np.full(len(starts), np.nan), where=n_known > 0)
    return share, 1 - n_known / window_bp


def find_candidates(peaks, regions, blacklist, splits, genome, margin_bp, step_bp, unknown_share):
    """All windows on a grid that may serve as negatives, and the peaks, both with their GC content.

    peaks: windows of the experiment (chrom, start, end, name = split), all of one width
    regions: all intervals of the experiment that were called, also those that did not become windows
    Candidates lie every `step_bp` on chromosomes with a split, at least `margin_bp` from every peak and region, outside
    the blacklist, with at most `unknown_share` unknown bases. One chromosome is in memory at a time.
    Returns (candidates, peaks), data frames chrom, start, end, name (= split), gc.
    """
    window_bp = int(peaks["end"].iloc[0] - peaks["start"].iloc[0])
    step_bp = step_bp or max(1, window_bp // 4)
    taken = pd.concat([peaks, regions])[["chrom", "start", "end"]]
    taken = taken.assign(start=taken["start"] - margin_bp, end=taken["end"] + margin_bp)
    taken = pd.concat([taken, blacklist[["chrom", "start", "end"]]])
    tables, gc = [], pd.Series(np.nan, index=peaks.index)
    with pyfaidx.Fasta(str(genome), as_raw=True) as fasta:
        for row in splits.itertuples():
            if row.split not in SPLITS or row.length_bp < window_bp:
                continue
            codes = CODES[np.frombuffer(fasta[row.chrom][:].encode(), dtype=np.uint8)]
            here = peaks["chrom"] == row.chrom
            gc[here] = composition(codes, peaks.loc[here, "start"].to_numpy(), window_bp)[0]
            starts = np.arange(0, row.length_bp - window_bp + 1, step_bp)
            share, unknown = composition(codes, starts, window_bp)
            table = pd.DataFrame(
                {"chrom": row.chrom, "start": starts, "end": starts + window_bp, "name": row.split, "gc": share}
            )
            table = table[(unknown <= unknown_share) & ~np.isnan(share)]
            tables.append(table[~overlaps(table, taken)])
    return pd.concat(tables, ignore_index=True), peaks.assign(gc=gc)


def match_negatives(peaks, candidates, ratio, gc_bin_width, gc_tolerance, rng):
    """Draw negatives whose GC content is distributed like that of the peaks, in each split on its own.

    peaks, candidates: data frames with name (= split) and gc; ratio: negatives per peak
    rng: numpy Generator
    In each split every GC bin of width `gc_bin_width` gives `ratio` times its number of peaks, without replacement; what
    a bin lacks comes from the nearest bins up to `gc_tolerance` away, nearer ones first. The work is bounded by
    (bins x tolerance), so it always ends.
    Returns the drawn rows of `candidates`.
    Raises InputError with the numbers per split when the candidates do not suffice.
    """
    n_bins = int(np.ceil(1 / gc_bin_width)) + 1
    reach = round(gc_tolerance / gc_bin_width)
    drawn, short = [], []
    for split in SPLITS:
        of_split = peaks.loc[peaks["name"] == split, "gc"]
        pool = candidates[candidates["name"] == split]
        bins = np.minimum(of_split / gc_bin_width, n_bins - 1).astype(int)
        per_bin = np.bincount(bins, minlength=n_bins)
        wanted = np.diff(np.rint(np.concatenate([[0], np.cumsum(per_bin)]) * ratio)).astype(int)
        order = rng.permutation(len(pool))
        pool_bins = np.minimum(pool["gc"].to_numpy() / gc_bin_width, n_bins - 1).astype(int)[order]
        order = order[np.argsort(pool_bins, kind="stable")]
        left = np.bincount(pool_bins, minlength=n_bins)
        first = np.concatenate([[0], np.cumsum(left)])[:-1]
        for distance in range(reach + 1):
            for shift in sorted({-distance, distance}):
                for b in np.flatnonzero(wanted):
                    source = b + shift
                    if not 0 <= source < n_bins:
                        continue
                    n = min(wanted[b], left[source])
                    drawn.append(pool.iloc[order[first[source] : first[source] + n]])
                    first[source] += n
                    left[source] -= n
                    wanted[b] -= n
        if wanted.sum():
            worst = int(wanted.argmax())
            total = round(ratio * len(of_split))
            short.append(
                f"{split}: {total - wanted.sum()} of {total} (pool {len(pool)}; most lacking at GC "
                f"{worst * gc_bin_width:.2f}-{(worst + 1) * gc_bin_width:.2f})"
            )
    if short:
        raise InputError(
            f"too few negatives found: {'; '.join(short)}; lower negatives.ratio or negatives.step_bp, or raise "
            "negatives.gc_tolerance"
        )
    return pd.concat(drawn)


def compare_distributions(a, b):
    """Standardised mean difference and Kolmogorov-Smirnov statistic of two samples, (nan, nan) when one is empty.

    The difference of the means is divided by the root of the mean of the two variances (Austin 2009, Statistics in
    Medicine 28:3083); 0 when neither varies and both means agree.
    """
    if not len(a) or not len(b):
        return np.nan, np.nan
    spread = np.sqrt((np.var(a) + np.var(b)) / 2)
    gap = np.mean(a) - np.mean(b)
    smd = gap / spread if spread else (0.0 if gap == 0 else np.copysign(np.inf, gap))
    at = np.sort(np.concatenate([a, b]))
    ks = np.abs(
        np.searchsorted(np.sort(a), at, side="right") / len(a) - np.searchsorted(np.sort(b), at, side="right") / len(b)
    ).max()
    return smd, ks


def balance(peaks, candidates, negatives):
    """How alike peaks and negatives are in GC, per split, before (all candidates) and after matching.

    Returns a data frame split, covariate, n_peaks, n_candidates, n_negatives, mean_peaks, mean_candidates,
    mean_negatives, smd_before, smd_after, ks_before, ks_after.
    """
    rows = []
    for split in SPLITS:
        gc = [table.loc[table["name"] == split, "gc"].to_numpy() for table in (peaks, candidates, negatives)]
        smd_before, ks_before = compare_distributions(gc[0], gc[1])
        smd_after, ks_after = compare_distributions(gc[0], gc[2])
        rows.append(
            {
                "split": split,
                "covariate": "gc",
                **dict(zip(("n_peaks", "n_candidates", "n_negatives"), map(len, gc), strict=True)),
                **dict(zip(("mean_peaks", "mean_candidates", "mean_negatives"), (g.mean() for g in gc), strict=True)),
                **dict(smd_before=smd_before, smd_after=smd_after, ks_before=ks_before, ks_after=ks_after),
            }
        )
        logging.info("%s", rows[-1])
    return pd.DataFrame(rows)
