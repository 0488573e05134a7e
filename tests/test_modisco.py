"""What goes into TF-MoDISco and what comes out, with a stand-in for the package; a missing one is said."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.modisco import find_patterns

CODES = np.random.default_rng(0).integers(0, 4, (3, 30)).astype(np.uint8)


def test_patterns_by_hand(monkeypatch):
    """Of 50 seqlets, twelve columns of which the first two and the last three tell nothing."""
    columns = np.full((12, 4), 0.25)
    columns[2:9] = one_hot(np.array([3, 2, 0, 1, 3, 1, 0], dtype=np.uint8)).numpy().T
    given = {}

    def stand_in(**settings):
        given.update(settings)
        return [SimpleNamespace(seqlets=[None] * 50, sequence=columns)], None

    monkeypatch.setitem(sys.modules, "modiscolite", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", SimpleNamespace(TFMoDISco=stand_in))
    values = np.random.default_rng(1).normal(size=(3, 4, 30)).astype(np.float32)
    (found,) = find_patterns(values, CODES, most_seqlets=500, minimum_sites=20)
    assert (found["id"], found["n_sites"]) == ("positive_1", 50)
    assert found["matrix"].argmax(axis=0).tolist() == [3, 2, 0, 1, 3, 1, 0]
    assert found["matrix"].sum(axis=0) == pytest.approx(52)
    assert np.array_equal(given["one_hot"].argmax(axis=2), CODES)
    assert np.array_equal(given["hypothetical_contribs"][1, 7], values[1, :, 7])
    assert (given["max_seqlets_per_metacluster"], given["final_min_cluster_size"]) == (500, 20)


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", None)
    with pytest.raises(InputError, match="pip install modisco"):
        find_patterns(np.zeros((3, 4, 30)), CODES, most_seqlets=10, minimum_sites=2)
