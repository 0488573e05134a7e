"""Matrices out of the JASPAR release that comes with pyjaspar."""

import pytest
from cisgrammar.jaspar import read_jaspar
from cisgrammar.log import InputError

RELEASE = "JASPAR2026"


def test_latest_versions_of_one_taxon():
    motifs = read_jaspar(RELEASE, "CORE", ["fungi"], False)
    ids = [motif["jaspar_id"] for motif in motifs]
    assert ids == sorted(ids)
    assert len({identifier.split(".")[0] for identifier in ids}) == len(ids) > 150
    assert {motif["taxon"] for motif in motifs} == {"fungi"}
    for motif in motifs:
        assert motif["counts"].shape[0] == 4 and motif["counts"].shape[1] > 3
        assert (motif["counts"] >= 0).all() and (motif["counts"].sum(axis=0) > 0).all()


def test_rows_are_in_the_order_of_the_alphabet():
    """Reb1 of yeast binds CGGGTAA or its other strand, TTACCCG."""
    reb1 = next(m for m in read_jaspar(RELEASE, "CORE", ["fungi"], False) if m["name"] == "REB1")
    consensus = "".join("ACGT"[base] for base in reb1["counts"].argmax(axis=0))
    assert "CGGGTAA" in consensus or "TTACCCG" in consensus


def test_all_versions_hold_the_latest_ones():
    latest = {motif["jaspar_id"] for motif in read_jaspar(RELEASE, "CORE", ["fungi"], False)}
    every = {motif["jaspar_id"] for motif in read_jaspar(RELEASE, "CORE", ["fungi"], True)}
    assert latest < every


def test_unknown_release():
    with pytest.raises(InputError, match=r"references\.jaspar\.release: 'JASPAR1999' is not one of .*JASPAR2026"):
        read_jaspar("JASPAR1999", "CORE", ["fungi"], False)


@pytest.mark.filterwarnings("ignore:Zero motifs")
@pytest.mark.parametrize(("collection", "taxon"), [("CORE", "martians"), ("CORX", "fungi")])
def test_nothing_found(collection, taxon):
    with pytest.raises(InputError, match=f"{RELEASE} has no matrices of collection {collection} for {taxon}"):
        read_jaspar(RELEASE, collection, [taxon], False)
