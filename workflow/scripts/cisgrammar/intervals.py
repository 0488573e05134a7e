"""Genomic intervals: BED files and overlaps. Coordinates are BED: from 0, half open."""

import numpy as np
import pandas as pd

from cisgrammar.files import DAMAGE, atomic, open_text
from cisgrammar.log import InputError

BED6 = ["chrom", "start", "end", "name", "score", "strand"]
BED_DEFAULTS = {"name": ".", "score": 0, "strand": "."}


def bed_rows(path):
    """Fields of each row of a BED-like file, start and end as integers; raises InputError as `read_bed` does."""
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip() or line.startswith(("#", "track", "browser")):
                    continue
                fields = line.rstrip("\r\n").split("\t")
                try:
                    fields[1], fields[2] = int(fields[1]), int(fields[2])
                    sound = 0 <= fields[1] < fields[2]
                except (IndexError, ValueError):
                    sound = False
                if not sound:
                    raise InputError(
                        f"{path}, row {number}: not a BED row ('{line.strip()[:60]}'); write chromosome, start and end, "
                        "separated by tabs, with 0 <= start < end"
                    )
                yield fields
    except DAMAGE as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); copy it again") from error


def read_bed(path, columns=None):
    """Read a BED-like file, plain or gzip; comment, track and browser lines are skipped.

    columns: names of the columns; default, as many of BED6 as the file has
    Returns a data frame with chrom (str), start, end (int64) and further columns as they stand in the file;
    without a row when the file has none.
    Raises InputError with the row when a line has fewer than three columns, no numbers, or end <= start.
    """
    rows = list(bed_rows(path))
    columns = columns or BED6
    if not rows:
        return pd.DataFrame({name: pd.Series(dtype="int64" if name in ("start", "end") else "str") for name in columns})
    width = min(len(columns), min(map(len, rows)))
    return pd.DataFrame([fields[:width] for fields in rows], columns=columns[:width])


def write_bed(intervals, path, columns=BED6):
    """Write columns of a data frame, BED6 and further ones, without a header, sorted by chromosome and position."""
    table = intervals.assign(**{k: v for k, v in BED_DEFAULTS.items() if k not in intervals})[columns]
    table = table.sort_values(["chrom", "start", "end", "strand"], kind="stable")
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", header=False, index=False, float_format="%.6g")


def overlaps(intervals, others):
    """Which intervals share at least one base with any of the others.

    intervals, others: data frames with chrom, start, end
    Returns a bool array (len(intervals),).
    """
    found = np.zeros(len(intervals), dtype=bool)
    positions = intervals.groupby("chrom", sort=False).indices
    for chrom, other in others.groupby("chrom", sort=False):
        if chrom not in positions:
            continue
        rows = positions[chrom]
        starts = np.sort(other["start"].to_numpy())
        ends = np.sort(other["end"].to_numpy())
        begun = np.searchsorted(starts, intervals["end"].to_numpy()[rows], side="left")
        ended = np.searchsorted(ends, intervals["start"].to_numpy()[rows], side="right")
        found[rows] = begun > ended
    return found


def at_most(shares, limit):
    """Which shares of the bases of a window are at most `limit`, bool array; rounding does not count against a share.

    1 - 140 / 200 is a little more than 0.3 in floating point, and is at most 0.3 here.
    """
    return np.asarray(shares) <= limit + 1e-9
