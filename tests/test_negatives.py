"""Negatives: GC content by a direct count, candidates away from peaks, and a match that is exact where it can be."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.dna import CODES
from cisgrammar.intervals import overlaps
from cisgrammar.log import InputError
from cisgrammar.negatives import balance, compare_distributions, composition, find_candidates, match_negatives
from cisgrammar.splits import SPLITS

WINDOW, MARGIN, STEP = 40, 15, 10
CHROMOSOMES = {"chr1": "train", "chr2": "train", "chr3": "validation", "chr4": "test", "chrM": "ignored"}
NO_REGIONS = pd.DataFrame({"chrom": [], "start": [], "end": []})


def codes_of(sequence):
    return CODES[np.frombuffer(sequence.encode(), dtype=np.uint8)]


def test_composition_by_hand():
    gc, unknown = composition(codes_of("ACGNNNNNGG"), np.array([0, 1, 3, 6]), 4)
    np.testing.assert_allclose(gc, [2 / 3, 1, np.nan, 1])
    np.testing.assert_allclose(unknown, [0.25, 0.5, 1, 0.5])


def test_composition_against_a_direct_count():
    rng = np.random.default_rng(1)
    sequence = "".join(rng.choice(list("ACGTacgtNnR"), 3000)) + "N" * 100
    starts = rng.integers(0, len(sequence) - 50 + 1, 400)
    starts[:2] = 0, len(sequence) - 50
    gc, unknown = composition(codes_of(sequence), starts, 50)
    for start, share, missing in zip(starts, gc, unknown, strict=True):
        window = sequence[start : start + 50].upper()
        known = sum(map(window.count, "ACGT"))
        assert missing == pytest.approx(1 - known / 50, abs=1e-12)
        assert share == pytest.approx(sum(map(window.count, "CG")) / known if known else np.nan, abs=1e-12, nan_ok=True)
    assert np.isnan(gc).any()


@pytest.mark.parametrize("sequence", ["NNNNN", "ACGTA"])
def test_composition_of_the_whole_chromosome_and_of_no_window(sequence):
    gc, unknown = composition(codes_of(sequence), np.array([0]), 5)
    np.testing.assert_allclose(gc, [0.4] if "A" in sequence else [np.nan])
    np.testing.assert_allclose(unknown, [0.0 if "A" in sequence else 1.0])
    assert [len(part) for part in composition(codes_of(sequence), np.array([], dtype=int), 5)] == [0, 0]


@pytest.fixture
def experiment(write_fasta):
    """Peaks, called regions, blacklist, splits and genome: five chromosomes of 3,000 bp, GC rising along each."""
    rng = np.random.default_rng(7)
    sequences = {}
    for chrom in CHROMOSOMES:
        gc = np.linspace(0.2, 0.8, 3000)
        bases = np.where(rng.random(3000) < gc, rng.choice(list("CG"), 3000), rng.choice(list("AT"), 3000))
        bases[1000:1060] = "N"
        sequences[chrom] = "".join(bases)
    splits = pd.DataFrame({"chrom": list(CHROMOSOMES), "length_bp": 3000, "split": list(CHROMOSOMES.values())})
    rows = [
        (chrom, start, start + WINDOW, split)
        for chrom, split in CHROMOSOMES.items()
        if split != "ignored"
        for start in (203, 817, 1511, 2222)
    ]
    peaks = pd.DataFrame(rows, columns=["chrom", "start", "end", "name"])
    peaks.index = peaks.index + 100  # as after filters
    regions = pd.DataFrame({"chrom": ["chr1", "chr4", "chrM"], "start": [400, 0, 5], "end": [450, 90, 10]})
    blacklist = pd.DataFrame({"chrom": ["chr2", "chr3"], "start": [2900, 500], "end": [3000, 555]})
    return peaks, regions, blacklist, splits, write_fasta(sequences)


def candidates_of(experiment, margin_bp=MARGIN, step_bp=STEP, unknown_share=0.1):
    return find_candidates(*experiment, margin_bp, step_bp, unknown_share)


def test_candidates_keep_their_distance(experiment):
    peaks, regions, blacklist, _, _ = experiment
    candidates, _ = candidates_of(experiment)
    near = pd.concat([peaks, regions])[["chrom", "start", "end"]]
    allowed = []
    for chrom, split in CHROMOSOMES.items():
        if split == "ignored":
            continue
        for start in range(0, 3000 - WINDOW + 1, STEP):
            end = start + WINDOW
            gaps = [max(r.start - end, start - r.end) for r in near[near["chrom"] == chrom].itertuples()]
            bad = [r for r in blacklist[blacklist["chrom"] == chrom].itertuples() if start < r.end and r.start < end]
            n_unknown = max(0, min(end, 1060) - max(start, 1000))
            if min(gaps) >= MARGIN and not bad and n_unknown <= 0.1 * WINDOW:
                allowed.append((chrom, start, end, split))
    assert list(candidates[["chrom", "start", "end", "name"]].itertuples(index=False, name=None)) == allowed
    assert len(allowed) > 800
    assert not overlaps(candidates, near.assign(start=near["start"] - MARGIN, end=near["end"] + MARGIN)).any()
    assert not overlaps(candidates, blacklist).any()


def test_margin_reaches_exactly_as_far_as_it_says(write_fasta):
    genome = write_fasta({"chr1": "ACGT" * 25})
    splits = pd.DataFrame({"chrom": ["chr1"], "length_bp": [100], "split": ["train"]})
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [50], "end": [60], "name": ["train"]})
    candidates, _ = find_candidates(peaks, NO_REGIONS, NO_REGIONS, splits, genome, 5, 1, 0)
    # windows of 10 bp end at 45 or before, or start at 65 or after
    assert candidates["start"].tolist() == [*range(36), *range(65, 91)]


def test_candidates_and_peaks_hold_their_gc(experiment, write_fasta):
    candidates, peaks = candidates_of(experiment)
    assert peaks.index.tolist() == experiment[0].index.tolist()
    chromosomes = experiment[4].read_text().split(">")[1:]
    sequences = {text.split("\n")[0]: "".join(text.split("\n")[1:]) for text in chromosomes}
    for table in (peaks, candidates.iloc[::37]):
        for row in table.itertuples():
            window = sequences[row.chrom][row.start : row.end]
            assert row.gc == pytest.approx((window.count("G") + window.count("C")) / sum(map(window.count, "ACGT")))


def test_default_step_is_a_quarter_of_the_window(experiment):
    candidates, _ = candidates_of(experiment, step_bp=None)
    assert set(candidates["start"] % (WINDOW // 4)) == {0}
    assert len(candidates) == len(candidates_of(experiment, step_bp=10)[0])


def test_chromosome_shorter_than_the_window(write_fasta):
    genome = write_fasta({"chr1": "ACGT" * 25, "tiny": "ACGT"})
    splits = pd.DataFrame({"chrom": ["chr1", "tiny"], "length_bp": [100, 4], "split": ["train", "test"]})
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10], "name": ["train"]})
    candidates, _ = find_candidates(peaks, NO_REGIONS, NO_REGIONS, splits, genome, 0, 10, 0)
    assert set(candidates["chrom"]) == {"chr1"} and len(candidates) == 9


def match(experiment, seed=1, ratio=1, width=0.05, tolerance=0.1):
    candidates, peaks = candidates_of(experiment)
    return match_negatives(peaks, candidates, ratio, width, tolerance, np.random.default_rng(seed))


def test_same_seed_same_negatives(experiment):
    pd.testing.assert_frame_equal(match(experiment), match(experiment))
    places = [set(match(experiment, seed)[["chrom", "start"]].itertuples(index=False)) for seed in (1, 2)]
    assert places[0] != places[1] and len(places[0]) == len(places[1])


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1, [8, 4, 4]), (10, [80, 40, 40]), (2.5, [20, 10, 10]), (0.4, [3, 2, 2])]
)
def test_number_of_negatives_per_split(experiment, ratio, expected):
    negatives = match(experiment, ratio=ratio, width=0.05, tolerance=0.2)
    assert [sum(negatives["name"] == split) for split in SPLITS] == expected
    assert not negatives.duplicated(["chrom", "start"]).any()
    assert negatives["name"].tolist() == negatives["chrom"].map(CHROMOSOMES).tolist()


def table_of(*groups):
    """Windows from groups (split, GC, number), each at its own place."""
    rows = [(split, gc) for split, gc, n in groups for _ in range(n)]
    table = pd.DataFrame(rows, columns=["name", "gc"])
    return table.assign(
        chrom="chr" + table["name"], start=10 * np.arange(len(table)), end=10 * np.arange(len(table)) + 10
    )


def everywhere(*groups):
    return table_of(*((split, gc, n) for split in SPLITS for gc, n in groups))


def counts_of(table, split):
    """Dict of GC to the number of windows."""
    return table.loc[table["name"] == split, "gc"].value_counts().to_dict()


@pytest.mark.parametrize("ratio", [1, 3])
def test_gc_histogram_is_matched_exactly_in_each_split(ratio):
    peaks = table_of(
        *(("train", 0.25, 5), ("train", 0.35, 2), ("train", 0.65, 1)),
        *(("validation", 0.25, 1), ("validation", 0.75, 3), ("test", 0.0, 1), ("test", 1.0, 4)),
    )
    pool = everywhere(*((gc, 30) for gc in (0.0, 0.05, 0.25, 0.35, 0.45, 0.65, 0.75, 1.0)))
    negatives = match_negatives(peaks, pool, ratio, 0.02, 0.3, np.random.default_rng(1))
    for split in SPLITS:
        assert counts_of(negatives, split) == {gc: ratio * n for gc, n in counts_of(peaks, split).items()}
    assert not negatives.duplicated("start").any()


def test_gc_histogram_of_random_windows_is_matched_bin_by_bin():
    rng = np.random.default_rng(5)
    width = 0.05
    peaks = pd.DataFrame({"name": rng.choice(SPLITS, 300), "gc": rng.integers(30, 71, 300) / 100 + 0.001})
    pool = pd.DataFrame({"name": rng.choice(SPLITS, 30_000), "gc": rng.integers(0, 100, 30_000) / 100 + 0.001})
    negatives = match_negatives(peaks, pool, 1, width, 0.1, rng)
    for split in SPLITS:
        found, expected = (
            np.bincount((table.loc[table["name"] == split, "gc"] / width).astype(int), minlength=21)
            for table in (negatives, peaks)
        )
        np.testing.assert_array_equal(found, expected)


def test_fractional_ratio_keeps_the_total():
    peaks = everywhere((0.25, 1), (0.35, 1), (0.45, 1), (0.55, 1))
    pool = everywhere(*((gc, 9) for gc in (0.25, 0.35, 0.45, 0.55)))
    for ratio, total in ((0.5, 2), (1.5, 6), (2.25, 9), (0.25, 1)):
        negatives = match_negatives(peaks, pool, ratio, 0.1, 0, np.random.default_rng(1))
        assert [sum(negatives["name"] == split) for split in SPLITS] == [total] * 3


def test_lacking_windows_come_from_the_nearest_bins():
    peaks = everywhere((0.25, 3))
    pool = everywhere((0.25, 1), (0.35, 1), (0.05, 5), (0.45, 5))
    negatives = match_negatives(peaks, pool, 1, 0.1, 0.2, np.random.default_rng(1))
    for split in SPLITS:
        found = counts_of(negatives, split)
        assert found.pop(0.25) == found.pop(0.35) == 1
        assert list(found.values()) == [1] and set(found) <= {0.05, 0.45}


def test_bins_are_not_left_for_each_other_before_their_own_peaks():
    """Peaks at 0.25 lack windows, but those at 0.35 belong to the peaks at 0.35 first."""
    peaks = everywhere((0.25, 2), (0.35, 2))
    pool = everywhere((0.15, 1), (0.25, 1), (0.35, 2))
    negatives = match_negatives(peaks, pool, 1, 0.1, 0.1, np.random.default_rng(1))
    assert all(counts_of(negatives, split) == {0.15: 1, 0.25: 1, 0.35: 2} for split in SPLITS)


def test_shortfall_is_told_in_numbers():
    peaks = everywhere((0.25, 2), (0.65, 1))
    pool = table_of(
        *(("train", 0.25, 1), ("train", 0.65, 5)),
        *(("validation", 0.25, 9), ("validation", 0.65, 9)),
        *(("test", 0.45, 8),),
    )
    with pytest.raises(InputError) as caught:
        match_negatives(peaks, pool, 1, 0.1, 0, np.random.default_rng(1))
    assert str(caught.value) == (
        "too few negatives found: train: 2 of 3 (pool 6; most lacking at GC 0.20-0.30); "
        "test: 0 of 3 (pool 8; most lacking at GC 0.20-0.30); lower negatives.ratio or negatives.step_bp, or raise "
        "negatives.gc_tolerance"
    )


def test_tolerance_does_not_reach_further_than_it_says():
    peaks, pool = everywhere((0.25, 1)), everywhere((0.45, 5))
    assert len(match_negatives(peaks, pool, 1, 0.1, 0.2, np.random.default_rng(1))) == 3
    with pytest.raises(InputError, match="train: 0 of 1"):
        match_negatives(peaks, pool, 1, 0.1, 0.1, np.random.default_rng(1))


def test_pool_of_another_split_is_never_used():
    peaks = everywhere((0.25, 1))
    pool = table_of(("train", 0.25, 50), ("validation", 0.25, 50))
    with pytest.raises(InputError, match=r"found: test: 0 of 1 \(pool 0;"):
        match_negatives(peaks, pool, 1, 0.1, 1, np.random.default_rng(1))


def test_one_peak_per_split():
    negatives = match_negatives(everywhere((1.0, 1)), everywhere((1.0, 1)), 1, 0.02, 0, np.random.default_rng(1))
    assert len(negatives) == 3 and set(negatives["gc"]) == {1.0}


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


def test_compare_distributions_of_nothing():
    for a, b in (([], [0.5]), ([0.5], []), ([], [])):
        assert np.isnan(compare_distributions(np.array(a), np.array(b))).all()


def test_balance_by_hand():
    peaks, candidates = everywhere((0.5, 2), (0.75, 2)), everywhere((0.25, 4), (0.5, 2), (0.75, 2))
    table = balance(peaks, candidates, everywhere((0.5, 2), (0.75, 2)))
    assert table["split"].tolist() == list(SPLITS) and set(table["covariate"]) == {"gc"}
    row = table.iloc[0]
    assert (row["n_peaks"], row["n_candidates"], row["n_negatives"]) == (4, 8, 4)
    assert (row["mean_peaks"], row["mean_candidates"], row["mean_negatives"]) == (0.625, 0.4375, 0.625)
    # variances 1/64 and 11/256, mean 15/512
    assert row["smd_before"] == pytest.approx(0.1875 / np.sqrt(15 / 512))
    assert (row["smd_after"], row["ks_before"], row["ks_after"]) == (0, 0.5, 0)


def test_matching_removes_the_difference_in_gc():
    rng = np.random.default_rng(3)
    peaks = pd.DataFrame({"name": rng.choice(SPLITS, 600), "gc": rng.normal(0.6, 0.08, 600).clip(0, 1)})
    pool = pd.DataFrame({"name": rng.choice(SPLITS, 30_000), "gc": rng.normal(0.45, 0.12, 30_000).clip(0, 1)})
    table = balance(peaks, pool, match_negatives(peaks, pool, 5, 0.02, 0.04, rng))
    assert (table["smd_before"] > 1).all() and (table["ks_before"] > 0.4).all()
    assert (table["smd_after"].abs() < 0.02).all() and (table["ks_after"] < 0.05).all()
