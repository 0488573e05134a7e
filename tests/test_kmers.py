"""Gapped k-mers against counts of each of them, and planted words with and without a gap."""

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.kmers import (
    eigenvalues,
    fit_kmers,
    fit_words,
    number_words,
    read_words,
    transform,
    turn_words,
    word_matrix,
)
from cisgrammar.log import InputError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score


def gapped_counts(codes, length, known):
    """Counter of the gapped k-mers of both strands, (positions, bases)."""
    counts = Counter()
    for strand in (codes, reverse_complement_codes(codes)):
        for i in range(len(strand) - length + 1):
            word = strand[i : i + length]
            if (word < 4).all():
                counts.update((at, tuple(word[list(at)])) for at in combinations(range(length), known))
    return counts


def planted(word, n, rng, width=60):
    """Codes and labels: n random windows with the word near their middle, N being any base, and 4 n without."""
    codes = rng.integers(0, 4, (5 * n, width)).astype(np.uint8)
    for i, base in enumerate(word):
        if base != "N":
            codes[:n, width // 2 - 4 + i] = "ACGT".index(base)
    codes[:n:2] = reverse_complement_codes(codes[:n:2])
    return codes, np.repeat([1, 0], [n, 4 * n])


def test_words_by_hand():
    words, known = number_words(np.array([[0, 1, 2, 4, 3]], dtype=np.uint8), 2)
    assert words[0, :2].tolist() == [1, 6] and known.tolist() == [[True, True, False, False]]
    assert turn_words(2)[[1, 6, 0]].tolist() == [11, 6, 15]  # AC and GT, CG and CG, AA and TT
    assert number_words(np.zeros((2, 3), dtype=np.uint8), 4)[0].shape == (2, 0)


@pytest.mark.parametrize(("length", "known"), [(3, 2), (4, 2), (5, 5)])
def test_transform_makes_the_kernel_diagonal(length, known):
    """Entries of the matrix between words are comb(length - mismatches, known)."""
    n, rng = 4**length, np.random.default_rng(0)
    values = rng.normal(size=n).astype(np.float32)
    assert transform(transform(values, length), length) == pytest.approx(values, abs=1e-5)
    bases = np.stack(np.unravel_index(np.arange(n), (4,) * length))
    for word in rng.integers(0, n, 5):
        row = transform(eigenvalues(length, known) * transform(np.eye(1, n, word, dtype=np.float32)[0], length), length)
        mismatches = (bases != bases[:, [word]]).sum(axis=0)
        assert row == pytest.approx([comb(length - d, known) for d in mismatches], abs=1e-3)


def test_kernel_is_that_of_the_counts():
    """Cosine of the counts of gapped k-mers; a window of unknown bases alone is zero."""
    rng, length, known = np.random.default_rng(1), 4, 2
    codes = rng.integers(0, 4, (4, 12)).astype(np.uint8)
    codes[0, 5], codes[3] = 4, 4
    matrix = word_matrix(codes, length, known, None).toarray()
    both = (matrix + matrix[:, turn_words(length)]).astype(np.float32)
    inner = both @ np.stack([transform(eigenvalues(length, known) * transform(v, length), length) for v in both]).T
    counts = [gapped_counts(row, length, known) for row in codes]
    for i in range(4):
        for j in range(4):
            product = sum(n * counts[j][k] for k, n in counts[i].items())
            norms = [np.sqrt(sum(n * n for n in counts[x].values())) for x in (i, j)]
            assert inner[i, j] == pytest.approx(product / max(1, norms[0] * norms[1]), abs=1e-4)


def test_the_fit_is_a_logistic_regression_on_the_counts():
    rng, length, known = np.random.default_rng(2), 3, 2
    codes, labels = rng.integers(0, 4, (60, 20)).astype(np.uint8), np.repeat([1, 0], [20, 40])
    counts = [gapped_counts(row, length, known) for row in codes]
    names = sorted(set().union(*counts))
    table = np.array([[one[name] for name in names] for one in counts], dtype=float)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    expected = LogisticRegression(C=1, tol=1e-8, max_iter=1000).fit(table, labels).decision_function(table)
    weights, intercept, _ = fit_words(word_matrix(codes, length, known, None), labels, length, known, 1)
    words, values = read_words(codes, length, known, None)
    assert (weights[words] * values).sum(axis=1) + intercept == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("word", ["TGACTCA", "CGTNNACG"])
def test_a_planted_word_is_found_on_both_strands(word):
    rng = np.random.default_rng(3)
    train, validation, (codes, labels) = (planted(word, n, rng) for n in (150, 50, 50))
    model, auprc = fit_kmers(train, validation, 8, 5, 10_000, rng)
    assert model.half_life is not None  # the words lie in the middle
    assert auprc > 0.9 and average_precision_score(labels, model.logits(codes)) > 0.9
    assert model.logits(reverse_complement_codes(codes)) == pytest.approx(model.logits(codes), abs=1e-3)
    assert model.logits(codes[:0]).shape == (0,)


def test_a_part_of_the_windows_keeps_the_share():
    """The mean probability on random windows is the share of all training windows, though half of those fitted are bound."""
    rng = np.random.default_rng(4)
    codes, labels = rng.integers(0, 4, (2000, 30)).astype(np.uint8), np.repeat([1, 0], [200, 1800])
    model, _ = fit_kmers((codes, labels), (codes[::4], labels[::4]), 4, 3, 300, rng)
    assert 0.05 < (1 / (1 + np.exp(-model.logits(codes)))).mean() < 0.2


def test_more_known_bases_than_a_word_has_are_refused():
    codes, labels = planted("TGACTCA", 5, np.random.default_rng(5))
    with pytest.raises(InputError, match="kmer_known is 7, more than kmer_bp 6"):
        fit_kmers((codes, labels), (codes, labels), 6, 7, 100, np.random.default_rng(0))
