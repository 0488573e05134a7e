"""Named sets of negatives: windows in the right places, none on what is taken."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.covariates import open_store, write_store
from cisgrammar.intervals import overlaps
from cisgrammar.log import InputError
from cisgrammar.negatives import keep_needed
from cisgrammar.sets import (
    draw_some,
    find_sites,
    free_windows,
    own_matrices,
    place_windows,
    shufflable,
    tile_regions,
)

SPLITS = pd.DataFrame({"chrom": ["a", "b", "m"], "length_bp": [1000, 500, 80], "split": ["train", "test", "ignored"]})


def bed(*rows, columns=("chrom", "start", "end", "name")):
    return pd.DataFrame(rows, columns=columns[: len(rows[0])])


def test_windows_around_places_stay_inside_their_chromosome():
    centers = pd.DataFrame({"chrom": ["a", "a", "b", "m", "x"], "center": [10, 50, 450, 40, 40]})
    found = place_windows(centers, 100, SPLITS)
    assert found.to_numpy().tolist() == [["a", 0, 100, "train"], ["b", 400, 500, "test"]]


def test_regions_hold_as_many_windows_as_fit_side_by_side():
    found = tile_regions(bed(("a", 100, 350), ("a", 500, 540), ("b", 200, 300)), 100, SPLITS)
    assert found[["start", "end"]].to_numpy().tolist() == [[125, 225], [225, 325], [470, 570], [200, 300]]


def test_matrices_are_found_by_name_whatever_the_case():
    motifs = {"1": ("ABF1", "A"), "2": ("Myc::Max", "B"), "3": ("Maxi", "C")}
    assert own_matrices("Abf1", motifs) == {"1": "A"}
    assert own_matrices("MAX", motifs) == {"2": "B"}
    with pytest.raises(InputError, match=r"no matrix .* is called CTCF"):
        own_matrices("CTCF", motifs)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Chromosome a holds CACGTGTTAC at 300 and, turned round, at 720; b ends in ten unknown bases."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    a, b = ("".join(rng.choice(list("AT"), n)) for n in (1000, 490))
    a = a[:300] + "CACGTGTTAC" + a[310:720] + "GTAACACGTG" + a[730:]
    (folder / "genome.fa").write_text(f">a\n{a}\n>b\n{b}NNNNNNNNNN\n")
    write_store(folder / "genome.fa", {"a": 1000, "b": 500}, folder / "store")
    return open_store(folder / "store")


def test_sites_of_both_strands_are_found_where_they_are(store):
    windows = bed(*(("a", start, start + 200) for start in range(0, 801, 200)), ("b", 300, 500))
    matrix = np.full((4, 10), 0.01)
    for i, base in enumerate("CACGTGTTAC"):
        matrix["ACGT".index(base), i] = 0.97
    found = find_sites(windows, {"site": matrix}, store)
    assert found.to_numpy().tolist() == [["a", 305], ["a", 725]]
    assert find_sites(windows.iloc[:0], {"site": matrix}, store).empty


def test_free_windows_touch_nothing():
    windows = bed(("a", 50, 150), ("a", 0, 100), ("a", 100, 200), ("a", 300, 400), ("b", 150, 250))
    taken = bed(("a", 390, 391), columns=("chrom", "start", "end"))
    found = free_windows(windows, taken)
    assert found[["chrom", "start"]].to_numpy().tolist() == [["a", 0], ["a", 100], ["b", 150]]
    assert not overlaps(found, taken).any()


def test_peaks_at_an_edge_or_with_unknown_bases_are_not_shuffled(store):
    peaks = bed(("a", 5, 105), ("a", 10, 110), ("a", 890, 990), ("a", 895, 995), ("b", 380, 480), ("b", 385, 485))
    assert shufflable(peaks, store, 10)["start"].tolist() == [10, 890, 380]


def test_draws_are_counted_and_repeated_only_where_allowed():
    windows = bed(*(("a", i, i + 1, "train") for i in range(7)), ("b", 0, 1, "test"))
    peaks = bed(*[("a", 0, 1, "train")] * 2, *[("b", 0, 1, "test")] * 2)
    drawn, counts = draw_some(windows, peaks, 2, np.random.default_rng(0))
    assert counts.to_numpy().tolist() == [["train", 4, 4], ["validation", 0, 0], ["test", 4, 1]]
    assert not drawn.index.duplicated().any()
    drawn, counts = draw_some(windows, peaks, 5, np.random.default_rng(0), repeat=True)
    assert counts["drawn"].tolist() == [10, 0, 10]
    assert drawn["start"][drawn["name"] == "train"].value_counts().isin([1, 2]).all()


def test_only_windows_that_some_stage_reads_are_kept():
    windows = bed(("a", 0, 1, "train"), ("b", 0, 1, "test"))
    settings = {"training": ["matched"], "evaluation": ["matched", "motif"]}
    kept = keep_needed({"matched": windows, "motif": windows}, windows, settings)
    assert kept[["name", "negatives"]].to_numpy().tolist() == [
        ["train", "matched"],
        ["test", "matched"],
        ["test", "motif"],
    ]
    with pytest.raises(InputError, match="no window for the set `motif` on the test chromosomes"):
        keep_needed({"motif": windows[:1]}, windows, settings)
