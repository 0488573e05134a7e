"""Scores for sequences that a user gives, of any length from 20 bp on."""

import numpy as np
import pandas as pd

from cisgrammar.dna import CODES, UNKNOWN, reverse_complement_codes
from cisgrammar.extraction import chromosome_lengths, extract_regions
from cisgrammar.files import open_text
from cisgrammar.intervals import read_bed
from cisgrammar.log import InputError
from cisgrammar.model import probability, score

SHORTEST_BP = 20
BACKGROUNDS = 32  # random sequences that unknown bases are filled from; half of them are the other strand of the others


def is_fasta(path):
    with open_text(path) as handle:
        return next((line for line in handle if line.strip()), "").startswith(">")


def read_fasta(path, channels=()):
    """(ids, codes) of a FASTA file, plain or gzip: list of str, list of uint8 arrays; letters beyond ACGT are unknown.

    channels: names of what the model reads besides the bases
    Raises InputError with the record when a sequence has fewer than 20 bp, and when there are channels.
    """
    if channels:
        raise InputError(
            f"{path}: the model also reads {', '.join(channels)} (sequences.channels), which a FASTA file does not hold; "
            "give a BED file of regions of the genome, or train a model without channels"
        )
    ids, parts = [], []
    with open_text(path) as handle:
        for line in handle:
            if line.startswith(">"):
                ids.append(line[1:].split()[0] if line[1:].split() else f"record_{len(ids) + 1}")
                parts.append([])
            elif ids:
                parts[-1].append(line.strip())
    codes = [CODES[np.frombuffer("".join(part).encode(), dtype=np.uint8)] for part in parts]
    return check_lengths(path, ids, codes)


def read_regions(path, store, channels=()):
    """(ids, codes, channels) of the regions of a BED file; the id is the name column, or chrom:start-end without one.

    store: genome store (covariates.Store); channels: list of dicts path, mean, sd, to be read too
    Returns a list of str, of uint8 arrays (bases,) and of float16 arrays (channels, bases).
    Raises InputError when a region lies outside the genome or has fewer than 20 bp.
    """
    regions, lengths = read_bed(path), chromosome_lengths(store)
    outside = ~regions["chrom"].isin(list(lengths)) | (regions["end"] > regions["chrom"].map(lengths))
    if outside.any():
        row = regions[outside].iloc[0]
        raise InputError(
            f"{path}: {sum(outside)} regions lie outside the genome, first {row['chrom']}:{row['start']}-{row['end']}; "
            "give regions of this genome"
        )
    places = regions["chrom"] + ":" + regions["start"].astype(str) + "-" + regions["end"].astype(str)
    ids = regions["name"].where(regions["name"] != ".", places) if "name" in regions else places
    codes, values = extract_regions(regions, store, channels)
    return *check_lengths(path, list(ids), codes), values


def check_lengths(path, ids, codes):
    if not ids:
        raise InputError(f"{path}: no sequence; give BED regions or FASTA records")
    for identifier, sequence in zip(ids, codes, strict=True):
        if len(sequence) < SHORTEST_BP:
            raise InputError(
                f"{path}: {identifier} has {len(sequence)} bp, fewer than {SHORTEST_BP}; lengthen or remove it"
            )
    return ids, codes


def score_sequences(network, codes, window_bp, rng, channels=None, encoding=None):
    """Probability that each sequence is bound, float array (sequences,).

    network: Network with one head; codes: list of uint8 arrays (bases,); window_bp: width that the network was trained on
    rng: numpy Generator of the bases that stand for unknown ones
    channels: list of float arrays (channels, bases), or None; encoding: settings of `layers.encode`
    A shorter sequence is set in the middle of unknown bases, with 0, the mean, in the channels; a longer one is scored in
    windows every half width, counted from both ends so that both strands score alike, and gets its best window's score.
    The logit of a window with unknown bases is the mean over 32 fillings with random bases, the same for all windows and
    for both strands: networks never saw a window of unknown bases, and call it bound for want of background.
    Probabilities hold for the share of bound windows that the network was trained on.
    """

    def cut(sequence, fill):
        missing = window_bp - sequence.shape[-1]
        if missing >= 0:
            left = sorted({missing // 2, missing - missing // 2})
            beside = [(0, 0)] * (sequence.ndim - 1)
            return np.array([np.pad(sequence, [*beside, (n, missing - n)], constant_values=fill) for n in left])
        starts = np.arange(0, -missing, max(1, window_bp // 2))
        starts = np.union1d(starts, -missing - starts)
        places = np.lib.stride_tricks.sliding_window_view(sequence, window_bp, axis=-1)
        return np.moveaxis(places[..., starts, :], -2, 0)

    windows = [cut(sequence, UNKNOWN) for sequence in codes]
    owner = np.repeat(np.arange(len(codes)), [len(part) for part in windows])
    windows = np.concatenate(windows)
    if channels is not None:
        channels = np.concatenate([cut(values, 0) for values in channels])
    logits = mean_logits(network, windows, rng, channels, encoding)
    return probability(pd.Series(logits).groupby(owner).max().to_numpy())


def mean_logits(network, windows, rng, channels=None, encoding=None):
    """Logits of windows, the mean over fillings of their unknown bases, float array (windows,); see `score_sequences`."""
    half = rng.integers(0, 4, (BACKGROUNDS // 2, windows.shape[1]), dtype=np.uint8)
    fillings = np.concatenate([half, reverse_complement_codes(half)])

    def ask(rows, codes):
        more = None if channels is None else channels[rows]
        return score(network, codes, more, encoding)[:, 0]

    logits = np.empty(len(windows))
    known = (windows != UNKNOWN).all(axis=1)
    if known.any():
        logits[known] = ask(np.flatnonzero(known), windows[known])
    unknown = np.flatnonzero(~known)
    for start in range(0, len(unknown), 16):
        part = unknown[start : start + 16]
        filled = np.where(windows[part, None] == UNKNOWN, fillings, windows[part, None])
        rows = np.repeat(part, BACKGROUNDS)
        logits[part] = ask(rows, filled.reshape(len(rows), -1)).reshape(len(part), -1).mean(axis=1)
    return logits
