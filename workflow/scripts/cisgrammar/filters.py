"""Filters of the first layer as motifs by their weights, and how much the network needs each of them."""

import copy

import numpy as np
import torch

from cisgrammar.model import score

SILENT = -1e4  # a bias that no sequence lifts above 0


def weight_matrices(network, background=(0.25, 0.25, 0.25, 0.25)):
    """What each filter would draw if its weights were log-odds: p = q exp(w) / sum of q exp(w), column by column.

    network: with `detectors`, the first layer; background: q, shares of A, C, G and T
    Returns a list of dicts id (member_1_filter_1, ...), matrix (probabilities, (4, filter_bp)).
    """
    with torch.no_grad():
        weight = network.detectors.weight[..., :4, :].double()
    shares = torch.softmax(weight + torch.tensor(background).double().log()[:, None], dim=-2).numpy()
    return [
        {"id": f"member_{member + 1}_filter_{i + 1}", "matrix": shares[member, i]}
        for member, i in np.ndindex(shares.shape[:2])
    ]


def filter_importance(network, codes, channels=None, encoding=None):
    """Mean fall of the logit when a filter is silent, one by one: dict of filter id to logit.

    network: with `detectors`, whose values pass a ReLU; codes: uint8 (windows, bases); channels, encoding: as for `score`
    """
    changed, found = copy.deepcopy(network), {}
    start = score(network, codes, channels, encoding)[:, 0]
    bias = changed.detectors.bias
    for member, i in np.ndindex(tuple(bias.shape)):
        kept = bias[member, i].item()
        with torch.no_grad():
            bias[member, i] = SILENT
        fall = start - score(changed, codes, channels, encoding)[:, 0]
        found[f"member_{member + 1}_filter_{i + 1}"] = float(fall.mean())
        with torch.no_grad():
            bias[member, i] = kept
    return found
