"""TF-MoDISco finds a planted motif, where it is installed, and says so where it is not."""

import sys

import numpy as np
import pytest
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.modisco import find_patterns

MOTIF = np.array([3, 2, 0, 1, 3, 1, 0, 2, 1], dtype=np.uint8)  # TGACTCAGC


def planted(n=150, bases=60):
    """Windows with the motif, and hypothetical contributions: 1 for its bases, -1/3 for the others."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (n, bases)).astype(np.uint8)
    values = rng.normal(0, 0.1, (n, 4, bases)).astype(np.float32)
    for row, at in enumerate(rng.integers(15, 35, n)):
        codes[row, at : at + len(MOTIF)] = MOTIF
        values[row, :, at : at + len(MOTIF)] += (one_hot(MOTIF).numpy() - 0.25) * 4 / 3
    return values, codes


def test_a_planted_motif_is_found():
    pytest.importorskip("modiscolite")
    found = find_patterns(*planted(), most_seqlets=500, minimum_sites=20)
    top = found[0]["matrix"]
    words = ["".join("ACGT"[row] for row in m.argmax(axis=0)) for m in (top, top[::-1, ::-1])]
    assert any("TGACTCAGC" in word for word in words)
    assert found[0]["n_sites"] > 100
    assert top.sum(axis=0) == pytest.approx(found[0]["n_sites"] + 2)


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", None)
    with pytest.raises(InputError, match="pip install modisco"):
        find_patterns(*planted(2), most_seqlets=10, minimum_sites=2)
