"""The file of sequences of one experiment: windows as small integers, with label, split and weight.

sequences.h5 holds, one row per window: codes uint8 (windows, width + 2 flank), 0..3 for A C G T and 4 for unknown;
chrom, start, end (of the window without flanks, BED), label (1 bound, 0 not), split (0 train, 1 validation, 2 test),
weight float32. Attributes: alphabet, window_bp, flank_bp, splits.
"""

import h5py
import numpy as np
import pandas as pd
import pyfaidx

from cisgrammar.dna import CODES
from cisgrammar.files import atomic
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS


def extract_codes(windows, genome, flank_bp=0):
    """Sequence codes of windows, read from an indexed FASTA file.

    windows: data frame chrom, start, end, all of one width
    Returns a uint8 array (windows, width + 2 flank_bp), 0..3 for A C G T; 4 for other bases and beyond the chromosome.
    """
    width = int(windows["end"].iloc[0] - windows["start"].iloc[0]) + 2 * flank_bp
    codes = np.full((len(windows), width), 4, dtype=np.uint8)
    with pyfaidx.Fasta(str(genome), as_raw=True) as fasta:
        for i, (chrom, start, end) in enumerate(zip(windows["chrom"], windows["start"], windows["end"], strict=True)):
            first = max(0, start - flank_bp)
            sequence = fasta[chrom][first : end + flank_bp].encode()
            at = first - (start - flank_bp)
            codes[i, at : at + len(sequence)] = CODES[np.frombuffer(sequence, dtype=np.uint8)]
    return codes


def write_sequences(peaks, negatives, genome, flank_bp, path):
    """Extract peaks (label 1) and negatives (label 0) and write them to `path`; the name column gives the split."""
    windows = pd.concat([peaks.assign(label=1), negatives.assign(label=0)], ignore_index=True)
    codes = extract_codes(windows, genome, flank_bp)
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=False) as store:
        store.attrs.update(
            alphabet="ACGT", window_bp=codes.shape[1] - 2 * flank_bp, flank_bp=flank_bp, splits=list(SPLITS)
        )
        rows = max(1, min(len(codes), (1 << 20) // codes.shape[1]))
        store.create_dataset("codes", data=codes, chunks=(rows, codes.shape[1]), compression="gzip", shuffle=True)
        store["chrom"] = windows["chrom"].to_numpy(dtype=h5py.string_dtype())
        store["start"] = windows["start"].to_numpy(dtype=np.int64)
        store["end"] = windows["end"].to_numpy(dtype=np.int64)
        store["label"] = windows["label"].to_numpy(dtype=np.uint8)
        store["split"] = windows["name"].map({name: i for i, name in enumerate(SPLITS)}).to_numpy(dtype=np.uint8)
        store["weight"] = np.ones(len(windows), dtype=np.float32)


def read_sequences(path, split=None, flank=False):
    """Windows of a sequence file, of one split or of all.

    flank: whether the codes come with their flanks
    Returns a dict: codes uint8 (windows, bases), chrom (str), start, end (int64), label (uint8), weight (float32),
    and window_bp, flank_bp (int).
    Raises InputError when there is no such window.
    """
    with h5py.File(path, "r") as store:
        keep = np.ones(len(store["label"]), dtype=bool) if split is None else store["split"][:] == SPLITS.index(split)
        if not keep.any():
            raise InputError(f"{path}: no window of the {split} chromosomes; choose others under references.splits")
        data = {name: store[name][:][keep] for name in ("start", "end", "label", "weight")}
        data["chrom"] = store["chrom"].asstr()[:][keep]
        flank_bp, window_bp = int(store.attrs["flank_bp"]), int(store.attrs["window_bp"])
        codes = store["codes"][:][keep]
    data["codes"] = codes if flank else codes[:, flank_bp : flank_bp + window_bp]
    return {**data, "window_bp": window_bp, "flank_bp": flank_bp}
