"""Baselines that a network is to beat: the best known motif, and the covariates of the windows alone.

The third, gapped k-mer regression, is in kmers.
"""

import logging

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from cisgrammar.density import FITTED, TREES
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.layers import one_hot


def log_odds(matrix, pseudocount=0.01):
    """Log-odds ln(p/q) of a matrix against equal base frequencies.

    matrix: float array (4, width), columns sum to 1; pseudocount: share of equal frequencies mixed in
    Returns a float array (4, width).
    """
    return np.log(((1 - pseudocount) * matrix + pseudocount / 4) / 0.25)


def best_sites(matrices, codes, batch_size=2000):
    """Log-odds of the best site of each matrix in each sequence, over all positions and both strands.

    matrices: list of float arrays (4, width); codes: uint8 array (sequences, bases); an unknown base scores 0, and so
    does what lies beyond the ends, since a site may hang over an end
    Returns a float32 array (sequences, matrices).
    """
    scores = np.full((len(codes), len(matrices)), -np.inf, dtype=np.float32)
    widths = np.array([matrix.shape[1] for matrix in matrices])
    for strand in (codes, np.ascontiguousarray(reverse_complement_codes(codes))):
        for i in range(0, len(strand), batch_size):
            sequences = one_hot(strand[i : i + batch_size])
            for width in np.unique(widths):
                which = np.flatnonzero(widths == width)
                kernels = torch.tensor(np.stack([log_odds(matrices[j]) for j in which]), dtype=torch.float32)
                hits = torch.nn.functional.conv1d(sequences, kernels, padding=int(width) // 2).amax(dim=-1).numpy()
                scores[i : i + batch_size, which] = np.maximum(scores[i : i + batch_size, which], hits)
    return scores


def choose_matrix(motifs, codes, labels, rng, most=300):
    """The known motif whose best site ranks training windows best (largest AUPRC).

    motifs: dict id to (name, matrix); codes, labels: training windows, of which at most `most` positives and three
    negatives per positive are looked at; rng: numpy Generator
    Returns (id, name, AUPRC on those windows).
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    positives = rng.permutation(positives)[:most]
    rows = np.concatenate([positives, rng.permutation(negatives)[: 3 * len(positives)]])
    scores = best_sites([matrix for _, matrix in motifs.values()], codes[rows])
    auprc = [average_precision_score(labels[rows], column) for column in scores.T]
    best = list(motifs)[int(np.argmax(auprc))]
    logging.info("best JASPAR matrix on training windows: %s %s, AUPRC %.3f", best, motifs[best][0], max(auprc))
    return best, motifs[best][0], float(max(auprc))


def fit_covariates(covariates, labels, rng):
    """Gradient-boosted trees that see the covariates of training windows alone, those that tell how well negatives match.

    covariates: float array (windows, covariates), nan where one is not known; labels: 0 or 1; rng: numpy Generator
    At most 200,000 windows are looked at. Returns a function of such an array to logits, float array (windows,).
    """
    rows = np.arange(len(labels)) if len(labels) <= FITTED else rng.choice(len(labels), FITTED, replace=False)
    model = HistGradientBoostingClassifier(**TREES, random_state=int(rng.integers(2**31)))
    return model.fit(covariates[rows], labels[rows]).decision_function
