"""First layers that start from known motifs."""

from statistics import NormalDist

import numpy as np
import torch

from cisgrammar.blocks import PWMConv
from cisgrammar.log import InputError

UNIFORM = (0.25, 0.25, 0.25, 0.25)


def log_odds(counts, background=UNIFORM, pseudocount=1.0):
    """ln(p/q) of a count matrix (4, width), rows A C G T, as a float64 array of the same shape.

    background: q of A C G T; pseudocount: sites that are added to each column, shared out by q (Wasserman & Sandelin
    2004, Nature Reviews Genetics 5:276). Counts of zero sites would give minus infinity without it.
    """
    counts, q = np.asarray(counts, dtype=np.float64), np.asarray(background, dtype=np.float64)[:, None]
    return np.log((counts + pseudocount * q) / (counts.sum(axis=0) + pseudocount) / q)


def threshold(weights, rate, background=UNIFORM):
    """Score that a random position of one strand exceeds with probability `rate`, by the normal approximation.

    weights: float array (..., 4, width); returns a float array (...). Columns are independent, so that their means and
    variances add up. Most motifs have a longer upper tail than a normal distribution: with the matrices of JASPAR 2024
    (CORE, fungi and vertebrates) the exact rate is, in the median, 1.2 times the wanted one at 0.05, 1.3 times at 0.01
    and 1.5 times at 0.001, at most 5 times, and 0 for some motifs too short to be as rare as wanted.
    """
    q = np.asarray(background, dtype=np.float64)[:, None]
    mean = (q * weights).sum(axis=-2)
    variance = (q * np.square(weights)).sum(axis=-2) - mean**2
    return mean.sum(axis=-1) + NormalDist().inv_cdf(1 - rate) * np.sqrt(variance.sum(axis=-1).clip(min=0))


def place(weights, width):
    """Log-odds (4, any width) as (4, width): centred between columns of zero, or cut to the columns with largest weights."""
    missing = width - weights.shape[1]
    if missing >= 0:
        return np.pad(weights, ((0, 0), (missing // 2, missing - missing // 2)))
    strength = np.convolve(np.square(weights).sum(axis=0), np.ones(width), mode="valid")
    return weights[:, strength.argmax() :][:, :width]


def start_from_motifs(layer, matrices, rate=1e-3, background=UNIFORM):
    """Set the first filters of each member to motifs, and their bias so that a random position is above 0 at `rate`.

    layer: MemberConv, PWMConv, TiedConv or MotifDetectors that reads bases, changed in place; matrices: list of count
    matrices (4, width), JASPAR's for instance; background: q of A C G T, a PWMConv has its own. Filters after the last
    motif keep their random start; channels after the first four become zero in the filters that are set.
    For DeepBind-like networks (Alipanahi et al. 2015); the bias takes the place of a p-value cut-off of a motif scan.
    Raises InputError when there are more motifs than filters.
    """
    _, filters, _, width = layer.free.shape
    if len(matrices) > filters:
        raise InputError(f"training.filters: {filters} filters cannot start from {len(matrices)} motifs; set it higher")
    q = layer.log_background.double().numpy(force=True) if isinstance(layer, PWMConv) else 0
    background = np.exp(q)[:, 0] if isinstance(layer, PWMConv) else background
    with torch.no_grad():
        for i, counts in enumerate(matrices):
            layer.free[:, i] = 0
            layer.free[:, i, :4] = torch.as_tensor(place(log_odds(counts, background), width) + q).to(layer.free)
        used = layer.weight[:, : len(matrices), :4].double().numpy(force=True)
        layer.bias[:, : len(matrices)] = -torch.as_tensor(threshold(used, rate, background)).to(layer.bias)
