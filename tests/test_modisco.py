"""TF-MoDISco: what goes in and what comes out, with a stand-in and with the package itself."""

from types import SimpleNamespace

import numpy as np
import pytest
from cisgrammar import modisco
from cisgrammar.layers import one_hot
from cisgrammar.modisco import find_patterns

SITE = np.array([3, 2, 0, 1, 3, 1, 0], dtype=np.uint8)


def test_patterns_by_hand(monkeypatch):
    """Of 50 seqlets, twelve columns of which the first two and the last three tell nothing."""
    codes = np.random.default_rng(0).integers(0, 4, (3, 30)).astype(np.uint8)
    columns = np.full((12, 4), 0.25)
    columns[2:9] = one_hot(SITE).numpy().T
    given = {}

    def stand_in(**settings):
        given.update(settings)
        return [SimpleNamespace(seqlets=[None] * 50, sequence=columns)], None

    monkeypatch.setattr(modisco, "TFMoDISco", stand_in)
    values = np.random.default_rng(1).normal(size=(3, 4, 30)).astype(np.float32)
    (found,) = find_patterns(values, codes, most_seqlets=500, minimum_sites=20)
    assert (found["id"], found["n_sites"]) == ("positive_1", 50)
    assert found["matrix"].argmax(axis=0).tolist() == SITE.tolist()
    assert found["matrix"].sum(axis=0) == pytest.approx(52)
    assert np.array_equal(given["one_hot"].argmax(axis=2), codes)
    assert np.array_equal(given["hypothetical_contribs"][1, 7], values[1, :, 7])
    assert (given["max_seqlets_per_metacluster"], given["final_min_cluster_size"]) == (500, 20)


def test_the_planted_site_is_the_first_pattern():
    """A site in each of 300 windows, on either strand, one base of it any, some of more weight than others."""
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, (300, 120)).astype(np.uint8)
    values = rng.normal(0, 0.02, (300, 4, 120)).astype(np.float32)
    assert not find_patterns(values, codes, most_seqlets=1000, minimum_sites=20)
    strands = SITE, 3 - SITE[::-1]
    for i, start in enumerate(rng.integers(20, 90, len(codes))):
        place = slice(start, start + len(SITE))
        values[i, :, place] += (one_hot(strands[i % 2]).numpy() - 0.25) * rng.uniform(0.5, 1.5)
        codes[i, place] = strands[i % 2]
        codes[i, start + rng.integers(len(SITE))] = rng.integers(4)
    first, *others = find_patterns(values, codes, most_seqlets=1000, minimum_sites=20)
    assert first["id"] == "positive_1" and first["n_sites"] >= 80
    assert all(motif["n_sites"] < first["n_sites"] / 2 for motif in others)
    assert first["matrix"].argmax(axis=0).tolist() in [site.tolist() for site in strands]
