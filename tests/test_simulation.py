"""The simulated experiments: planted truth in the genome and in the reads, on a genome of 240,000 bp."""

import numpy as np
import pandas as pd
import pysam
import pytest
from cisgrammar.log import InputError
from cisgrammar.simulation import STRENGTH, break_chance_sites, draw_fragments, log_odds, simulate

CELL_TYPES = ["erythroid", "myeloid"]


def matrix_of(consensus, share=0.85):
    """Probabilities (4, width), `share` for the base of the consensus, the rest spread evenly."""
    matrix = np.full((4, len(consensus)), (1 - share) / 3)
    matrix[["ACGT".index(base) for base in consensus], np.arange(len(consensus))] = share
    return matrix


MOTIFS = {
    "MA0001.1": matrix_of("TGACCGTTAGCA"),
    "MA0002.1": matrix_of("AGATAAGC"),
    "MA0003.1": matrix_of("AAGAGGAAGTG"),
    "MA0004.1": matrix_of("TGTGGTTA"),
    "MA0005.1": matrix_of("GGGTGGGGC"),
}
DESIGN = {
    "chromosomes": 3,
    "chromosome_bp": 80_000,
    "cell_types": CELL_TYPES,
    "accessible_regions": 50,
    "sites": 24,
    "fragments_per_site": 40,
    "background_fragments": 1500,
    "duplicate_share": 0.2,
    "read_bp": 50,
    "open_motifs": {"erythroid": ["MA0005.1"]},
    "tfs": [
        {"tf": "CTCF", "jaspar_id": "MA0001.1", "replicates": 2},
        {"tf": "GATA1", "jaspar_id": "MA0002.1"},
        {"tf": "SPI1", "jaspar_id": "MA0003.1", "partner_id": "MA0004.1", "spacing": 6, "replicates": 1},
    ],
}
NAMES = ["CTCF_1", "CTCF_2", "GATA1_1", "SPI1_1", "input"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation")
    simulate(DESIGN, MOTIFS, folder, seed=1)
    return folder


@pytest.fixture(scope="module")
def genome(folder):
    with pysam.FastaFile(str(folder / "genome.fa")) as fasta:
        return {name: fasta.fetch(name) for name in fasta.references}


@pytest.fixture(scope="module")
def truth(folder):
    return pd.read_csv(folder / "truth.tsv", sep="\t")


def accessible(folder, cell_type):
    return pd.read_csv(folder / "accessible" / f"{cell_type}.bed", sep="\t", names=["chrom", "start", "end"])


def codes_of(sequence, strand="+"):
    codes = np.array(["ACGTN".index(base) for base in sequence.upper()], dtype=np.uint8)
    return codes if strand == "+" else 3 - codes[::-1]


def score(codes, identifier):
    return log_odds(MOTIFS[identifier])[codes, np.arange(len(codes))].sum()


def pairs(path):
    """Fragments of a BAM file: data frame chrom, start, end, one row per pair."""
    with pysam.AlignmentFile(str(path)) as bam:
        rows = [
            (read.reference_name, read.reference_start, read.reference_start + read.template_length)
            for read in bam
            if read.template_length > 0
        ]
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_same_bytes(folder, tmp_path):
    simulate(DESIGN, MOTIFS, tmp_path / "same", seed=1)
    simulate(DESIGN, MOTIFS, tmp_path / "other", seed=2)
    first = {name: data for name, data in contents(folder).items() if not name.endswith(".fai")}
    reads = [f"reads/{cell_type}_{name}.bam" for cell_type in CELL_TYPES for name in NAMES]
    beds = [f"accessible/{cell_type}.bed" for cell_type in CELL_TYPES]
    assert sorted(first) == sorted(["genome.fa", "truth.tsv", *beds, *reads, *(f"{name}.bai" for name in reads)])
    assert contents(tmp_path / "same") == first
    other = contents(tmp_path / "other")
    assert all(other[name] != first[name] for name in first)


def test_genome_has_lines_of_60_repeats_and_unknown_runs(folder, genome):
    lines = (folder / "genome.fa").read_text().splitlines()
    assert [line for line in lines if line.startswith(">")] == [">sim1", ">sim2", ">sim3"]
    assert {len(line) for line in lines if not line.startswith(">")} == {60, 80_000 % 60}
    for sequence in genome.values():
        assert len(sequence) == 80_000
        runs = np.flatnonzero(np.array(list(sequence)) == "N")
        expected = [*range(800), *range(32_000, 32_800), *range(79_200, 80_000)]
        assert runs.tolist() == expected  # 1% of the chromosome at both ends and at 0.4 of it
    text = "".join(genome.values())
    assert set(text) == set("ACGTacgtN")
    assert 0.10 < sum(text.count(base) for base in "acgt") / len(text) < 0.14


def test_truth_is_sorted_and_as_large_as_wanted(truth):
    columns = ["chrom", "start", "end", "strand", "cell_type", "tf", "jaspar_id", "partner_id", "spacing"]
    assert list(truth.columns) == columns
    assert truth["start"].groupby(truth["chrom"]).apply(lambda start: start.is_monotonic_increasing).all()
    assert truth["chrom"].is_monotonic_increasing
    assert (truth.groupby(["cell_type", "tf"]).size() == 24).all() and len(truth) == 6 * 24
    alone = truth["tf"] != "SPI1"
    assert truth.loc[alone, ["partner_id", "spacing"]].isna().all(axis=None)
    assert (truth.loc[~alone, "spacing"] == 6).all() and (truth.loc[~alone, "partner_id"] == "MA0004.1").all()
    assert not truth.duplicated(["chrom", "start", "end", "strand", "cell_type", "tf"]).any()
    places = truth.groupby(["chrom", "start", "end", "strand", "tf"]).size().groupby("tf")
    assert (places.size() == 36).all()  # 12 in regions that both cell types have, 12 in those of each one


def test_sites_do_not_overlap(truth):
    sites = truth.drop_duplicates(["chrom", "start", "tf"])
    for _, there in sites.groupby("chrom"):
        assert (there["start"].to_numpy()[1:] >= there["end"].to_numpy()[:-1]).all()


def test_truth_lies_in_accessible_regions_with_strong_motifs(folder, genome, truth):
    for cell_type in CELL_TYPES:
        regions = accessible(folder, cell_type)
        assert len(regions) == 50 and (regions["end"] - regions["start"]).between(300, 600).all()
        for site in truth[truth["cell_type"] == cell_type].itertuples():
            there = regions[regions["chrom"] == site.chrom]
            assert ((there["start"] <= site.start) & (site.end <= there["end"])).any()
    for site in truth.itertuples():
        found = score(codes_of(genome[site.chrom][site.start : site.end], site.strand), site.jaspar_id)
        assert found >= STRENGTH * log_odds(MOTIFS[site.jaspar_id]).max(axis=0).sum()


def test_sites_are_sampled_and_score_far_above_random_places(genome, truth):
    rng = np.random.default_rng(0)
    for identifier, sites in truth.groupby("jaspar_id"):
        words = [genome[s.chrom][s.start : s.end].upper() for s in sites.itertuples()]
        planted = [score(codes_of(w, s.strand), identifier) for w, s in zip(words, sites.itertuples(), strict=True)]
        starts = rng.integers(1000, 30_000, 200)
        elsewhere = [score(codes_of(genome["sim1"][i : i + len(words[0])]), identifier) for i in starts]
        assert np.mean(planted) > np.mean(elsewhere) + 10
        assert len(set(words)) > 5


def test_partner_stands_at_the_exact_spacing(genome, truth):
    for site in truth[truth["tf"] == "SPI1"].itertuples():
        width = MOTIFS["MA0004.1"].shape[1]
        start = site.end + 6 if site.strand == "+" else site.start - 6 - width
        partner = codes_of(genome[site.chrom][start : start + width], site.strand)
        assert score(partner, "MA0004.1") >= STRENGTH * log_odds(MOTIFS["MA0004.1"]).max(axis=0).sum()


def test_unbound_decoys(folder, genome, truth):
    """Strong motifs outside the accessible regions, and strong SPI1 motifs without binding inside them."""
    best = {identifier: log_odds(matrix).max(axis=0).sum() for identifier, matrix in MOTIFS.items()}
    for tf in DESIGN["tfs"]:
        scores, width = log_odds(MOTIFS[tf["jaspar_id"]]), MOTIFS[tf["jaspar_id"]].shape[1]
        inside, outside = 0, 0
        for name, sequence in genome.items():
            codes = codes_of(sequence)
            windows = np.lib.stride_tricks.sliding_window_view(codes, width)
            forward = scores[windows, np.arange(width)].sum(axis=1)
            reverse = np.vstack([scores[3::-1, ::-1], scores[4:]])[windows, np.arange(width)].sum(axis=1)
            strong = np.flatnonzero(np.maximum(forward, reverse) >= STRENGTH * best[tf["jaspar_id"]])
            is_open = np.zeros(len(codes), dtype=bool)
            for cell_type in CELL_TYPES:
                for region in accessible(folder, cell_type).query("chrom == @name").itertuples():
                    is_open[region.start : region.end] = True
            bound = truth.loc[(truth["chrom"] == name) & (truth["tf"] == tf["tf"]), "start"]
            inside += np.sum(is_open[strong] & ~np.isin(strong, bound))
            outside += np.sum(~is_open[strong])
        assert outside >= 36
        if "partner_id" in tf:
            assert inside >= 3 * (12 // 4) * 2
        else:
            assert inside <= 3  # what planted motifs of others hold by chance


def test_accessible_regions_are_richer_in_gc_and_cpg(folder, genome):
    is_open = {name: np.zeros(len(sequence), dtype=bool) for name, sequence in genome.items()}
    for cell_type in CELL_TYPES:
        for region in accessible(folder, cell_type).itertuples():
            is_open[region.chrom][region.start : region.end] = True
    codes = np.concatenate([codes_of(sequence) for sequence in genome.values()])
    is_open, known = np.concatenate(list(is_open.values())), codes < 4
    gc, cpg = (codes == 1) | (codes == 2), np.append((codes[:-1] == 1) & (codes[1:] == 2), False)
    assert gc[is_open].mean() > gc[known & ~is_open].mean() + 0.02
    assert cpg[is_open].mean() > 1.8 * cpg[known & ~is_open].mean()


def test_reads_are_sorted_indexed_proper_pairs(folder, genome):
    for cell_type in CELL_TYPES:
        for name in NAMES:
            with pysam.AlignmentFile(str(folder / "reads" / f"{cell_type}_{name}.bam")) as bam:
                assert bam.header.to_dict() == {
                    "HD": {"VN": "1.6", "SO": "coordinate"},
                    "SQ": [{"SN": chrom, "LN": 80_000} for chrom in ("sim1", "sim2", "sim3")],
                }
                assert bam.has_index()
                reads = list(bam)
            places = [(read.reference_id, read.reference_start) for read in reads]
            assert places == sorted(places)
            open_mates = {}
            for read in reads:
                assert read.is_paired and read.is_proper_pair and not read.is_duplicate
                assert read.mapping_quality == 60 and read.cigarstring == f"{read.query_length}M"
                assert read.is_reverse != read.mate_is_reverse and read.is_read1 != read.is_read2
                there = genome[read.reference_name][read.reference_start : read.reference_end]
                assert read.query_sequence == there.upper() and len(read.query_qualities) == len(there) == 50
                assert (read.template_length < 0) == read.is_reverse
                mate = open_mates.pop(read.query_name, None)
                if mate is None:
                    open_mates[read.query_name] = read
                    continue
                assert mate.next_reference_start == read.reference_start
                assert read.next_reference_start == mate.reference_start
                assert mate.template_length == -read.template_length and 80 <= abs(read.template_length) <= 400
                assert abs(read.template_length) == max(read.reference_end, mate.reference_end) - min(
                    read.reference_start, mate.reference_start
                )
                assert read.is_read1 == mate.is_read2
            assert not open_mates


def test_fragments_pile_up_at_sites_and_avoid_unknown_bases(folder, genome, truth):
    for cell_type in CELL_TYPES:
        for name in NAMES:
            fragments = pairs(folder / "reads" / f"{cell_type}_{name}.bam")
            for chrom, there in fragments.groupby("chrom"):
                coverage = np.zeros(80_001, dtype=int)
                np.add.at(coverage, there["start"], 1)
                np.add.at(coverage, there["end"], -1)
                coverage = np.cumsum(coverage)[:-1]
                unknown = np.array(list(genome[chrom])) == "N"
                assert coverage[unknown].sum() == 0
                mine = (truth["chrom"] == chrom) & (truth["cell_type"] == cell_type)
                sites = truth[mine & (truth["tf"] == name.split("_")[0])]
                at_sites = coverage[(sites["start"] + sites["end"]) // 2]
                if name == "input":
                    assert coverage.max() < 30
                else:
                    assert at_sites.mean() > 8 * np.median(coverage[~unknown])


def test_duplicates_make_the_wanted_share(folder):
    for name in ("GATA1_1", "input"):
        fragments = pairs(folder / "reads" / f"erythroid_{name}.bam")
        assert 0.17 < fragments.duplicated().mean() < 0.25


def test_replicates_are_independent(folder):
    one, two = (pairs(folder / "reads" / f"erythroid_CTCF_{r}.bam").drop_duplicates() for r in (1, 2))
    assert len(one.merge(two)) < 0.1 * len(one)


def test_draw_fragments_copies_and_drops():
    covered = np.repeat([500, 1000], [30, 30])
    unknown = np.concatenate([[0], np.cumsum(np.arange(2000) >= 1000)])  # N from 1000 on
    starts, ends = draw_fragments(covered, unknown, 0.25, np.random.default_rng(0))
    assert len(starts) == 40 and len(set(zip(starts.tolist(), ends.tolist(), strict=True))) <= 30
    assert (starts <= 500).all() and (ends > 500).all() and (np.diff(starts) >= 0).all()
    starts, ends = draw_fragments(covered[30:], unknown, 0.25, np.random.default_rng(0))
    assert len(starts) == len(ends) == 0


def test_chance_sites_are_broken_and_planted_ones_stay():
    codes = np.tile(codes_of("AGATAAGCCT"), 50)
    planted = np.zeros(len(codes), dtype=bool)
    planted[200:208] = True
    regions = pd.DataFrame({"start": [100], "end": [400]})
    before = codes.copy()
    break_chance_sites(codes, planted, regions, MOTIFS["MA0002.1"], np.random.default_rng(0))
    scores = np.array([score(codes[i : i + 8], "MA0002.1") for i in range(len(codes) - 7)])
    strong = np.flatnonzero(scores >= STRENGTH * log_odds(MOTIFS["MA0002.1"]).max(axis=0).sum())
    assert strong[(strong > 92) & (strong < 400)].tolist() == [200]
    assert (codes[planted] == before[planted]).all() and (codes[:90] == before[:90]).all()


def test_one_cell_type_without_open_motifs(tmp_path):
    design = DESIGN | {"cell_types": ["yeast"], "open_motifs": {}, "tfs": DESIGN["tfs"][:1], "read_bp": 100}
    simulate(design, MOTIFS, tmp_path, seed=3)
    assert len(pd.read_csv(tmp_path / "truth.tsv", sep="\t")) == 24
    with pysam.AlignmentFile(str(tmp_path / "reads" / "yeast_CTCF_1.bam")) as bam:
        assert all(read.query_length == min(100, abs(read.template_length)) for read in bam)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": 60}, r"CTCF needs 30 regions accessible in erythroid and myeloid \(30 bound.*there are 25"),
        ({"sites": 40}, r"SPI1 needs 30 regions .*\(20 bound sites, 10 unbound\), there are 25; lower sites"),
        ({"accessible_regions": 400}, r"only \d+ of 600 accessible regions fit into 240000 bp"),
        ({"chromosome_bp": 24_000}, "fit"),
        ({"open_motifs": {"liver": []}}, "liver is not one of erythroid, myeloid"),
        ({"open_motifs": {"myeloid": ["MA9"]}}, "MA9 is not among the 5 motifs"),
        ({"tfs": [{"tf": "A", "jaspar_id": "MA0001.1", "spacing": 3}]}, "A needs both partner_id and spacing"),
        ({"tfs": []}, "0 TFs"),
        ({"tfs": DESIGN["tfs"][:1] * 2}, "2 TFs"),
    ],
)
def test_designs_that_do_not_fit_stop_with_numbers(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        simulate(DESIGN | change, MOTIFS, tmp_path, seed=1)
    assert not list(tmp_path.iterdir())
