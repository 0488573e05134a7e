"""bigWig tracks of values over windows."""

import numpy as np
import pyBigWig

from cisgrammar.files import atomic


def write_bigwig(path, windows, values, lengths):
    """Write values over windows as a bigWig file for a genome browser; where windows overlap, the mean of their values.

    windows: dict chrom, start, end; values: float array (windows, bases), or (windows,) for one value per window;
    lengths: dict of chromosome to bp, in the order of the genome
    """
    chroms = np.asarray(windows["chrom"]).astype(str)
    starts, ends = (np.asarray(windows[name]) for name in ("start", "end"))
    with atomic(path) as temporary:
        file = pyBigWig.open(str(temporary), "w")
        file.addHeader([(chrom, int(length)) for chrom, length in lengths.items()])
        for chrom in lengths:
            rows = np.flatnonzero(chroms == chrom)
            if not len(rows):
                continue
            places = np.concatenate([np.arange(starts[row], ends[row]) for row in rows])
            here = np.concatenate([np.broadcast_to(values[row], ends[row] - starts[row]) for row in rows])
            position, index, number = np.unique(places, return_inverse=True, return_counts=True)
            mean = np.bincount(index, weights=here) / number
            breaks = np.flatnonzero(np.diff(position) > 1) + 1
            for at, part in zip(np.split(position, breaks), np.split(mean, breaks), strict=True):
                file.addEntries(chrom, int(at[0]), values=part.tolist(), span=1, step=1)
        file.close()
