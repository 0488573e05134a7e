"""Negatives: windows without a peak that could have held one, by their covariates."""

import logging

import numpy as np
import pandas as pd

from cisgrammar.covariates import COMPOSITION, DINUCLEOTIDES, tss_distance, window_cells, windows_covariates
from cisgrammar.intervals import at_most, overlaps
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS

LEAST_CANDIDATES, CANDIDATES_PER_NEGATIVE = 200_000, 6
OPTIONAL = ("mappability", "tss")  # covariates that are left out where the run has no data for them


def name_covariates(wanted, store, tss):
    """Names of the columns that negatives are matched in, a list.

    wanted: names of the configuration; store: Store; tss: dict of `read_tss` or None
    Raises InputError for a name that is unknown, and when all are left out.
    """
    known = ["gc", "cpg", *DINUCLEOTIDES, "repeats", "unknown", *store.signal_names, *(["tss"] if tss else [])]
    names = []
    for name in wanted:
        columns = DINUCLEOTIDES if name == "dinucleotides" else [name]
        if set(columns) <= set(known):
            names.extend(columns)
        elif name in OPTIONAL:
            logging.info("no data for the covariate %s, which is left out", name)
        else:
            raise InputError(
                f"negatives.covariates: no covariate '{name}'; known are dinucleotides, {', '.join(known)}; add a track "
                "under references.signals or correct the name"
            )
    if not names:
        raise InputError(
            f"negatives.covariates: no data for {', '.join(wanted)}, so nothing is left to match negatives in; add gc, or "
            "give references.mappability or references.annotation"
        )
    return list(dict.fromkeys(names))


def add_covariates(windows, store, tss):
    """The windows (chrom, start, end of one width) with a column for each covariate."""
    if windows.empty:
        names = [*COMPOSITION, *store.signal_names, *(["tss"] if tss else [])]
        return windows.assign(**{name: np.zeros(0) for name in names})
    starts, width = windows["start"].to_numpy(), int(windows["end"].iloc[0] - windows["start"].iloc[0])
    columns = {}
    for chrom, rows in windows.groupby("chrom", sort=False).indices.items():
        values = windows_covariates(store, chrom, starts[rows], width)
        if tss:
            values["tss"] = tss_distance(tss, chrom, starts[rows] + width // 2)
        for name, numbers in values.items():
            columns.setdefault(name, np.empty(len(windows)))[rows] = numbers
    return windows.assign(**columns)


def pick_places(peaks, chroms, n_places, step_bp, width, n, store, rng):
    """At most n random places of a grid, half of them from everywhere, half from where windows are like the peaks.

    peaks: windows of one split; chroms, n_places: its chromosomes, and the number of grid windows on each
    CpG islands are one percent of the human genome and a good part of the peaks of many factors, so that a million
    places from everywhere hold too few windows like these peaks, though the genome has enough. Hence the second half:
    each cell of `window_cells` gets its share of the peaks, as far as it has so many places. Draws from the candidates
    are weighed with their own density, so that this one need not be even.
    Returns an increasing int array of places, counted over the chromosomes.
    """
    grids = zip(chroms, n_places, strict=True)
    cells = np.concatenate(
        [window_cells(store, chrom, range(0, size * step_bp, step_bp), width) for chrom, size in grids]
    )
    own = [window_cells(store, chrom, rows["start"], width) for chrom, rows in peaks.groupby("chrom")]
    wanted = np.bincount(np.concatenate([*own, []]).astype(int), minlength=256) * (n / 2 / max(1, len(peaks)))
    there = np.bincount(cells, minlength=256)
    like = np.minimum(wanted, there)
    chance = like / np.maximum(1, there) + (n - like.sum()) / len(cells)
    places = np.flatnonzero(rng.random(len(cells), dtype=np.float32) < chance.astype(np.float32)[cells])
    return places if len(places) <= n else np.sort(rng.choice(places, n, replace=False))


def find_candidates(peaks, taken, splits, step_bp, unknown_share, ratio, most, store, tss, rng):
    """Windows on a grid that may serve as negatives, with their covariates.

    peaks: windows of the experiment (chrom, start, end, name = split), all of one width
    taken: intervals that candidates must not touch; splits: data frame chrom, length_bp, split
    step_bp: distance of the grid; unknown_share: largest share of unknown bases; ratio: negatives per peak
    most: windows per split at most; fewer where CANDIDATES_PER_NEGATIVE and LEAST_CANDIDATES are. Of a larger grid
    `pick_places` takes a part. store, tss: as for `add_covariates`; rng: numpy Generator
    Returns a data frame chrom, start, end, name (= split) and covariates.
    """
    width = int(peaks["end"].iloc[0] - peaks["start"].iloc[0])
    tables = []
    for split in SPLITS:
        rows = splits[(splits["split"] == split) & (splits["length_bp"] >= width)]
        n_places = (rows["length_bp"] - width) // step_bp + 1
        n = int(n_places.sum())
        own = peaks[peaks["name"] == split]
        looked_at = int(min(most, max(LEAST_CANDIDATES, CANDIDATES_PER_NEGATIVE * ratio * len(own))))
        places = (
            np.arange(n)
            if n <= looked_at
            else pick_places(own, rows["chrom"], n_places, step_bp, width, looked_at, store, rng)
        )
        last = np.cumsum(n_places.to_numpy())
        chrom = np.searchsorted(last, places, side="right")
        starts = (places - (last - n_places.to_numpy())[chrom]) * step_bp
        table = pd.DataFrame({"chrom": rows["chrom"].to_numpy()[chrom], "start": starts, "end": starts + width})
        tables.append(table.assign(name=split))
    candidates = pd.concat(tables, ignore_index=True)
    candidates = add_covariates(candidates[~overlaps(candidates, taken)], store, tss)
    known = at_most(candidates["unknown"], unknown_share)
    return candidates if known.all() else candidates[known]


def away_from(peaks, regions, blacklist, margin_bp):
    """What negatives must not touch: peaks and all called regions with a margin, and the blacklist."""
    near = pd.concat([peaks, regions])[["chrom", "start", "end"]]
    near = near.assign(start=near["start"] - margin_bp, end=near["end"] + margin_bp)
    return pd.concat([near, blacklist[["chrom", "start", "end"]]])


def is_needed(negatives, split, settings):
    """Whether some stage reads windows of a set of negatives in a split.

    settings: dict training, evaluation (lists of sets); networks learn from train and validation windows
    """
    return negatives in settings["evaluation" if split == "test" else "training"]


def keep_needed(drawn, peaks, settings):
    """The windows that some stage reads.

    drawn: dict of a set's name to data frame chrom, start, end, name (= split); peaks: data frame with name (= split)
    settings: as for `is_needed`
    Returns a data frame chrom, start, end, name, negatives (= set).
    Raises InputError when a set has no window in a split that has peaks.
    """
    needed = []
    for name, windows in drawn.items():
        wanted = [split for split in SPLITS if is_needed(name, split, settings)]
        for split in wanted:
            if (peaks["name"] == split).any() and not (windows["name"] == split).any():
                raise InputError(
                    f"no window for the set `{name}` on the {split} chromosomes; take it out of negatives.training and "
                    "negatives.evaluation"
                )
        needed.append(
            windows.loc[windows["name"].isin(wanted), ["chrom", "start", "end", "name"]].assign(negatives=name)
        )
    return pd.concat(needed)
