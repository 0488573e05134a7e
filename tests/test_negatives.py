"""Negatives: candidates against a search by hand, away from peaks, and covariates that stay with their windows."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cisgrammar import negatives
from cisgrammar.balance import compare_distributions
from cisgrammar.covariates import (
    COMPOSITION,
    DINUCLEOTIDES,
    open_store,
    tss_distance,
    window_cells,
    windows_covariates,
    write_store,
)
from cisgrammar.intervals import overlaps
from cisgrammar.log import InputError
from cisgrammar.negatives import add_covariates, away_from, find_candidates, name_covariates
from cisgrammar.splits import SPLITS
from scipy.stats import ks_2samp

WINDOW, MARGIN, STEP = 40, 15, 10
CHROMOSOMES = {  # lengths in bp; `tiny` is shorter than a window, `exact` as long as one
    "chr1": ("train", 3000),
    "tiny": ("train", WINDOW - 1),
    "chr4": ("test", 1003),
    "chr2": ("train", 1517),
    "chrM": ("ignored", 500),
    "chr3": ("validation", 2000),
    "exact": ("validation", WINDOW),
}
LENGTHS = {chrom: length for chrom, (_, length) in CHROMOSOMES.items()}
COLUMNS = ["chrom", "start", "end"]
NOTHING = pd.DataFrame({"chrom": [], "start": [], "end": []})


def intervals(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def put_store(write_fasta, sequences, tmp_path, signals=()):
    """Store of a dict of name to sequence."""
    lengths = {chrom: len(sequence) for chrom, sequence in sequences.items()}
    write_store(write_fasta(sequences), lengths, tmp_path / "store", signals)
    return open_store(tmp_path / "store")


@pytest.fixture
def experiment(write_fasta, tmp_path):
    """Sequences, their store and splits, transcription starts, four peaks per chromosome, called regions, a blacklist."""
    rng = np.random.default_rng(7)
    sequences = {}
    for chrom, length in LENGTHS.items():
        gc = np.linspace(0.2, 0.8, length)
        bases = np.where(rng.random(length) < gc, rng.choice(list("CGcg"), length), rng.choice(list("ATat"), length))
        bases[600:660] = "N"
        sequences[chrom] = "".join(bases)
    splits = pd.DataFrame({"chrom": list(LENGTHS), "length_bp": list(LENGTHS.values())})
    splits["split"] = [split for split, _ in CHROMOSOMES.values()]
    rows = [
        (chrom, start, start + WINDOW, split)
        for chrom, (split, length) in CHROMOSOMES.items()
        if split != "ignored" and length > WINDOW
        for start in (203, 417, 711, 902)
    ]
    # The mappability is even along a chromosome: 0.1 on the first one, 0.2 on the second one ...
    np.save(tmp_path / "signal.npy", np.repeat(np.arange(1, 8) / 10, list(LENGTHS.values())))
    return SimpleNamespace(
        sequences=sequences,
        splits=splits,
        store=put_store(write_fasta, sequences, tmp_path, [("mappability", tmp_path / "signal.npy")]),
        tss={chrom: np.array([100, 650] if chrom != "exact" else [], dtype=np.int64) for chrom in LENGTHS},
        peaks=pd.DataFrame(rows, columns=[*COLUMNS, "name"]),
        regions=intervals(("chr1", 400, 450), ("chr4", 0, 90), ("chrM", 5, 10)),
        blacklist=intervals(("chr2", 1400, 1500), ("chr3", 1500, 1555)),
    )


def candidates_of(given, step_bp=STEP, unknown_share=0.12, ratio=1, most=10**6, seed=1, tss=None, taken=None):
    if taken is None:
        taken = away_from(given.peaks, given.regions, given.blacklist, MARGIN)
    rng = np.random.default_rng(seed)
    return find_candidates(given.peaks, taken, given.splits, step_bp, unknown_share, ratio, most, given.store, tss, rng)


def places(table):
    return list(table[[*COLUMNS, "name"]].itertuples(index=False, name=None))


def test_names_of_covariates():
    store = SimpleNamespace(signal_names=["mappability", "dnase"])
    assert name_covariates(["tss", "gc", "dnase", "mappability"], store, {"chr1": []}) == [
        *("tss", "gc", "dnase", "mappability")
    ]
    assert name_covariates(["cpg", "dinucleotides", "repeats"], store, None) == ["cpg", *DINUCLEOTIDES, "repeats"]
    assert name_covariates(["cg", "dinucleotides", "gc", "gc"], store, None) == [
        *("cg", *(name for name in DINUCLEOTIDES if name != "cg"), "gc")
    ]
    assert set(name_covariates(["gc", "cpg", "repeats", "unknown", "dinucleotides"], store, None)) == set(COMPOSITION)


def test_covariates_without_data_are_left_out():
    bare = SimpleNamespace(signal_names=[])
    assert name_covariates(["gc", "mappability", "repeats", "tss"], bare, None) == ["gc", "repeats"]
    with pytest.raises(InputError, match=r"no data for mappability, tss, so nothing is left"):
        name_covariates(["mappability", "tss"], bare, None)


@pytest.mark.parametrize("name", ["dnase", "GC", "", "name"])
def test_unknown_covariate_is_refused_with_those_that_are_known(name):
    store = SimpleNamespace(signal_names=["mappability", "phylop"])
    with pytest.raises(InputError) as caught:
        name_covariates(["gc", name], store, {"chr1": []})
    assert str(caught.value) == (
        f"negatives.covariates: no covariate '{name}'; known are dinucleotides, gc, cpg, aa, ac, ag, at, ca, cc, cg, ga, "
        "gc_step, ta, repeats, unknown, mappability, phylop, tss; add a track under references.signals or correct the name"
    )


def test_covariates_stay_with_their_windows(experiment):
    """Windows of several chromosomes in any order, with an index as after filters and a column of their own."""
    windows = experiment.peaks.sample(frac=1, random_state=3).assign(score=np.arange(16.0))
    windows.index = np.random.default_rng(3).permutation(16) + 100
    found = add_covariates(windows, experiment.store, experiment.tss)
    pd.testing.assert_frame_equal(found[windows.columns], windows)
    assert list(found.columns) == [*windows.columns, *COMPOSITION, "mappability", "tss"]
    for row in found.itertuples():
        window = experiment.sequences[row.chrom][row.start : row.end]
        known = sum(map(window.upper().count, "ACGT"))
        assert row.gc == pytest.approx((window.upper().count("C") + window.upper().count("G")) / known)
        assert row.repeats == pytest.approx(sum(map(str.islower, window)) / WINDOW)
        assert row.unknown == pytest.approx(1 - known / WINDOW)
        assert row.mappability == pytest.approx((1 + list(LENGTHS).index(row.chrom)) / 10)
        middle = row.start + WINDOW // 2
        assert row.tss == pytest.approx(np.log10(1 + min(abs(middle - 100), abs(middle - 650))))
        direct = windows_covariates(experiment.store, row.chrom, np.array([row.start]), WINDOW)
        assert {name: value[0] for name, value in direct.items()} == {name: getattr(row, name) for name in direct}
        assert row.tss == tss_distance(experiment.tss, row.chrom, [middle])[0]


def test_covariates_without_annotation_and_of_no_window(experiment):
    columns = [*COLUMNS, "name", *COMPOSITION, "mappability"]
    assert list(add_covariates(experiment.peaks, experiment.store, None).columns) == columns
    none = add_covariates(experiment.peaks[:0], experiment.store, experiment.tss)
    assert list(none.columns) == [*columns, "tss"] and none.empty and none["gc"].dtype == "float64"


@pytest.mark.parametrize(("step_bp", "n"), [(1, 4500), (STEP, 450), (37, 120), (4000, 4)])
def test_candidates_are_all_places_of_the_grid_that_are_free(experiment, step_bp, n):
    near = pd.concat([experiment.peaks, experiment.regions])[COLUMNS]
    allowed = []
    for split in SPLITS:
        for chrom, (own, length) in CHROMOSOMES.items():
            if own != split:
                continue
            for start in range(0, length - WINDOW + 1, step_bp):
                end = start + WINDOW
                gaps = [max(r.start - end, start - r.end) for r in near[near["chrom"] == chrom].itertuples()]
                bad = experiment.blacklist[experiment.blacklist["chrom"] == chrom].itertuples()
                free = min(gaps, default=MARGIN) >= MARGIN and not any(start < r.end and r.start < end for r in bad)
                if free and experiment.sequences[chrom][start:end].count("N") <= 4:
                    allowed.append((chrom, start, end, split))
    candidates = candidates_of(experiment, step_bp)
    assert places(candidates) == allowed
    assert len(allowed) >= n
    assert candidates.index.is_unique
    assert ("exact", 0, WINDOW, "validation") in allowed
    assert not set(candidates["chrom"]) & {"tiny", "chrM"}
    assert not overlaps(candidates, away_from(experiment.peaks, experiment.regions, experiment.blacklist, MARGIN)).any()


def test_candidates_hold_their_own_covariates(experiment):
    candidates = candidates_of(experiment, tss=experiment.tss)
    assert list(candidates.columns) == [*COLUMNS, "name", *COMPOSITION, "mappability", "tss"]
    again = add_covariates(candidates[[*COLUMNS, "name"]], experiment.store, experiment.tss)
    pd.testing.assert_frame_equal(candidates, again)
    for row in candidates.iloc[::37].itertuples():
        window = experiment.sequences[row.chrom][row.start : row.end].upper()
        assert row.gc == pytest.approx((window.count("G") + window.count("C")) / (WINDOW - window.count("N")))


@pytest.mark.parametrize(("share", "n_unknown"), [(0, 0), (0.1, 4), (0.5, 20), (1, 40)])
def test_candidates_with_unknown_bases(experiment, share, n_unknown):
    candidates = candidates_of(experiment, step_bp=1, unknown_share=share, taken=NOTHING)
    counts = [experiment.sequences[row.chrom][row.start : row.end].count("N") for row in candidates.itertuples()]
    assert max(counts) == n_unknown
    # of 41 + 60 - 2 windows per chromosome that touch the gap, those that hold no more than n_unknown of it are left
    n_all = sum(
        length - WINDOW + 1 for split, length in CHROMOSOMES.values() if split != "ignored" and length >= WINDOW
    )
    assert len(candidates) == n_all - 4 * (99 - 2 * n_unknown if n_unknown < WINDOW else 0)


def test_most_takes_a_random_part_of_each_split(experiment):
    everything = candidates_of(experiment, taken=NOTHING, unknown_share=1)
    sizes = everything["name"].value_counts()
    assert sizes.to_dict() == {"train": 297 + 148, "validation": 197 + 1, "test": 97}
    part = candidates_of(experiment, taken=NOTHING, unknown_share=1, most=150)
    counts = part["name"].value_counts()
    assert 100 < counts["train"] <= 150 and 100 < counts["validation"] <= 150 and counts["test"] == 97
    assert set(places(part)) <= set(places(everything)) and len(set(places(part))) == len(part)
    assert places(part) == [place for place in places(everything) if place in set(places(part))]
    same = candidates_of(experiment, taken=NOTHING, unknown_share=1, most=150)
    pd.testing.assert_frame_equal(part, same)
    other = candidates_of(experiment, taken=NOTHING, unknown_share=1, most=150, seed=2)
    assert set(places(part)) != set(places(other))
    just = candidates_of(experiment, taken=NOTHING, unknown_share=1, most=445)
    pd.testing.assert_frame_equal(just, everything)


def test_most_takes_from_everywhere_and_more_where_windows_are_like_the_peaks(experiment):
    """In 200 draws of 45 of 445 training places, no place is taken less often than in an even draw of half as many.

    So 10 times on average; the GC content rises along a chromosome, and with peaks at its end alone so do the numbers.
    """
    experiment.peaks = experiment.peaks.assign(start=experiment.peaks["start"] + 500, end=experiment.peaks["end"] + 500)
    drawn = pd.concat([candidates_of(experiment, taken=NOTHING, unknown_share=1, most=45, seed=s) for s in range(200)])
    drawn = drawn[drawn["name"] == "train"]
    assert 200 * 35 < len(drawn) <= 200 * 45
    times = drawn.groupby(["chrom", "start"]).size()
    assert len(times) == 445 and times.min() >= 2
    cells = [window_cells(experiment.store, chrom, np.array([start]), WINDOW)[0] for chrom, start in times.index]
    own = experiment.peaks[experiment.peaks["name"] == "train"]
    own = {window_cells(experiment.store, row.chrom, np.array([row.start]), WINDOW)[0] for row in own.itertuples()}
    like = np.isin(cells, list(own))
    assert times[~like].mean() == pytest.approx(10, abs=1) and times[like].mean() > 20


def test_rare_windows_like_the_peaks_are_among_the_candidates(write_fasta, tmp_path):
    """An island of 2 kb in 200 kb, where all peaks lie: 500 even places would hold 5 of it, but these hold some 250."""
    rng = np.random.default_rng(3)
    sequence = rng.choice(list("AATTACGT"), 200_000)
    sequence[120_000:122_000] = rng.choice(list("CG"), 2000)
    store = put_store(write_fasta, {"chr1": "".join(sequence)}, tmp_path)
    splits = pd.DataFrame({"chrom": ["chr1"], "length_bp": [200_000], "split": ["train"]})
    peaks = intervals(*(("chr1", start, start + 100) for start in range(120_100, 121_900, 300))).assign(name="train")
    candidates = find_candidates(peaks, NOTHING, splits, 4, 0, 1, 500, store, None, rng)
    inside = candidates["start"].between(119_950, 121_950)
    assert 400 < len(candidates) <= 500
    assert 200 < inside.sum() < 300
    assert candidates.loc[~inside, "start"].between(0, 119_950).mean() == pytest.approx(0.6, abs=0.1)


def test_candidates_grow_with_the_negatives_that_are_wanted(experiment, monkeypatch):
    """6 for each: 8 training peaks, 4 of the others."""
    monkeypatch.setattr(negatives, "LEAST_CANDIDATES", 30)
    for ratio, train, others in ((0.1, 30, 30), (1, 48, 30), (4, 192, 96)):
        counts = candidates_of(experiment, taken=NOTHING, unknown_share=1, ratio=ratio)["name"].value_counts()
        assert 0.6 * train < counts["train"] <= train
        assert 0.6 * others < counts["test"] <= others


def test_taken_and_unknown_count_within_the_part_that_is_drawn(experiment):
    part = candidates_of(experiment, most=150)
    assert set(places(part)) <= set(places(candidates_of(experiment)))
    assert (part["name"].value_counts()[list(SPLITS)] < [150, 150, 97]).all()


def test_no_candidate_at_all(experiment):
    everywhere = intervals(*((chrom, 0, length) for chrom, length in LENGTHS.items()))
    candidates = candidates_of(experiment, taken=everywhere, tss=experiment.tss)
    assert candidates.empty
    assert list(candidates.columns) == [*COLUMNS, "name", *COMPOSITION, "mappability", "tss"]


def test_split_without_a_chromosome_that_holds_a_window(experiment):
    experiment.splits = experiment.splits[experiment.splits["chrom"] != "chr4"]
    assert set(candidates_of(experiment)["name"]) == {"train", "validation"}


def test_margin_reaches_exactly_as_far_as_it_says(write_fasta, tmp_path):
    store = put_store(write_fasta, {"chr1": "ACGT" * 25}, tmp_path)
    splits = pd.DataFrame({"chrom": ["chr1"], "length_bp": [100], "split": ["train"]})
    peaks = intervals(("chr1", 50, 60)).assign(name="train")
    taken = away_from(peaks, NOTHING, NOTHING, 5)
    candidates = find_candidates(peaks, taken, splits, 1, 0, 1, 1000, store, None, np.random.default_rng(1))
    # windows of 10 bp end at 45 or before, or start at 65 or after
    assert candidates["start"].tolist() == [*range(36), *range(65, 91)]


def test_away_from_by_hand():
    peaks = intervals(("chr1", 50, 60)).assign(name="train")
    regions, blacklist = intervals(("chr1", 3, 70), ("chr2", 100, 200)), intervals(("chr2", 300, 310))
    taken = away_from(peaks, regions.assign(score=1), blacklist.assign(name="bad"), 5)
    rows = [("chr1", 45, 65), ("chr1", -2, 75), ("chr2", 95, 205), ("chr2", 300, 310)]
    assert list(taken.itertuples(index=False, name=None)) == rows
    assert list(taken.columns) == COLUMNS
    assert peaks["start"].tolist() == [50] and regions["end"].tolist() == [70, 200]  # left as they were
    assert away_from(peaks, NOTHING, NOTHING, 0).to_numpy().tolist() == [["chr1", 50, 60]]


def test_compare_distributions_by_hand():
    # means 1 and 2, both variances 1; at 0 and at 2 the shares of values so far differ by one half
    assert compare_distributions(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == pytest.approx((-1, 0.5))
    # means 0.5 and 0.25, variances 0.25 and 0.1875, root of their mean 0.467707
    a, b = np.array([0.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0])
    assert compare_distributions(a, b) == pytest.approx((0.25 / np.sqrt(0.21875), 0.25))
    assert compare_distributions(a, a) == (0, 0)
    assert compare_distributions(np.array([0.5]), np.array([0.5, 0.5])) == (0, 0)
    assert compare_distributions(np.array([0.5]), np.array([0.25])) == (np.inf, 1)
    assert compare_distributions(np.array([0.25]), np.array([0.5])) == (-np.inf, 1)


def test_gaps_are_those_of_scipy_with_and_without_ties():
    rng = np.random.default_rng(0)
    for n in (1, 2, 30):
        for values in (rng.normal(size=(2, n)), rng.integers(0, 3, (2, n)).astype(float), np.zeros((2, n))):
            assert compare_distributions(*values)[1] == pytest.approx(ks_2samp(*values).statistic)
            more = np.tile(values[1], 3)
            assert compare_distributions(values[0], more)[1] == pytest.approx(ks_2samp(values[0], more).statistic)


def test_compare_distributions_of_nothing():
    for a, b in (([], [0.5]), ([0.5], []), ([], [])):
        assert np.isnan(compare_distributions(np.array(a), np.array(b))).all()
