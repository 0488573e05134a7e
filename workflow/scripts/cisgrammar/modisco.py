"""Patterns of TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416), by the package modisco-lite."""

import numpy as np
from modiscolite.tfmodisco import TFMoDISco

from cisgrammar.layers import one_hot
from cisgrammar.motifs import trim


def find_patterns(values, codes, most_seqlets, minimum_sites):
    """Patterns of windows, those that raise the logit first, in the format of `motifs.find_motifs`.

    values: float32 (windows, 4, bases), contributions of all bases at all places; codes: uint8 (windows, bases)
    most_seqlets: of each sign, which bounds time and memory; minimum_sites: fewest seqlets behind a pattern
    Returns a list of dicts id (positive_1, ..., negative_1, ...), matrix (counts and 0.5, trimmed), n_sites.
    """
    found = TFMoDISco(
        one_hot=one_hot(codes).numpy().transpose(0, 2, 1).astype(np.float32),
        hypothetical_contribs=np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32),
        max_seqlets_per_metacluster=most_seqlets,
        final_min_cluster_size=minimum_sites,
    )
    motifs = []
    for sign, patterns in zip(("positive", "negative"), found, strict=True):
        for i, pattern in enumerate(patterns or [], start=1):
            n = len(pattern.seqlets)
            counts = trim(np.asarray(pattern.sequence).T * n)
            motifs.append({"id": f"{sign}_{i}", "matrix": counts + 0.5, "n_sites": n})
    return motifs
