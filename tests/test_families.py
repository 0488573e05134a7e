"""Families: which experiments are of a TF's family."""

import pandas as pd
import pytest
from cisgrammar.families import families_of, same_family
from cisgrammar.log import InputError

TABLE = pd.DataFrame(
    [
        ("GATA1", "C4-GATA-related"),
        ("GATA2", "C4-GATA-related"),
        ("GATA1::TAL1", "C4-GATA-related; Tal-related"),
        ("TAL1", "Tal-related"),
        ("CTCF", "More than 3 adjacent zinc fingers"),
        ("ABF1", ""),
    ],
    columns=["name", "tf_family"],
)


def test_families():
    assert families_of("gata2", TABLE) == {"C4-GATA-related"}
    assert families_of("TAL1", TABLE) == {"Tal-related", "C4-GATA-related"}
    assert families_of("Abf1", TABLE) == set()
    assert families_of("unknown", TABLE) == set()


def test_sources_of_the_family_in_their_order():
    sources = ["K562/CTCF", "K562/TAL1", "HepG2/GATA2", "HepG2/CTCF"]
    assert same_family("GATA2", sources, TABLE) == ["K562/TAL1", "HepG2/GATA2"]
    assert same_family("CTCF", sources, TABLE) == ["K562/CTCF", "HepG2/CTCF"]
    assert same_family("ABF1", ["x/abf1", "x/CTCF"], TABLE) == ["x/abf1"]


@pytest.mark.parametrize(("tf", "message"), [("GATA1", "family C4-GATA-related"), ("ABF1", "JASPAR has no family")])
def test_without_a_relative(tf, message):
    with pytest.raises(InputError, match=message):
        same_family(tf, ["K562/CTCF"], TABLE)
