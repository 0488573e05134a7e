"""The simulation's rule by hand: a site, its other strand, and a partner at the right and at a wrong place."""

import numpy as np
import pytest
from cisgrammar.binding import has_sites, is_bound, log_odds
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.layers import one_hot
from sequence_data import codes_of

SITE, PARTNER = one_hot(codes_of("GGAAGT")).numpy(), one_hot(codes_of("TGTGGTT")).numpy()


def test_log_odds_by_hand():
    found = log_odds(np.array([[1.0], [0], [0], [0]]))
    assert found[0, 0] == pytest.approx(np.log2(1.001 / 1.004 / 0.25))
    assert found[4, 0] == -100


def test_sites_by_hand():
    """One base of six less is more than 0.6 of the best score by no means: its log-odds are -8."""
    codes = np.stack([codes_of("CGGAAGTC"), codes_of("CGGAACTC"), codes_of("CGGNAGTC")])
    assert has_sites(codes, SITE).tolist() == [[False, True, False], [False] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("sequence", "alone", "pair"),
    [
        ("CC" + "GGAAGT" + "CAC" + "TGTGGTT" + "CC", True, True),
        ("CC" + "GGAAGT" + "CACA" + "TGTGGTT" + "C", True, False),  # a base too far
        ("CC" + "TGTGGTT" + "CAC" + "GGAAGT" + "CC", True, False),  # before the site
        ("CC" + "GGAAGT" + "CAC" + "AACCACA" + "CC", True, False),  # on the other strand
        ("CC" + "GGATGT" + "CAC" + "TGTGGTT" + "CC", False, False),
    ],
)
def test_binding_by_hand(sequence, alone, pair):
    codes = codes_of(sequence)[None]
    for strand in (codes, reverse_complement_codes(codes)):
        assert is_bound(strand, SITE).tolist() == [alone]
        assert is_bound(strand, SITE, PARTNER, 3).tolist() == [pair]
