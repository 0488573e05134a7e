"""Gapped k-mer regression: which words of a few bases with gaps tell bound windows from others.

The model is linear in the counts of all gapped k-mers: k known bases among l in a row. There are many of them, but the
number that two words of length l share depends on their mismatches d alone: it is comb(l - d, k). That matrix between
words is diagonal in the Walsh-Hadamard basis of the words written in bits, so that neither gapped k-mers nor a matrix
between windows is ever stored: a step of the fit costs two fast transforms of 4^l numbers.

Kernel and norm are those of the gkm-SVM (Ghandi et al. 2014, PLoS Comput Biol 10:e1003711; ls-gkm, Lee 2016,
Bioinformatics 32:2196). What differs: the loss is that of a logistic regression and not that of a support vector machine,
so that scores are probabilities; every number of mismatches up to l - k counts; and the words in the middle of a window
count more, as in the `wgkm` kernel of ls-gkm, in so far as that helps on the validation windows.
"""

import logging
from dataclasses import dataclass
from math import comb

import numpy as np
from numba import njit
from scipy import sparse
from scipy.linalg import hadamard
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import average_precision_score

from cisgrammar.log import InputError

HALF_LIVES = (25, 50, None)  # bp from the middle of a window at which a word counts half; None: all words count alike
FLOOR = 1 / 50  # weight of words far from the middle, as in ls-gkm
COSTS = (1, 10, 100)  # inverse strengths of the regularisation
TRIAL = (8, 5, 10)  # l, k and cost at which half-lives are compared, since that is fast
STEP = 4096  # windows in one step


@dataclass(frozen=True)
class Kmers:
    """A fitted model: weight of every word of l bases, its other strand added, and what makes scores of them."""

    l: int  # noqa: E741 (the name in the field)
    k: int
    half_life: float | None
    cost: float
    weights: np.ndarray
    intercept: float

    def logits(self, codes):
        """Logits of windows, codes uint8 (windows, bases): float array (windows,)."""
        found = [np.zeros(0)]
        for i in range(0, len(codes), STEP):
            words, values = read_words(codes[i : i + STEP], self.l, self.k, self.half_life)
            found.append((self.weights[words] * values).sum(axis=1) + self.intercept)
        return np.concatenate(found)


def number_words(codes, length):
    """Number of the word that starts at each base, and whether all its bases are known; arrays (windows, words).

    codes: uint8 (windows, bases). A word is written in base 4, A C G T being 0 to 3.
    """
    n = max(0, codes.shape[1] - length + 1)
    words, known = np.zeros((len(codes), n), dtype=np.int32), np.ones((len(codes), n), dtype=bool)
    for i in range(length):
        here = codes[:, i : i + n]
        known &= here < 4
        words = words * 4 + np.where(here < 4, here, 0)
    return words, known


def turn_words(length):
    """Number of the other strand of every word, int32 array (4^length,)."""
    left, turned = np.arange(4**length), np.zeros(4**length, dtype=np.int64)
    for _ in range(length):
        turned, left = turned * 4 + 3 - left % 4, left // 4
    return turned.astype(np.int32)


def transform(values, length):
    """Walsh-Hadamard transform of a float32 array (4^length,), orthonormal, its own inverse."""
    for bases in [2] * (length // 2) + [1] * (length % 2):
        matrix = (hadamard(4**bases) / 2**bases).astype(np.float32)
        values = np.ascontiguousarray((matrix @ values.reshape(4**bases, -1)).T)
    return values.ravel()


def eigenvalues(length, known):
    """Of the matrix comb(length - mismatches, known) between words, float32 array (4^length,), as `transform` has them.

    A component that varies with j bases of the word is in the gapped k-mers that know all these: comb(l - j, k - j) of
    them, and each is the same for the 4^(l - k) words that differ in its gaps.
    """
    left, varies = np.arange(4**length), np.zeros(4**length, dtype=np.int64)
    for _ in range(length):
        varies, left = varies + (left % 4 > 0), left // 4
    table = [comb(length - j, known - j) * 4.0 ** (length - known) if j <= known else 0 for j in range(length + 1)]
    return np.array(table, dtype=np.float32)[varies]


@njit(cache=False)
def kernel_norms(words, weights, turned, shared):
    """Root of the kernel of each window with itself, both strands; float array (windows,).

    words, weights: (windows, words); turned: of `turn_words`; shared: gapped k-mers in common, by the number of mismatches
    """
    norms = np.zeros(len(words))
    for i in range(len(words)):
        total = 0.0
        for a in range(words.shape[1]):
            if weights[i, a] == 0:
                continue
            same = 0.0
            for b in range(a + 1):
                alike = 0.0
                for strand in range(2):
                    x = words[i, a] ^ (turned[words[i, b]] if strand else words[i, b])
                    x = (x | (x >> 1)) & 0x55555555
                    mismatches = 0
                    while x:
                        x &= x - 1
                        mismatches += 1
                    alike += shared[mismatches]
                same += weights[i, b] * alike * (2.0 if b < a else 1.0)
            total += weights[i, a] * same
        norms[i] = np.sqrt(2 * total)
    return norms


def read_words(codes, length, known, half_life):
    """Words of windows and their values, which make the gapped k-mers of both strands a vector of length 1.

    Returns int32 and float32 arrays (windows, words); a word with an unknown base has the value 0.
    """
    words, sound = number_words(codes, length)
    away = np.abs(np.arange(words.shape[1]) - (words.shape[1] - 1) / 2)
    values = sound * (1.0 if half_life is None else np.exp2(-away / half_life) + FLOOR)
    shared = np.array([comb(length - d, known) for d in range(length + 1)], dtype=np.float64)
    norms = kernel_norms(words, values, turn_words(length), shared)
    return words, (values / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)


def word_matrix(codes, length, known, half_life):
    """The same as a sparse float32 array (windows, 4^length)."""
    words, values = read_words(codes, length, known, half_life)
    ends = np.arange(len(words) + 1) * words.shape[1]
    return sparse.csr_array((values.ravel(), words.ravel(), ends), shape=(len(words), 4**length))


def fit_words(matrix, labels, length, known, cost, start=None):
    """Weights of a logistic regression on gapped k-mers: minimum of cost * log loss + (squared norm of the weights) / 2.

    matrix: of `word_matrix`; labels: 0 or 1; start: what an earlier fit returned third
    Returns (weight of each word with its other strand's added, float32 (4^length,); intercept; all that was fitted).
    """
    turned, root = turn_words(length), np.sqrt(eigenvalues(length, known))
    sign, share = np.where(labels == 1, 1.0, -1.0), labels.mean()

    def word_weights(parameters):
        weights = transform(parameters[:-1].astype(np.float32) * root, length)
        return weights + weights[turned]

    def objective(parameters):
        margin = sign * (matrix @ word_weights(parameters) + parameters[-1])
        slope = -cost * sign * expit(-margin)
        words = matrix.T @ slope.astype(np.float32)
        gradient = root * transform(words + words[turned], length) + parameters[:-1]
        value = cost * np.logaddexp(0, -margin).sum() + parameters[:-1] @ parameters[:-1] / 2
        return value, np.append(gradient, slope.sum())

    if start is None:
        start = np.append(np.zeros(4**length), np.log(share / (1 - share)))
    options = {"maxiter": 100, "maxcor": 5, "ftol": 1e-5}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return word_weights(found), float(found[-1]), found


def fit_kmers(train, validation, length, known, most, rng):
    """Gapped k-mer regression, half-life and cost being those of the largest AUPRC on the validation windows.

    train, validation: (codes uint8 (windows, bases), labels 0 or 1); length, known: bases of a word, those not in a gap
    most: training windows at most; of more, a random part, of which at most half are bound, and the intercept is set
    back to the share of all; rng: numpy Generator
    Returns (Kmers, AUPRC on the validation windows).
    Raises InputError when more bases are to be known than a word has.
    """
    if known > length:
        raise InputError(f"evaluation.kmer_known is {known}, more than kmer_bp {length}; lower it, as in 10 and 6")
    codes, labels = train
    rows = [np.flatnonzero(labels == label) for label in (1, 0)]
    n = min(len(rows[0]), max(most // 2, most - len(rows[1])))
    kept = [np.sort(rng.permutation(part)[:size]) for part, size in zip(rows, (n, most - n), strict=True)]
    shift = np.log(len(rows[0]) * len(kept[1]) / (len(kept[0]) * len(rows[1])))
    codes, labels = codes[np.concatenate(kept)], labels[np.concatenate(kept)]
    beside, truth = validation

    def tried(half_life, size, inside, costs):
        matrix, start, fits = word_matrix(codes, size, inside, half_life), None, []
        for cost in costs:
            weights, intercept, start = fit_words(matrix, labels, size, inside, cost, start)
            model = Kmers(size, inside, half_life, cost, weights, intercept + shift)
            fits.append((float(average_precision_score(truth, model.logits(beside))), model))
        return max(fits, key=lambda fit: fit[0])

    trial = min(length, TRIAL[0])
    trials = [tried(h, trial, min(known, TRIAL[1], trial), TRIAL[2:]) for h in HALF_LIVES]
    best = max(trials, key=lambda fit: fit[0])[1].half_life
    auprc, model = tried(best, length, known, COSTS)
    logging.info(
        "gapped k-mers of %d bp, %d known: %d training windows, half-life %s bp, cost %g, validation AUPRC %.3f",
        *(length, known, len(labels), best, model.cost, auprc),
    )
    return model, auprc
