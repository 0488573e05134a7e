"""Scores for sequences that a user gives, of any length from 20 bp on."""

import numpy as np
import pandas as pd

from cisgrammar.dna import CODES
from cisgrammar.files import open_text
from cisgrammar.intervals import read_bed
from cisgrammar.log import InputError
from cisgrammar.model import probability, score
from cisgrammar.sequences import extract_codes

SHORTEST_BP = 20


def is_fasta(path):
    with open_text(path) as handle:
        return next((line for line in handle if line.strip()), "").startswith(">")


def read_fasta(path):
    """(ids, codes) of a FASTA file, plain or gzip: list of str, list of uint8 arrays; letters beyond ACGT are unknown.

    Raises InputError with the record when a sequence has fewer than 20 bp.
    """
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


def read_regions(path, genome, lengths):
    """(ids, codes) of the regions of a BED file; the id is the name column, or chrom:start-end where there is none.

    lengths: dict of chromosome name to length in bp
    Raises InputError when a region lies outside the genome or has fewer than 20 bp.
    """
    regions = read_bed(path)
    outside = ~regions["chrom"].isin(list(lengths)) | (regions["end"] > regions["chrom"].map(lengths))
    if outside.any():
        row = regions[outside].iloc[0]
        raise InputError(
            f"{path}: {sum(outside)} regions lie outside the genome, first {row['chrom']}:{row['start']}-{row['end']}; "
            "give regions of this genome"
        )
    places = regions["chrom"] + ":" + regions["start"].astype(str) + "-" + regions["end"].astype(str)
    ids = regions["name"].where(regions["name"] != ".", places) if "name" in regions else places
    codes = [extract_codes(regions.iloc[[i]], genome)[0] for i in range(len(regions))]
    return check_lengths(path, list(ids), codes)


def check_lengths(path, ids, codes):
    if not ids:
        raise InputError(f"{path}: no sequence; give BED regions or FASTA records")
    for identifier, sequence in zip(ids, codes, strict=True):
        if len(sequence) < SHORTEST_BP:
            raise InputError(
                f"{path}: {identifier} has {len(sequence)} bp, fewer than {SHORTEST_BP}; lengthen or remove it"
            )
    return ids, codes


def score_sequences(network, codes, window_bp):
    """Probability that each sequence is bound, float array (sequences,).

    network: Network with one head; codes: list of uint8 arrays; window_bp: width that the network was trained on
    A shorter sequence is set in the middle of unknown bases; a longer one is scored in windows every half width, counted
    from both ends so that both strands score alike, and gets its best window's score. Probabilities hold for the share of
    bound windows that the network was trained on.
    """
    windows, owner = [], []
    for i, sequence in enumerate(codes):
        missing = window_bp - len(sequence)
        if missing >= 0:
            left = sorted({missing // 2, missing - missing // 2})
            cut = np.array([np.pad(sequence, (n, missing - n), constant_values=4) for n in left])
        else:
            starts = np.arange(0, -missing, max(1, window_bp // 2))
            starts = np.union1d(starts, -missing - starts)
            cut = np.lib.stride_tricks.sliding_window_view(sequence, window_bp)[starts]
        windows.append(cut)
        owner.append(np.full(len(cut), i))
    logits = score(network, np.concatenate(windows))[:, 0]
    return probability(pd.Series(logits).groupby(np.concatenate(owner)).max().to_numpy())
