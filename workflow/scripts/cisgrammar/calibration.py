"""Whether probabilities mean what they say: expected calibration error, reliability, and scaling by a temperature."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from cisgrammar.metrics import in_blocks

N_BINS = 15


def probability_bins(probabilities):
    """Bin of each probability, int array: N_BINS of one width from 0 to 1."""
    return np.minimum((np.asarray(probabilities) * N_BINS).astype(np.int64), N_BINS - 1)


class Calibration:
    """Expected calibration error of one model in samples of blocks; see `metrics.Ranking`.

    The mean, over the windows, of the gap between predicted and observed in their bin (Naeini et al. 2015, AAAI 29:2901;
    Guo et al. 2017, ICML 70:1321): 15 bins of one width, here of the probability to be bound.
    """

    width = N_BINS

    def __init__(self, labels, probabilities, block, n_blocks, name="ece"):
        self.names, bins = (name,), probability_bins(probabilities)
        self.gaps = in_blocks(block, bins, labels - probabilities, (n_blocks, N_BINS))
        self.sizes = np.bincount(block, minlength=n_blocks).astype(np.float64)

    def __call__(self, weights):
        """Errors, array (samples, 1), where each block counts as often as `weights` (samples, blocks) says."""
        return np.abs(weights @ self.gaps).sum(axis=1, keepdims=True) / (weights @ self.sizes)[:, None]


def reliability(labels, probabilities):
    """Predicted and observed share of bound windows in each bin that is not empty: list of dicts n, predicted, observed."""
    bins = probability_bins(probabilities)
    sums = [
        np.bincount(bins, weights=values, minlength=N_BINS) for values in (np.ones(len(bins)), probabilities, labels)
    ]
    return [
        {"n": int(n), "predicted": float(predicted / n), "observed": float(observed / n)}
        for n, predicted, observed in zip(*sums, strict=True)
        if n
    ]


def log_loss(labels, logits):
    """Mean negative log likelihood of labels 0 or 1."""
    return float(np.mean(np.logaddexp(0, np.where(labels == 1, -logits, logits))))


def fit_temperature(labels, logits):
    """The positive number that logits are divided by so that their log loss is smallest (Guo et al. 2017, ICML 70:1321).

    labels, logits: arrays (windows,), of validation windows. It is looked for between 0.01 and 100; 1 where the windows
    are of one class. Dividing changes no ranking. The logits hold for the share of bound windows that they were trained
    on, and so does the temperature: neither corrects for another share.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    if not 0 < labels.mean() < 1:
        return 1.0
    limits = np.log(0.01), np.log(100)
    found = minimize_scalar(lambda x: log_loss(labels, logits / np.exp(x)), bounds=limits, method="bounded")
    return float(np.exp(found.x))


def scale(probabilities, temperature):
    """Probabilities after their logits are divided by a temperature; 0 and 1 stay."""
    return expit(logit(np.asarray(probabilities, dtype=np.float64)) / temperature)
