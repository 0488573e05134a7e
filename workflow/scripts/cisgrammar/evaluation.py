"""Scores on chromosomes that no model saw, beside two baselines on the same windows."""

import logging

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from cisgrammar.dna import gc_fraction, reverse_complement_codes
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


def fit_gc(codes, labels):
    """Logistic regression on GC and its square, from training windows; returns a function codes -> probability."""

    def features(codes):
        gc = np.nan_to_num(gc_fraction(codes), nan=0.5)
        return np.column_stack([gc, gc**2]) * 10

    model = LogisticRegression(max_iter=1000).fit(features(codes), labels)
    return lambda codes: model.predict_proba(features(codes))[:, 1]


def measure(labels, scores, blocks, n_bootstrap, rng):
    """AUROC and AUPRC with 95% intervals.

    labels: 0 or 1; scores: float array, higher is more likely bound; blocks: int array, the stretch of chromosome that
    each window lies in. Intervals are percentiles over bootstrap samples of whole blocks, since neighbouring windows are
    not independent; samples without a positive or a negative are drawn again (at most ten times as many draws).
    Returns a dict n_pos, n_neg, prevalence, auroc, auroc_low, auroc_high, auprc, auprc_low, auprc_high.
    """
    _, block = np.unique(blocks, return_inverse=True)
    samples = []
    for _ in range(10 * n_bootstrap):
        counts = np.bincount(rng.integers(0, block.max() + 1, block.max() + 1), minlength=block.max() + 1)
        weights = counts[block]
        if len(samples) < n_bootstrap and weights[labels == 1].any() and weights[labels == 0].any():
            kept = weights > 0
            samples.append(weighted_areas(labels[kept], scores[kept], weights[kept]))
        if len(samples) == n_bootstrap:
            break
    low, high = np.percentile(samples, [2.5, 97.5], axis=0) if samples else np.full((2, 2), np.nan)
    return {
        "n_pos": int(np.sum(labels == 1)),
        "n_neg": int(np.sum(labels == 0)),
        "prevalence": float(np.mean(labels)),
        **dict(auroc=float(roc_auc_score(labels, scores)), auroc_low=low[0], auroc_high=high[0]),
        **dict(auprc=float(average_precision_score(labels, scores)), auprc_low=low[1], auprc_high=high[1]),
    }


def weighted_areas(labels, scores, weights):
    """(AUROC, average precision) with whole-number weights; equal to scikit-learn's with `sample_weight`, but faster."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    positives = np.cumsum((labels * weights)[order])[last].astype(float)
    negatives = np.cumsum(((1 - labels) * weights)[order])[last].astype(float)
    recall, fall_out = positives / positives[-1], negatives / negatives[-1]
    precision = positives / (positives + negatives)
    return np.trapezoid(np.append(0, recall), np.append(0, fall_out)), np.sum(np.diff(recall, prepend=0) * precision)


def evaluate(test, scores, n_bootstrap, block_bp, seed):
    """Metrics of several models on the peaks and each set of negatives, each model with the same bootstrap samples.

    test: dict of `read_sequences`; scores: dict of model name to float array
    Returns a data frame with a row per set and model.
    """
    names = pd.factorize(test["chrom"])[0].astype(np.int64)
    blocks = names * (1 << 40) + test["start"] // block_bp
    labels = test["label"].astype(np.int64)
    rows = []
    for negatives in pd.unique(test["negatives"][labels == 0]):
        of = (labels == 1) | (test["negatives"] == negatives)
        for model, values in scores.items():
            found = measure(labels[of], values[of], blocks[of], n_bootstrap, np.random.default_rng(seed))
            rows.append({"model": model, "negatives": negatives, **found})
    return pd.DataFrame(rows)
