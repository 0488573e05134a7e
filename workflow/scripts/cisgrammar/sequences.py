"""The file of sequences of one experiment: windows as small integers, with channels, label, split and weight.

sequences.h5 holds, one row per window:
  codes     uint8 (windows, window_bp + 2 flank_bp): 0..3 for A C G T, 4 for other letters and beyond the chromosome,
            5 for padding; a window narrower than the widest lies in the middle of its row, with its flanks
  channels  float16 (windows, channels, window_bp + 2 flank_bp), normalised; absent where there is none
  chrom, start, end   of the window without flanks, BED
  negatives the set of negatives that a window belongs to, empty for peaks; of a window in the set `shuffled` the bases are
            those of a peak with its dinucleotides shuffled
  label     1 bound, 0 not;  split  0 train, 1 validation, 2 test;  weight  float32, in training
Attributes: alphabet, window_bp (the widest), flank_bp, splits, genome (checksum of its sequence), channels (names), mean
and sd (one per channel, of the training windows), and how networks are to read the file (`layers.encode`): unknown,
centred, position_channel. It is written by `extraction.write_sequences`.
"""

import h5py
import numpy as np
import pandas as pd

from cisgrammar.dna import PADDING
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS

ENCODING = ("unknown", "centred", "position_channel")


def inside(lengths, width):
    """Which columns belong to windows that lie in the middle of rows of `width`; of an odd rest more is behind them.

    lengths: int array (windows,). Returns a bool array (windows, width), read-only where all are that long.
    """
    if (lengths >= width).all():
        return np.broadcast_to(True, (len(lengths), width))
    first, column = (width - lengths)[:, None] // 2, np.arange(width)
    return (column >= first) & (column < first + lengths[:, None])


def read_rows(dataset, rows, columns=slice(None), most=4096):
    """Rows of a chunked HDF5 dataset in the order asked for, an array (len(rows), ..., columns).

    rows: int array, in any order; columns: slice of the last axis; most: rows read at a time
    Every chunk with a wanted row is read once, neighbouring ones together, so that both a whole file and a random
    batch of a few rows are read at the speed of the disk and of the decompression.
    """
    rows = np.asarray(rows, dtype=np.int64)
    size, order = dataset.chunks[0], np.argsort(rows, kind="stable")
    chunks = rows[order] // size
    apart = (np.diff(chunks) > 1) | (np.diff(chunks * size // most) > 0)
    found = np.empty((len(rows), *dataset.shape[1:-1], len(range(dataset.shape[-1])[columns])), dataset.dtype)
    for places in np.split(order, np.flatnonzero(apart) + 1) if len(rows) else []:
        first = rows[places[0]]
        found[places] = dataset[first : rows[places[-1]] + 1][rows[places] - first][..., columns]
    return found


def read_sequences(path, split=None, flank=False):
    """Windows of a sequence file, of one split or of all.

    flank: whether codes, channels and mask come with the flanks
    Returns a dict: codes uint8 (windows, bases); channels float16 (windows, channels, bases) or None; mask bool (windows,
    bases), False in padding; chrom, negatives (str), start, end, length (int64, bp), label (uint8), weight (float32);
    window_bp, flank_bp (int); genome, its checksum; normalisation, a list of dicts name, mean, sd, one per channel;
    encoding, what `layers.encode` is to be told.
    Raises InputError when there is no such window.
    """
    with h5py.File(path, "r") as store:
        n = len(store["label"])
        rows = np.arange(n) if split is None else np.flatnonzero(store["split"][:] == SPLITS.index(split))
        if not len(rows):
            raise InputError(f"{path}: no window of the {split} chromosomes; choose others under references.splits")
        data = {name: store[name][:][rows] for name in ("start", "end", "label", "weight")}
        data |= {name: store[name].asstr()[:][rows] for name in ("chrom", "negatives")}
        flank_bp, window_bp = int(store.attrs["flank_bp"]), int(store.attrs["window_bp"])
        columns = slice(None) if flank else slice(flank_bp, flank_bp + window_bp)
        data["codes"] = read_rows(store["codes"], rows, columns)
        data["channels"] = read_rows(store["channels"], rows, columns) if "channels" in store else None
        described = [store.attrs[name].tolist() for name in ("channels", "mean", "sd")]
        data["encoding"] = {name: store.attrs[name] for name in ENCODING}
        genome = str(store.attrs["genome"])
    data["encoding"] |= {name: bool(data["encoding"][name]) for name in ENCODING[1:]}
    data["normalisation"] = [
        dict(zip(("name", "mean", "sd"), one, strict=True)) for one in zip(*described, strict=True)
    ]
    data["length"] = data["end"] - data["start"]
    beside = 2 * flank_bp if flank else 0
    data["mask"] = inside(data["length"] + beside, window_bp + beside)
    hide_padding(data["codes"], data["channels"], data["mask"])
    return {**data, "window_bp": window_bp, "flank_bp": flank_bp, "genome": genome}


def hide_padding(codes, channels, mask):
    """Write padding where `mask` is False, in place: code 5, and 0 in the channels (None, or (windows, channels, bases))."""
    if not mask.all():
        codes[~mask] = PADDING
        if channels is not None:
            channels[np.broadcast_to(~mask[:, None], channels.shape)] = 0


def negative_sets(data):
    """Each set of negatives with the peaks: list of (name, bool array (windows,)). data: dict of `read_sequences`."""
    bound, sets = data["label"] == 1, data["negatives"]
    return [(str(name), bound | (sets == name)) for name in pd.unique(sets[~bound])]
