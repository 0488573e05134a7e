"""The rule by which simulated TFs bind: what the simulation plants, and what judges designs for it."""

import numpy as np

from cisgrammar.dna import reverse_complement_codes

STRENGTH = 0.6  # smallest log-odds score of a site, as a share of the matrix's best


def log_odds(matrix):
    """Log-odds scores in bits against equal base frequencies; float array (5, width), the last row (N) very low."""
    smoothed = (matrix + 0.001) / (matrix + 0.001).sum(axis=0)
    return np.vstack([np.log2(smoothed / 0.25), np.full(matrix.shape[1], -100.0)])


def has_sites(codes, matrix):
    """Where a site starts on the strand given, bool array (sequences, places). codes: uint8 (sequences, bases)."""
    scores, width = log_odds(matrix), matrix.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(np.minimum(codes, 4), width, axis=1)
    found = scores[windows, np.arange(width)].sum(axis=-1)
    return found >= STRENGTH * scores.max(axis=0).sum()


def is_bound(codes, matrix, partner=None, spacing=0):
    """Whether a simulated TF would bind sequences in an accessible region, bool array (sequences,).

    codes: uint8 (sequences, bases); matrix, partner: probabilities (4, width) of its site and of its partner's, which then
    has to start `spacing` bases behind the site on the same strand
    """
    found = np.zeros(len(codes), dtype=bool)
    for strand in (codes, reverse_complement_codes(codes)):
        sites = has_sites(strand, matrix)
        if partner is not None:
            behind = matrix.shape[1] + spacing
            there = has_sites(strand, partner)[:, behind:]
            sites = sites[:, : there.shape[1]] & there
        found |= sites.any(axis=1)
    return found
