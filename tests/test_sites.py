"""Sites of motifs, called where they were planted."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.intervals import read_bed
from cisgrammar.layers import one_hot
from cisgrammar.sites import COLUMNS, call_sites, mark_active, write_sites
from sequence_data import codes_of

MOTIF = "TGACTCAGC"


def motif_of(sequence, identifier="motif_1"):
    return {"id": identifier, "matrix": 100 * one_hot(codes_of(sequence)).numpy() + 0.5}


def planted():
    codes = np.random.default_rng(0).integers(0, 4, (4, 60)).astype(np.uint8)
    codes[0, 10:19] = codes_of(MOTIF)
    codes[1, 30:39] = reverse_complement_codes(codes_of(MOTIF))
    codes[2, 0:9] = codes[2, 51:60] = codes_of(MOTIF)
    return codes


def test_sites_are_called_where_they_are():
    codes = planted()
    values = one_hot(codes).numpy() * np.arange(60) / 10
    found = call_sites([motif_of(MOTIF)], codes, values, 1e-5)
    assert list(found.columns) == COLUMNS
    rows = list(found[["window", "start", "end", "strand"]].itertuples(index=False, name=None))
    assert rows == [(0, 10, 19, "+"), (1, 30, 39, "-"), (2, 0, 9, "+"), (2, 51, 60, "+")]
    assert found["contribution"].tolist() == pytest.approx(
        [12.6, 30.6, 3.6, 49.5], abs=1e-4
    )  # sums of 10..18, ... / 10
    assert found["score"].tolist() == pytest.approx([found["score"].iloc[0]] * 4)
    assert (found["p"] <= 1e-5).all()


def test_a_palindrome_counts_once():
    codes = planted()
    codes[3, 20:28] = codes_of("CACGCGTG")
    found = call_sites([motif_of("CACGCGTG", "p")], codes, one_hot(codes).numpy(), 2e-5)
    assert found[["window", "start", "strand"]].to_numpy().tolist() == [[3, 20, "+"]]


def test_no_motif_and_no_site(tmp_path):
    codes = planted()[3:]
    for motifs in ([], [motif_of(MOTIF)]):
        found = call_sites(motifs, codes, one_hot(codes).numpy(), 1e-5)
        assert list(found.columns) == COLUMNS and found.empty
        write_sites(found, {"chrom": np.array(["chr1"]), "start": np.array([5])}, tmp_path / "sites.bed")
        assert (tmp_path / "sites.bed").read_text() == ""


def test_sites_in_the_genome(tmp_path):
    sites = pd.DataFrame(
        [
            ("m", 1, 5, 14, "-", 18.0, 1e-6, 2.5),
            ("m", 0, 105, 114, "-", 18.0, 1e-6, 2.5),
            ("m", 0, 1, 10, "+", 9, 0.5, -1),
        ],
        columns=COLUMNS,
    )
    windows = {"chrom": np.array(["chr1", "chr1"], dtype=object), "start": np.array([100, 200])}
    write_sites(sites, windows, tmp_path / "sites.bed")  # the first two are one site, in windows that overlap
    table = read_bed(
        tmp_path / "sites.bed", ["chrom", "start", "end", "name", "score", "strand", "contribution", "bits"]
    )
    assert table.iloc[0].tolist() == ["chr1", 101, 110, "m", "30", "+", "-1", "9"]
    assert table.iloc[1].tolist() == ["chr1", 205, 214, "m", "600", "-", "2.5", "18"]
    assert len(table) == 2


def test_active_sites_by_hand():
    """Beside the sites at 4 to 7 and 8 to 11 lie the stretches from 0, 1 and 11, 12, 13, which sum to 0, 1, 0, 2, 4."""
    values = np.zeros((1, 4, 16))
    values[0, 2, 3:16] = [1, 9, 1, 1, 0, 1, 0, 0, 0, 0, 0, 2, 0]
    values[0, 2, 15] = 2
    rows = [("m", 0, s, s + 3, "+", 1.0, 0.1, c) for s, c in ((4, 11.0), (8, 1.0))]
    sites = pd.DataFrame(rows, columns=COLUMNS)
    assert mark_active(sites, values, 0.2)["active"].tolist() == [True, False]
    assert mark_active(sites, values, 1.0)["active"].tolist() == [True, True]
    whole = sites.assign(start=[0, 8], end=[8, 16])
    assert mark_active(whole, values, 0.2)["active"].tolist() == [True, True]
    assert mark_active(sites[:0], values, 0.2)["active"].tolist() == []
