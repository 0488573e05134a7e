"""Quality of reads: places and pairs counted by hand, known fragments simulated, and real CTCF reads of both kinds."""

import gzip

import numpy as np
import pandas as pd
import pytest
from cisgrammar.ends import Ends
from cisgrammar.log import InputError
from cisgrammar.quality import (
    assess,
    complexity,
    correlate,
    count_distances,
    cross_correlation,
    flags,
    frip,
    sample_sides,
)


def ints(*values):
    return np.array(values, dtype=np.int32)


def single(forward, reverse, read_bp=20):
    return Ends(False, read_bp, {"chr1": ints(*forward)}, {"chr1": ints(*reverse)})


def paired(*fragments, read_bp=20):
    starts, ends = zip(*fragments, strict=True)
    return Ends(True, read_bp, {"chr1": ints(*starts)}, {"chr1": ints(*ends)})


def test_complexity_of_single_reads():
    """Forward 5 5 5 9 9 12 and reverse 5: places 4; one read at 12 and at 5-, two at 9."""
    found = complexity(single([5, 9, 5, 12, 9, 5], [5]))
    expected = dict(n_reads=7, n_distinct=4, duplicates=3 / 7, nrf=4 / 7, pbc1=2 / 4, pbc2=2 / 1)
    assert found == pytest.approx(expected)


def test_complexity_of_fragments():
    """A place is start and end: (5, 50) twice, (5, 60), (6, 50)."""
    found = complexity(paired((5, 50), (5, 60), (6, 50), (5, 50)))
    assert found == pytest.approx(dict(n_reads=4, n_distinct=3, duplicates=1 / 4, nrf=3 / 4, pbc1=2 / 3, pbc2=2))


def test_complexity_at_the_edges():
    assert complexity(single([1, 2], []))["pbc2"] == np.inf
    assert complexity(single([1] * 3, []))["pbc1"] == 0
    nothing = complexity(Ends(False, 0, {}, {}))
    assert nothing["n_reads"] == 0 and all(np.isnan(nothing[name]) for name in ("nrf", "duplicates", "pbc1", "pbc2"))


def test_distances_by_hand():
    found = count_distances(np.array([10, 12, 50]), np.array([9, 10, 13, 15, 56]), 5)
    assert found.tolist() == [1, 1, 0, 2, 0, 1]  # 10-10, 12-13, 10-13 and 12-15, 10-15; 50-56 is too far
    assert count_distances(np.array([], dtype=int), np.array([1]), 2).tolist() == [0, 0, 0]


def test_distances_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    forward, reverse = (np.unique(rng.integers(0, 500, 200)) for _ in range(2))
    distance = (reverse[None, :] - forward[:, None]).ravel()
    expected = np.bincount(distance[(distance >= 0) & (distance <= 60)], minlength=61)
    assert count_distances(forward, reverse, 60).tolist() == expected.tolist()


def test_correlation_is_that_of_indicators():
    """Against numpy's on arrays of 0 and 1, apart from the ends of the chromosome."""
    rng = np.random.default_rng(2)
    n = 200_000
    forward = np.unique(rng.integers(500, n - 500, 3000))
    reverse = np.unique(np.concatenate([forward[:1500] + 120, rng.integers(500, n - 500, 1000)]))
    found = correlate({"chr1": (forward, reverse, 5000)}, {"chr1": n}, 150)
    x, y = np.zeros(n), np.zeros(n)
    x[forward], y[reverse] = 1, 1
    for shift in (0, 40, 120):
        expected = np.corrcoef(x, np.roll(y, -shift))[0, 1]
        assert found[shift] == pytest.approx(expected, abs=1e-9)
    assert found.argmax() == 120


def test_correlation_is_weighted_by_reads():
    sides = {"chr1": (ints(1, 5), ints(3, 9), 30), "chr2": (ints(4), ints(6), 10), "chr3": (ints(4), ints(), 1000)}
    lengths = {"chr1": 20, "chr2": 20, "chr3": 20}
    one, two = (correlate({chrom: sides[chrom]}, lengths, 4) for chrom in ("chr1", "chr2"))
    np.testing.assert_allclose(correlate(sides, lengths, 4), 0.75 * one + 0.25 * two)
    assert np.isnan(correlate({"chr3": sides["chr3"]}, lengths, 4)).all()


def test_sample():
    rng = np.random.default_rng(3)
    ends = Ends(
        False,
        20,
        {"chr1": np.arange(4000, dtype=np.int32), "chr2": np.arange(1000, dtype=np.int32)},
        {"chr1": np.arange(4000, dtype=np.int32), "chr2": np.arange(1000, dtype=np.int32)},
    )
    sides = sample_sides(ends, 1000, rng)
    assert sum(n for *_, n in sides.values()) == 1000
    assert 740 < sides["chr1"][2] < 860
    assert all((np.diff(side) > 0).all() for *pair, _ in sides.values() for side in pair)
    assert [n for *_, n in sample_sides(ends, 10**9, rng).values()] == [8000, 2000]
    one_mate = sample_sides(Ends(True, 20, ends.forward, ends.reverse), 10**9, rng)
    forward, reverse, n = one_mate["chr1"]
    assert n == 4000 and not set(forward) & set(reverse)  # of each fragment one end


def simulate(fragment_bp, read_bp, n=20_000, enriched=0.3, repeats=0.1, length=5_000_000, seed=4):
    """Ends and true centres of fragments around 200 sites, on a background of places that are read from both sides."""
    rng = np.random.default_rng(seed)
    sites = rng.integers(5000, length - 5000, 200)
    centres = np.concatenate(
        [
            rng.choice(sites, int(n * enriched)) + rng.normal(0, 15, int(n * enriched)),
            rng.uniform(2000, length - 2000, n),
        ]
    )
    sizes = rng.normal(fragment_bp, 10, len(centres))
    starts = (centres - sizes / 2).astype(np.int32)
    ends = (centres + sizes / 2).astype(np.int32)
    side = rng.random(len(starts)) < 0.5
    stacks = rng.integers(2000, length - 2000, int(n * repeats)).astype(np.int32)  # mappable islands: the phantom
    forward, reverse = np.concatenate([starts[side], stacks]), np.concatenate([ends[~side], stacks + read_bp])
    return Ends(False, read_bp, {"chr1": forward}, {"chr1": reverse}), (starts, ends), sites


@pytest.mark.parametrize(("fragment_bp", "read_bp"), [(180, 50), (260, 100), (120, 36)])
def test_fragment_length_is_found(fragment_bp, read_bp):
    ends, _, _ = simulate(fragment_bp, read_bp)
    values, table = cross_correlation(ends, {"chr1": 5_000_000}, np.random.default_rng(1))
    assert values["fragment_bp"] == pytest.approx(fragment_bp, abs=12)
    assert values["read_bp"] == read_bp
    assert table["shift"].tolist() == list(range(401))
    assert table["correlation"].idxmax() == read_bp  # the phantom peak is the highest, and is passed over


def test_relative_correlation_tells_enrichment():
    lengths = {"chr1": 5_000_000}
    strong, weak, none = (
        cross_correlation(simulate(200, 50, **settings)[0], lengths, np.random.default_rng(1))[0]["rsc"]
        for settings in (dict(enriched=0.5, repeats=0.02), dict(enriched=0.1), dict(enriched=0.0))
    )
    assert strong > 1 > weak > none and none < 0.5


def test_normalised_correlation_by_hand():
    """Even background of 1 and a block of 3 between shifts 190 and 210: NSC 3; the phantom, 2, gives RSC 2."""
    shifts = np.concatenate([np.arange(1600), np.arange(190, 211), np.arange(190, 211), np.arange(40, 61)])
    # far apart starts, each with one end per shift of the block
    forward = np.arange(len(shifts), dtype=np.int64) * 4000
    ends = Ends(False, 50, {"chr1": forward}, {"chr1": forward + shifts})
    length = 10**12  # the product of the densities is next to nothing
    values, table = cross_correlation(ends, {"chr1": length}, np.random.default_rng(1))
    assert values["fragment_bp"] in range(190, 211)
    assert values["nsc"] == pytest.approx(3, abs=1e-3)
    assert values["rsc"] == pytest.approx(2, abs=1e-3)
    assert table["smoothed"][200] / table["smoothed"][300] == pytest.approx(3, abs=1e-3)


def test_paired_reads():
    """The median length; and no enrichment comes from the mates themselves."""
    _, (starts, stops), _ = simulate(200, 50, enriched=0.0)
    ends = Ends(True, 50, {"chr1": starts}, {"chr1": stops})
    values, table = cross_correlation(ends, {"chr1": 5_000_000}, np.random.default_rng(1))
    assert values["fragment_bp"] == np.median(stops - starts)
    far = table["smoothed"][250:400]
    assert table["smoothed"][200] < far.mean() + 5 * far.std()


def test_correlation_that_cannot_be_told():
    lengths = {"chr1": 5_000_000}
    values, table = cross_correlation(single([5, 9], []), lengths, np.random.default_rng(1))
    assert np.isnan([values["fragment_bp"], values["nsc"], values["rsc"]]).all()
    assert len(table) == 401 and table["correlation"].isna().all()
    long = single([1000, 5000], [1300, 5300], read_bp=250)
    assert len(cross_correlation(long, lengths, np.random.default_rng(1))[1]) == 451


def test_sampled_reads_follow_the_seed():
    ends, _, _ = simulate(180, 50)
    lengths = {"chr1": 5_000_000}
    first, same, other = (
        cross_correlation(ends, lengths, np.random.default_rng(seed), max_reads=8000)[1] for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)


REGIONS = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [100, 120, 0], "end": [150, 200, 9]})


def test_reads_in_peaks():
    """Forward 99, 100, 199, 200 and reverse ends 100, 101, 200, 201 (5' base one before)."""
    assert frip(single([99, 100, 199, 200], [100, 101, 200, 201]), REGIONS) == 4 / 8
    # moved by half of 50: 124, 125, 224, 225 and 74, 75, 174, 175
    assert frip(single([99, 100, 199, 200], [100, 101, 200, 201]), REGIONS, 50) == 4 / 8
    assert frip(paired((0, 199), (0, 200), (190, 209), (190, 210), (0, 5)), REGIONS) == 2 / 5
    assert frip(single([5], []), REGIONS[:0]) == 0
    assert np.isnan(frip(Ends(False, 0, {}, {}), REGIONS))


def test_flags():
    good = dict(
        **dict(n_reads=25_000_000, n_distinct=24_000_000, nrf=0.96, pbc1=0.95, pbc2=20.0),
        **dict(nsc=1.2, rsc=1.1, frip=0.05),
    )
    assert flags(good) == []
    assert flags(good | {"nrf": 0.8999, "pbc2": 8.96, "nsc": 1.0499, "frip": 0.0099}) == [
        *("NRF 0.89 < 0.9: compliant, not ideal", "PBC2 8.9 < 10: mild bottleneck", "NSC 1.04 < 1.05: weak enrichment"),
        "FRiP 0.009 < 0.01: few reads in peaks",
    ]
    assert flags(good | {"nrf": 0.85}) == ["NRF 0.85 < 0.9: compliant, not ideal"]
    assert flags(good | {"n_distinct": 12_345_678})[0].startswith("usable fragments 12,345,678 < 20,000,000: low")
    bad = flags(dict(n_reads=200, n_distinct=100, nrf=0.45, pbc1=0.4, pbc2=0.9, nsc=1.01, rsc=0.3, frip=0.005))
    assert [phrase.split(":")[0] for phrase in bad] == [
        *("NRF 0.45 < 0.5", "PBC1 0.4 < 0.5", "PBC2 0.9 < 1", "NSC 1.01 < 1.05", "RSC 0.3 < 0.8", "FRiP 0.005 < 0.01"),
        "usable fragments 100 < 10,000,000",
    ]
    assert flags(good | {"rsc": np.nan, "frip": np.nan, "pbc2": np.inf}) == []
    assert "NSC unknown" in flags(good | {"nsc": np.nan})[0]
    assert "removed before" in flags(good | {"n_distinct": 25_000_000})[0]
    assert flags({}) == []


def test_assess(tmp_path):
    ends, _, sites = simulate(180, 50)
    rows = [(at, at + 50, "+") for at in ends.forward["chr1"]] + [(at - 50, at, "-") for at in ends.reverse["chr1"]]
    text = "".join(f"chr1\t{start}\t{end}\t.\t.\t{strand}\n" for start, end, strand in rows)
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress((text + "chrM\t5\t55\t.\t.\t+\n").encode()))
    regions = pd.DataFrame({"chrom": "chr1", "start": sites - 60, "end": sites + 60})
    row, table = assess(path, "BED", regions, {"chr1": 5_000_000}, np.random.default_rng(1))
    assert (row["paired"], row["n_reads"], row["n_elsewhere"], row["read_bp"]) == (False, len(rows), 1, 50)
    assert row["fragment_bp"] == pytest.approx(180, abs=12)
    assert row["frip"] == pytest.approx(6000 / len(rows), abs=0.02)  # the enriched ones, and next to none by chance
    assert "usable fragments" in row["flags"] and len(table) == 401
    without, _ = assess(path, "BED", None, {"chr1": 5_000_000}, np.random.default_rng(1))
    assert np.isnan(without["frip"]) and without["rsc"] == row["rsc"]
    with pytest.raises(InputError, match=rf"none of {len(rows) + 1} reads lies on the 1 chromosomes in use"):
        assess(path, "BED", regions, {"1": 5_000_000}, np.random.default_rng(1))


@pytest.fixture
def ctcf(shared):
    """Folder of the CTCF reads of macs3."""
    if not (shared / "macs3").is_dir():
        pytest.skip("the CTCF reads of macs3 are not there (folder shared/data/macs3 beside the checkout)")
    return shared / "macs3"


def test_real_reads(ctcf):
    """Single and paired reads of one library agree; the input control shows next to no enrichment."""
    lengths = {"chr22": 51_304_566}
    regions = pd.read_csv(ctcf / "CTCF_SE.expected.narrowPeak", sep="\t", header=None).iloc[:, :3]
    regions.columns = ["chrom", "start", "end"]
    rows = {}
    for name, file, kind in (
        ("chip", "CTCF_SE_ChIP_chr22_50k.bed.gz", "BED"),
        ("input", "CTCF_SE_CTRL_chr22_50k.bed.gz", "BED"),
        ("chip_pairs", "CTCF_PE_ChIP_chr22_50k.bedpe.gz", "BEDPE"),
        ("input_pairs", "CTCF_PE_CTRL_chr22_50k.bedpe.gz", "BEDPE"),
    ):
        rows[name], _ = assess(ctcf / file, kind, regions, lengths, np.random.default_rng(1))
    chip, control, pairs, control_pairs = rows.values()
    assert (chip["n_reads"], chip["n_distinct"], chip["read_bp"]) == (49_622, 48_047, 101)
    assert chip["fragment_bp"] == pytest.approx(pairs["fragment_bp"], abs=15)
    assert chip["fragment_bp"] == pytest.approx(229, abs=30)  # what `macs3 predictd` finds
    assert chip["rsc"] > 1.5 > control["rsc"]
    assert chip["nsc"] > 20 and pairs["nsc"] > 20 and control["nsc"] < 3 and control_pairs["nsc"] < 3
    assert chip["frip"] == pytest.approx(pairs["frip"], abs=0.03)
    assert chip["frip"] > 10 * control["frip"]
    assert chip["flags"] == "usable fragments 48,047 < 10,000,000: too few for a human genome"
