"""Simulation: a small genome with accessible regions, and ChIP-seq reads of TFs whose bound sites are known.

A TF is bound where three things meet: its motif, with at least `STRENGTH` of the best log-odds score; a region that is
accessible in the cell type; and, for a TF with a partner, the partner's motif at a fixed spacing. Decoys lack one of
them. Inside this module positions are flat: the chromosomes, all of one length, stand one after the other.
"""

import logging
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam

from cisgrammar.binding import STRENGTH, log_odds
from cisgrammar.files import atomic
from cisgrammar.log import InputError

LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
UNKNOWN = 4  # code of N; 0..3 are ACGT
SHARED = 0.5  # share of the regions and sites of a cell type that all cell types have
REGION_BP = (300, 600)
REGION_MARGIN_BP = 400  # between accessible regions, and from these to N
REGION_EDGE_BP = 60  # between a site and the end of its region
OPEN_MOTIF_BP = 100  # one open-chromatin motif per so many bp of a region and cell type
ISOCHORE_BP = (20_000, 80_000)
ISOCHORE_GC = (0.36, 0.54)
LOCAL_BP, LOCAL_GC = 500, 0.05  # stretches of closed chromatin and the standard deviation of their GC, some GC-rich
OPEN_GC_GAIN = 0.04  # GC of an accessible region over its isochore
DEAMINATED_CLOSED, DEAMINATED_OPEN = 0.8, 0.3  # share of CpG lost to deamination
REPEAT_SHARE, REPEAT_FAMILIES, REPEAT_BP = 0.12, 5, (300, 1000)
OPEN_BACKGROUND = 3  # background fragments in accessible regions, per bp, against the rest
FRAGMENT_BP = (180, 40, 80, 400)  # mean, standard deviation, least, most
TRIES = 1000


class Genome(NamedTuple):
    """A simulated genome.

    codes: uint8 array (bases,), 0..3 for ACGT, 4 for N; masked: bool array (bases,), True in repeats
    regions: data frame start, end (flat) and one bool column per cell type: accessible there
    sites: data frame tf, start, end (flat), strand, score (log-odds, bits) and one bool column per cell type: bound there
    """

    codes: np.ndarray
    masked: np.ndarray
    regions: pd.DataFrame
    sites: pd.DataFrame


def simulate(design, motifs, folder, seed):
    """Simulate a genome and ChIP-seq experiments on it, and write them into `folder`.

    design: dict, the section `simulation` of the configuration
    motifs: dict of JASPAR id to float array (4, width) of probabilities, rows ACGT
    Writes genome.fa, truth.tsv (bound sites), accessible/<cell_type>.bed, reads/<cell_type>_<tf>_<replicate>.bam and
    reads/<cell_type>_input.bam, each with its .bai; the same design, motifs and seed give the same bytes.
    Raises InputError when the design names an unknown motif or cell type, or when sites do not fit.
    """
    folder = Path(folder)
    check_design(design, motifs)
    genome_rng, reads_rng = np.random.default_rng(seed).spawn(2)
    genome = simulate_genome(design, motifs, genome_rng)
    write_genome(genome, design, folder / "genome.fa")
    write_truth(genome, design, folder / "truth.tsv")
    for cell_type in design["cell_types"]:
        accessible = genome.regions.loc[genome.regions[cell_type], ["start", "end"]]
        write_table(accessible, design, folder / "accessible" / f"{cell_type}.bed", header=False)
        simulate_reads(genome, design, cell_type, folder / "reads", reads_rng)


def check_design(design, motifs):
    """Raise InputError when TFs repeat, a motif or cell type is unknown, or a partner has no spacing."""
    open_motifs, tfs = design.get("open_motifs", {}), design["tfs"]
    if not tfs or len({tf["tf"] for tf in tfs}) < len(tfs):
        raise InputError(f"simulation.tfs: {len(tfs)} TFs; name at least one, and each once")
    for tf in tfs:
        if bool(tf.get("partner_id")) != (tf.get("spacing") is not None):
            raise InputError(f"simulation.tfs: {tf['tf']} needs both partner_id and spacing, or neither")
    for name in set(open_motifs) - set(design["cell_types"]):
        raise InputError(f"simulation.open_motifs: {name} is not one of {', '.join(design['cell_types'])}")
    wanted = [tf[key] for tf in tfs for key in ("jaspar_id", "partner_id") if tf.get(key)]
    for name in wanted + [identifier for ids in open_motifs.values() for identifier in ids]:
        if name not in motifs:
            raise InputError(f"simulation: {name} is not among the {len(motifs)} motifs of references.jaspar")


def simulate_genome(design, motifs, rng):
    """Layout, sequence and motif sites of a genome. Arguments and errors as for `simulate`. Returns a Genome."""
    unknown = unknown_runs(design)
    regions = place_regions(design, unknown, rng)
    is_open = cover(regions, len(unknown))
    codes = draw_background(is_open, rng)
    masked = insert_repeats(codes, unknown | is_open, rng)
    codes[unknown] = UNKNOWN
    planted = unknown.copy()
    near_open = cover(regions, len(unknown), REGION_MARGIN_BP)
    sites = []
    for tf in design["tfs"]:
        bound = plant_bound(codes, planted, regions, tf, design, motifs, rng)
        plant_closed_decoys(codes, planted, near_open, tf, len(bound), motifs, rng)
        sites += bound
    plant_open_motifs(codes, planted, regions, design, motifs, rng)
    for tf in design["tfs"]:
        if not tf.get("partner_id"):
            break_chance_sites(codes, planted, regions, motifs[tf["jaspar_id"]], rng)
    sites = pd.DataFrame(sites)
    logging.info("%d accessible regions, %d distinct sites in %d bp", len(regions), len(sites), len(codes))
    return Genome(codes, masked, regions, sites)


def unknown_runs(design):
    """N: 1% of a chromosome (at least 200 bp) at both ends, and a gap of that length. Bool array (bases,)."""
    length = design["chromosome_bp"]
    run = max(200, length // 100)
    unknown = np.zeros((design["chromosomes"], length), dtype=bool)
    for start in (0, int(0.4 * length), length - run):
        unknown[:, start : start + run] = True
    return unknown.ravel()


def find_room(taken, low, high, width, margin, rng):
    """Random start of `width` free bases within low..high, `margin` bp away from `taken`; None when none is found."""
    for _ in range(TRIES if high - low >= width else 0):
        start = int(rng.integers(low, high - width + 1))
        if not taken[max(0, start - margin) : start + width + margin].any():
            return start
    return None


def cover(intervals, size, margin=0):
    """Bool array (size,), True in the intervals (columns start, end) and `margin` bp around them."""
    steps = np.zeros(size + 1, dtype=np.int32)
    np.add.at(steps, np.maximum(intervals["start"].to_numpy() - margin, 0), 1)
    np.add.at(steps, np.minimum(intervals["end"].to_numpy() + margin, size), -1)
    return np.cumsum(steps[:-1]) > 0


def groups(design, n):
    """Split `n` per cell type: [(cell types, number)], first what all share, then what each has alone."""
    shared = round(SHARED * n) if len(design["cell_types"]) > 1 else 0
    return [(design["cell_types"], shared)] + [([name], n - shared) for name in design["cell_types"]]


def place_regions(design, unknown, rng):
    """Accessible regions, as in Genome.regions; InputError when the genome is too small for them."""
    taken, rows = unknown.copy(), []
    parts = groups(design, design["accessible_regions"])
    for cell_types, n in parts:
        for _ in range(n):
            width = int(rng.integers(REGION_BP[0], REGION_BP[1] + 1))
            start = find_room(taken, 0, len(taken), width, REGION_MARGIN_BP, rng)
            if start is None:
                raise InputError(
                    f"simulation: only {len(rows)} of {sum(n for _, n in parts)} accessible regions fit into "
                    f"{len(taken)} bp; lower accessible_regions or raise chromosome_bp"
                )
            taken[start : start + width] = True
            where = {"start": start, "end": start + width}
            rows.append(where | {name: name in cell_types for name in design["cell_types"]})
    return pd.DataFrame(rows)


def draw_background(is_open, rng):
    """Sequence of isochores, richer in GC and CpG where accessible; uint8 codes (bases,).

    Bases are drawn one by one; then CpG is lost as in vertebrates, by deamination of C to T on either strand. GC before
    that is raised so that each isochore ends at its own.
    """
    n_blocks = len(is_open) // ISOCHORE_BP[0] + 1
    blocks = np.repeat(rng.uniform(*ISOCHORE_GC, n_blocks), rng.integers(*ISOCHORE_BP, n_blocks))
    stretches = np.repeat(rng.exponential(LOCAL_GC, len(is_open) // LOCAL_BP + 1) - LOCAL_GC, LOCAL_BP)
    wanted = blocks[: len(is_open)] + np.where(is_open, OPEN_GC_GAIN, stretches[: len(is_open)])
    wanted = np.clip(wanted, 0.3, 0.75)
    lost = np.where(is_open, DEAMINATED_OPEN, DEAMINATED_CLOSED)
    gc = (1 - np.sqrt(1 - lost * wanted)) * 2 / lost  # solves wanted = gc - lost * (gc / 2)**2
    strong, second = rng.random(len(gc)) < gc, rng.random(len(gc)) < 0.5
    codes = np.where(strong, 1 + second, 3 * second).astype(np.uint8)
    cpg = np.flatnonzero((codes[:-1] == 1) & (codes[1:] == 2))
    cpg = cpg[rng.random(len(cpg)) < lost[cpg]]
    forward = rng.random(len(cpg)) < 0.5
    codes[cpg[forward]] = 3
    codes[cpg[~forward] + 1] = 0
    return codes


def insert_repeats(codes, avoid, rng):
    """Write diverged, shortened copies of a few repeat families into `codes`; True where they are (bool array)."""
    lengths = rng.integers(*REPEAT_BP, REPEAT_FAMILIES)
    families = [draw_background(np.zeros(length, dtype=bool), rng) for length in lengths]
    masked, taken, left = np.zeros(len(codes), dtype=bool), avoid.copy(), REPEAT_SHARE * len(codes)
    while left > 0:
        family = families[rng.integers(REPEAT_FAMILIES)]
        copy = family[int(rng.uniform(0, 0.7) * len(family)) :].copy()
        changed = rng.random(len(copy)) < rng.uniform(0.05, 0.2)
        copy[changed] = (copy[changed] + rng.integers(1, 4, changed.sum())) % 4
        start = find_room(taken, 0, len(codes), len(copy), 0, rng)
        if start is None:
            break
        here = slice(start, start + len(copy))
        codes[here] = copy if rng.random() < 0.5 else 3 - copy[::-1]
        masked[here] = taken[here] = True
        left -= len(copy)
    return masked


def sample_site(matrix, rng):
    """(codes, score) of a site drawn from the matrix, again and again until it reaches STRENGTH."""
    scores, columns = log_odds(matrix), np.arange(matrix.shape[1])
    bounds = np.cumsum(matrix, axis=0)[:3]
    while True:
        site = (rng.random(len(columns)) >= bounds).sum(axis=0).astype(np.uint8)
        score = scores[site, columns].sum()
        if score >= STRENGTH * scores.max(axis=0).sum():
            return site, score


def plant(codes, planted, low, high, parts, gap, rng):
    """Write sites into free bases of low..high, the parts `gap` bp apart, on a random strand.

    Returns (start, end, strand) of the first part; None when there is no room.
    """
    width = sum(map(len, parts)) + gap * (len(parts) - 1)
    start = find_room(planted, low, high, width, 2, rng)
    if start is None:
        return None
    strand = "+-"[rng.integers(2)]
    planted[start : start + width] = True
    places, offset = [], 0
    for part in parts:
        left = start + offset if strand == "+" else start + width - offset - len(part)
        codes[left : left + len(part)] = part if strand == "+" else 3 - part[::-1]
        places.append((left, left + len(part), strand))
        offset += len(part) + gap
    return places[0]


def plant_bound(codes, planted, regions, tf, design, motifs, rng):
    """Plant the bound sites of a TF, one per region; a list of rows of Genome.sites.

    A TF with a partner also gets unbound sites in other regions: a quarter as many without the partner, a quarter
    as many with it at a wrong spacing. InputError when there are too few regions or a region has no room.
    """
    rows, names = [], design["cell_types"]
    partner, spacing = motifs.get(tf.get("partner_id")), tf.get("spacing") or 0
    wrong = [gap for gap in range(31) if abs(gap - spacing) > 2]
    for group, n in groups(design, design["sites"]):
        kinds = ["bound"] * n + (["alone"] * (n // 4) + ["wrong"] * (n // 4) if partner is not None else [])
        there = regions[(regions[names] == [name in group for name in names]).all(axis=1)]
        if len(kinds) > len(there):
            raise InputError(
                f"simulation: {tf['tf']} needs {len(kinds)} regions accessible in {' and '.join(group)} ({n} bound "
                f"sites, {len(kinds) - n} unbound), there are {len(there)}; lower sites or raise accessible_regions"
            )
        for kind, row in zip(kinds, rng.permutation(len(there)), strict=False):
            site, score = sample_site(motifs[tf["jaspar_id"]], rng)
            parts = [site] if partner is None or kind == "alone" else [site, sample_site(partner, rng)[0]]
            gap = int(rng.choice(wrong)) if kind == "wrong" else spacing
            low, high = there["start"].iat[row] + REGION_EDGE_BP, there["end"].iat[row] - REGION_EDGE_BP
            place = plant(codes, planted, low, high, parts, gap, rng)
            if place is None:
                raise InputError(
                    f"simulation: no room for site {len(rows) + 1} of {tf['tf']} in the {high - low} bp of a region "
                    f"that {len(design['tfs'])} TFs share; lower sites ({design['sites']}) or name fewer TFs"
                )
            if kind == "bound":
                where = dict(zip(("start", "end", "strand"), place, strict=True))
                rows.append(where | {"tf": tf["tf"], "score": score} | {name: name in group for name in names})
    return rows


def plant_closed_decoys(codes, planted, near_open, tf, n, motifs, rng):
    """Plant `n` complete sites of a TF away from all accessible regions; InputError when there is no room."""
    avoid = planted | near_open
    for done in range(n):
        parts = [sample_site(motifs[tf[key]], rng)[0] for key in ("jaspar_id", "partner_id") if tf.get(key)]
        place = plant(codes, avoid, 0, len(codes), parts, tf.get("spacing") or 0, rng)
        if place is None:
            raise InputError(
                f"simulation: only {done} of {n} unbound sites of {tf['tf']} fit outside the accessible regions; "
                "lower sites or raise chromosome_bp"
            )
    planted |= avoid & ~near_open


def plant_open_motifs(codes, planted, regions, design, motifs, rng):
    """Plant the open-chromatin motifs of each cell type in its regions, as far as these have room."""
    for cell_type, identifiers in design.get("open_motifs", {}).items():
        for region in regions[regions[cell_type]].itertuples() if identifiers else ():
            for _ in range((region.end - region.start) // OPEN_MOTIF_BP):
                site, _ = sample_site(motifs[identifiers[rng.integers(len(identifiers))]], rng)
                plant(codes, planted, region.start, region.end, [site], 0, rng)


def break_chance_sites(codes, planted, regions, matrix, rng):
    """Mutate the chance sites in accessible regions, which would be bound too; bases of planted sites stay.

    A change can make another site, so the surroundings are looked at again, at most 50 times.
    """
    width = matrix.shape[1]
    scores = log_odds(matrix)
    both = (scores, np.vstack([scores[3::-1, ::-1], scores[4:]]))
    starts = np.concatenate([np.arange(r.start - width + 1, r.end) for r in regions.itertuples()])
    for _ in range(50):
        found = [sum(strand[codes[starts + i], i] for i in range(width)) for strand in both]
        starts = starts[np.maximum(*found) >= STRENGTH * scores.max(axis=0).sum()]
        free = [np.flatnonzero(~planted[start : start + width]) + start for start in starts]
        changed = np.array([rng.choice(bases) for bases in free if len(bases)], dtype=int)
        codes[changed] = (codes[changed] + rng.integers(1, 4, len(changed))) % 4
        starts = np.unique(changed[:, None] + np.arange(-width + 1, 1))
        if not len(starts):
            break


def simulate_reads(genome, design, cell_type, folder, rng):
    """Write the BAM files of one cell type: every replicate of every TF, and a control about as deep.

    The mean number of fragments of a bound site is log-normal around `fragments_per_site` (variance 0.25 on the log
    scale, half of it from the site's score); replicates share it and differ in depth and by chance.
    """
    known = genome.codes != UNKNOWN
    unknown = np.concatenate([[0], np.cumsum(~known)])
    text = LETTERS[genome.codes].tobytes().decode()
    is_open = cover(genome.regions[genome.regions[cell_type]], len(known))
    weights = np.cumsum(known * np.where(is_open, OPEN_BACKGROUND, 1))

    def write(name, at_sites, n_background):
        anywhere = np.searchsorted(weights, rng.integers(0, weights[-1], n_background), side="right")
        covered = np.concatenate([at_sites, anywhere])
        starts, ends = draw_fragments(covered, unknown, design["duplicate_share"], rng)
        write_bam(folder / f"{cell_type}_{name}.bam", design, text, starts, ends, rng)

    for tf in design["tfs"]:
        sites = genome.sites[genome.sites[cell_type] & genome.sites["tf"].eq(tf["tf"])]
        centers, score = (sites["start"] + sites["end"]).to_numpy() // 2, sites["score"].to_numpy()
        deviation = (score - score.mean()) / max(score.std(), 1e-9) + rng.standard_normal(len(score))
        occupancy = design["fragments_per_site"] * np.exp(np.sqrt(0.125) * deviation - 0.125)
        for replicate in range(1, tf.get("replicates", 1) + 1):
            depth = rng.uniform(0.85, 1.15)
            at_sites = np.repeat(centers, rng.poisson(depth * occupancy))
            write(f"{tf['tf']}_{replicate}", at_sites, round(depth * design["background_fragments"]))
    as_deep = round(design["background_fragments"] + design["sites"] * design["fragments_per_site"])
    write("input", np.zeros(0, dtype=int), as_deep)


def draw_fragments(covered, unknown, duplicate_share, rng):
    """Fragments, one over each position `covered`, somewhere in the fragment; those that touch an N are dropped.

    unknown: int array (bases + 1,), number of N before each base
    duplicate_share: share of the fragments that are exact copies of others
    Returns (starts, ends), int arrays, sorted by start.
    """
    mean, deviation, least, most = FRAGMENT_BP
    lengths = np.clip(np.rint(rng.normal(mean, deviation, len(covered))), least, most).astype(int)
    starts = covered - rng.integers(0, lengths)
    inside = (starts >= 0) & (starts + lengths < len(unknown))
    starts, lengths = starts[inside], lengths[inside]
    known = unknown[starts + lengths] == unknown[starts]
    starts, lengths = starts[known], lengths[known]
    n_copies = round(len(starts) * duplicate_share / (1 - duplicate_share))
    copies = rng.integers(0, max(1, len(starts)), n_copies)
    starts, lengths = np.append(starts, starts[copies]), np.append(lengths, lengths[copies])
    order = np.argsort(starts, kind="stable")
    return starts[order], (starts + lengths)[order]


def write_bam(path, design, text, starts, ends, rng):
    """Write fragments as proper read pairs into a sorted BAM file with index; duplicates are not flagged.

    text: the bases of the genome; starts, ends: int arrays (fragments,), flat
    """
    names, length = chromosome_names(design), design["chromosome_bp"]
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": name, "LN": length} for name in names]}
    read_bp = np.minimum(design["read_bp"], ends - starts)
    left_first = rng.random(len(starts)) < 0.5
    number, rights, size = np.arange(len(starts)) + 1, ends - read_bp, ends - starts
    left = [number, starts, rights, read_bp, size, np.where(left_first, 99, 163)]
    right = [number, rights, starts, read_bp, -size, np.where(left_first, 147, 83)]
    table = np.hstack([left, right]).T
    table = table[np.argsort(table[:, 1], kind="stable")]
    qualities = array("B", [37] * design["read_bp"])
    with atomic(path) as temporary, pysam.AlignmentFile(str(temporary), "wb", header=header) as bam:
        read = pysam.AlignedSegment(bam.header)
        read.mapping_quality = 60
        for fragment, start, mate_start, bases, template_length, flag in table.tolist():
            read.query_name = f"fragment{fragment}"
            read.flag = flag
            read.reference_id = read.next_reference_id = start // length
            read.reference_start, read.next_reference_start = start % length, mate_start % length
            read.template_length = template_length
            read.query_sequence = text[start : start + bases]
            read.query_qualities = qualities[:bases]
            read.cigartuples = [(pysam.CMATCH, bases)]
            bam.write(read)
    with atomic(f"{path}.bai") as temporary:
        pysam.index("-o", str(temporary), str(path))


def chromosome_names(design):
    return [f"sim{number}" for number in range(1, design["chromosomes"] + 1)]


def write_genome(genome, design, path):
    """Write the genome as FASTA, 60 bases a line, repeats in lower case."""
    letters = LETTERS[genome.codes] + 32 * genome.masked.astype(np.uint8)
    with atomic(path) as temporary, open(temporary, "w") as handle:
        for name, bases in zip(chromosome_names(design), np.split(letters, design["chromosomes"]), strict=True):
            text = bases.tobytes().decode()
            handle.write(f">{name}\n")
            handle.writelines(text[i : i + 60] + "\n" for i in range(0, len(text), 60))


def write_truth(genome, design, path):
    """Write the bound sites, one row per site and cell type where it is bound."""
    parts = [genome.sites[genome.sites[name]].assign(cell_type=name) for name in design["cell_types"]]
    details = pd.DataFrame(design["tfs"]).reindex(columns=["tf", "jaspar_id", "partner_id", "spacing"])
    table = pd.concat(parts).merge(details.astype({"spacing": "Int64"}), on="tf")
    columns = ["start", "end", "strand", "cell_type", "tf", "jaspar_id", "partner_id", "spacing"]
    write_table(table[columns], design, path, header=True)


def write_table(table, design, path, header):
    """Write a table with flat start and end as TSV with chromosomes, sorted by place."""
    chromosome, start = np.divmod(table["start"].to_numpy(), design["chromosome_bp"])
    table = table.assign(start=start, end=start + (table["end"] - table["start"]).to_numpy())
    table.insert(0, "chrom", np.array(chromosome_names(design), dtype=object)[chromosome])
    with atomic(path) as temporary:
        table.sort_values(list(table.columns)).to_csv(temporary, sep="\t", index=False, header=header)
