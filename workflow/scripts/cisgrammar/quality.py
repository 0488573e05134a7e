"""Quality of ChIP-seq reads, one file at a time: complexity, strand cross-correlation, share of reads in peaks."""

import itertools
import logging

import numpy as np
import pandas as pd

from cisgrammar.ends import count, fragment_ends, on_chromosomes
from cisgrammar.log import InputError

PHANTOM_BP = 10  # half width of the phantom peak around the read length
SMOOTH_BP = 15  # width of the running mean over shifts
BACKGROUND_BP = (1401, 1500)  # shifts whose mean correlation is the background

STANDARDS = {  # quantity: name, then (limit, what a lower value means), lowest limit first
    "nrf": ("NRF", [(0.5, "library complexity concerning"), (0.8, "acceptable"), (0.9, "compliant, not ideal")]),
    "pbc1": ("PBC1", [(0.5, "severe bottleneck"), (0.8, "moderate bottleneck"), (0.9, "mild bottleneck")]),
    "pbc2": ("PBC2", [(1, "severe bottleneck"), (3, "moderate bottleneck"), (10, "mild bottleneck")]),
    "nsc": ("NSC", [(1.05, "weak enrichment")]),
    "rsc": ("RSC", [(0.8, "weak enrichment")]),
    "frip": ("FRiP", [(0.01, "few reads in peaks")]),
    "n_distinct": (
        "usable fragments",
        [(10_000_000, "too few for a human genome"), (20_000_000, "low for a human genome")],
    ),
}


def complexity(ends):
    """Complexity of a library by ENCODE's definitions (www.encodeproject.org/data-standards/terms; Landt et al. 2012).

    A place is a 5' end with its strand, or start and end of a fragment. NRF = places / reads; PBC1 = places with one
    read / places; PBC2 = places with one read / places with two (inf where no place has two). ENCODE counts uniquely
    mapped reads; here all reads of the file count, as they do for macs3.
    Returns a dict n_reads, n_distinct, duplicates (share of the reads, 1 - NRF), nrf, pbc1, pbc2; shares are nan
    where there is no read.
    """
    n_distinct = n_single = n_double = 0
    for chrom, forward in ends.forward.items():
        reverse = ends.reverse[chrom]
        places = [forward.astype(np.int64) << 32 | reverse] if ends.paired else [forward, reverse]
        for values in places:
            times = np.unique(values, return_counts=True)[1]
            n_distinct += len(times)
            n_single += int((times == 1).sum())
            n_double += int((times == 2).sum())
    n_reads = count(ends)
    nrf = n_distinct / n_reads if n_reads else np.nan
    return {
        "n_reads": n_reads,
        "n_distinct": n_distinct,
        "duplicates": 1 - nrf,
        "nrf": nrf,
        "pbc1": n_single / n_distinct if n_distinct else np.nan,
        "pbc2": n_single / n_double if n_double else (np.inf if n_single else np.nan),
    }


def count_distances(forward, reverse, maximum):
    """How many pairs of a forward and a reverse position lie 0, 1, ... `maximum` bp apart (reverse - forward).

    forward, reverse: sorted int arrays without repeats
    Returns an int64 array (maximum + 1,). The k-th round pairs each forward position with the k-th reverse position
    after it, so that the work is the number of such pairs and the memory that of the inputs.
    """
    pairs = np.zeros(maximum + 1, dtype=np.int64)
    at = np.searchsorted(reverse, forward)
    for _ in itertools.repeat(None, maximum + 1):
        inside = at < len(reverse)
        forward, at = forward[inside], at[inside]
        distance = reverse[at] - forward
        near = distance <= maximum
        if not near.any():
            break
        pairs += np.bincount(distance[near], minlength=maximum + 1)
        forward, at = forward[near], at[near] + 1
    return pairs


def sample_sides(ends, maximum, rng):
    """Distinct forward and reverse 5' ends of at most `maximum` reads, chosen evenly.

    Of a fragment one mate counts, chosen by chance, as if its library had been sequenced from one end.
    Returns a dict chrom -> (forward, reverse, number of reads), the first two sorted int32 arrays without repeats.
    """
    sides = {}
    for chrom, forward in ends.forward.items():
        reverse = ends.reverse[chrom]
        if ends.paired:
            first = rng.random(len(forward)) < 0.5
            forward, reverse = forward[first], reverse[~first]
        sides[chrom] = (forward, reverse)
    sizes = np.array([len(side) for pair in sides.values() for side in pair], dtype=np.int64)
    if sizes.sum() > maximum:
        kept = rng.multivariate_hypergeometric(sizes, maximum, method="marginals").reshape(-1, 2)
        for (chrom, pair), numbers in zip(list(sides.items()), kept, strict=True):
            sides[chrom] = tuple(
                side[rng.choice(len(side), n, replace=False, shuffle=False)]
                for side, n in zip(pair, numbers, strict=True)
            )
    return {
        chrom: (np.unique(forward), np.unique(reverse), len(forward) + len(reverse))
        for chrom, (forward, reverse) in sides.items()
    }


def correlate(sides, lengths, maximum):
    """Strand cross-correlation at shifts 0 to `maximum`, float array (maximum + 1,); nan where a strand has no read.

    sides: as `sample_sides` returns; lengths: dict of chromosome to bp
    At shift d, the Pearson correlation over all positions x of a chromosome of (a forward read starts at x) and (a
    reverse read ends at x + d), so that a fragment of d bp adds to shift d and the phantom peak lies at the read
    length. The mean over chromosomes is weighted by their reads. A position counts once, however many reads start
    there, as in ENCODE, which removes duplicates first.
    """
    total, weight = np.zeros(maximum + 1), 0
    for chrom, (forward, reverse, n) in sides.items():
        f, r = len(forward) / lengths[chrom], len(reverse) / lengths[chrom]
        if not (0 < f < 1 and 0 < r < 1):
            continue
        together = count_distances(forward, reverse, maximum) / lengths[chrom]
        total += n * (together - f * r) / np.sqrt(f * (1 - f) * r * (1 - r))
        weight += n
    return total / weight if weight else np.full(maximum + 1, np.nan)


def cross_correlation(ends, lengths, rng, max_shift_bp=400, max_reads=15_000_000):
    """Fragment length and enrichment from the strand cross-correlation (Landt et al. 2012, Genome Research 22:1813).

    ends: Ends on chromosomes of `lengths` (dict of name to bp); rng: numpy Generator, for the choice of reads
    The curve is smoothed with a running mean over 15 shifts. Fragment length: the shift of its maximum between the
    read length + 10 (a fragment is not shorter than its reads, and around the read length lies the phantom peak) and
    `max_shift_bp` (or read length + 200 where that is more); for paired reads the median length of the fragments.
    NSC = maximum / background; RSC = (maximum - background) / (phantom - background), the phantom being the highest value
    within 10 bp of the read length, the background the mean over shifts 1401 to 1500. As in phantompeakqualtools, which
    takes every fifth shift, and for the background the last one, 1500, alone. Few reads make NSC noisy: compare it
    between libraries of like depth.
    Paired: both mates of a fragment always lie a fragment length apart, with or without enrichment (NSC of the input
    control of the CTCF test data: 8.4 with both, 1.6 with one). Hence one mate per fragment is taken, by chance; ENCODE
    takes the first.
    Returns (dict read_bp, fragment_bp, nsc, rsc; data frame shift, correlation, smoothed for shifts 0 to the last one
    searched). nan stands where it cannot be told: a strand without reads, a background <= 0 for NSC, no read length
    (BEDPE) or no phantom peak for RSC.
    """
    last = max(max_shift_bp, ends.read_bp + 200)
    longest = max(BACKGROUND_BP[1], last)
    sides = sample_sides(ends, max_reads, rng)
    curve = correlate(sides, lengths, longest + SMOOTH_BP // 2)
    width = np.convolve(np.ones(len(curve)), np.ones(SMOOTH_BP), mode="same")
    smooth = np.convolve(curve, np.ones(SMOOTH_BP), mode="same") / width
    table = pd.DataFrame(
        {"shift": np.arange(last + 1), "correlation": curve[: last + 1], "smoothed": smooth[: last + 1]}
    )
    values = {"read_bp": ends.read_bp or np.nan, "fragment_bp": np.nan, "nsc": np.nan, "rsc": np.nan}
    if not np.isnan(curve[0]):
        first = ends.read_bp + PHANTOM_BP + 1 if ends.read_bp else 0
        best = first + int(smooth[first : last + 1].argmax())
        background = curve[BACKGROUND_BP[0] : BACKGROUND_BP[1] + 1].mean()
        values["fragment_bp"] = best
        if background > 0:
            values["nsc"] = float(smooth[best] / background)
        if ends.read_bp:
            phantom = smooth[max(0, ends.read_bp - PHANTOM_BP) : ends.read_bp + PHANTOM_BP + 1].max()
            if phantom > background:
                values["rsc"] = float((smooth[best] - background) / (phantom - background))
    if ends.paired and count(ends):
        spans = [ends.reverse[chrom] - ends.forward[chrom] for chrom in ends.forward]
        values["fragment_bp"] = float(np.median(np.concatenate(spans)))
    return values, table


def frip(ends, regions, fragment_bp=0):
    """Fraction of reads (fragments) in peaks (Landt et al. 2012), nan without reads.

    ends: Ends; regions: data frame chrom, start, end, overlapping or not
    fragment_bp: of single reads, the length of the fragments: a read counts where the middle of its fragment lies, half
    a fragment from its 5' end, as in ENCODE's pipeline. A pair counts where the middle between its ends lies.
    """
    n_inside = 0
    by_chrom = regions.groupby("chrom", sort=False).indices
    for chrom, forward in ends.forward.items():
        if chrom not in by_chrom:
            continue
        here = regions.iloc[by_chrom[chrom]]
        starts, stops = np.sort(here["start"].to_numpy()), np.sort(here["end"].to_numpy())
        reverse = ends.reverse[chrom]
        if ends.paired:
            middles = [forward + (reverse - forward) // 2]
        else:
            middles = [forward + int(fragment_bp) // 2, reverse - 1 - int(fragment_bp) // 2]
        for middle in middles:
            inside = np.searchsorted(starts, middle, "right") > np.searchsorted(stops, middle, "right")
            n_inside += int(inside.sum())
    n = count(ends)
    return n_inside / n if n else np.nan


def flags(row):
    """What falls short of ENCODE's standards, as short phrases; nothing is dropped for them.

    row: dict with some of n_reads, n_distinct, nrf, pbc1, pbc2, nsc, rsc, frip; what is absent or nan is not judged,
    but a NSC of nan is told
    Limits: NRF 0.5, 0.8, 0.9; PBC1 0.5, 0.8, 0.9; PBC2 1, 3, 10; usable (distinct) fragments 10 and 20 million, for the
    human genome (www.encodeproject.org/chip-seq/transcription_factor-encode4); NSC 1.05, RSC 0.8, FRiP 0.01
    (Landt et al. 2012).
    """
    phrases = []
    for name, (label, limits) in STANDARDS.items():
        value = row.get(name, np.nan)
        for limit, meaning in limits:
            if value < limit:
                numbers = (
                    f"{value:,} < {limit:,}" if name == "n_distinct" else f"{rounded_down(value, limit):g} < {limit:g}"
                )
                phrases.append(f"{label} {numbers}: {meaning}")
                break
    if np.isnan(row.get("nsc", 0.0)):
        phrases.append("NSC unknown: no reads on one strand, or no correlation in the background")
    if row.get("n_reads", 0) >= 10_000 and row.get("n_distinct") == row["n_reads"]:
        phrases.append("no duplicate at all: they were removed before, so NRF and PBC tell nothing")
    return phrases


def rounded_down(value, limit):
    """The value cut to about the digits of the limit, so that 0.8996 is 0.89 and not the limit 0.9 that it misses."""
    unit = 10 ** max(1, len(f"{limit:g}".partition(".")[2]) + (limit < 1))
    return np.floor(value * unit + 1e-9) / unit


def assess(path, kind, regions, lengths, rng, max_shift_bp=400):
    """Quality of the reads of one file.

    path, kind: as for `fragment_ends`; regions: data frame chrom, start, end of peaks, or None
    lengths: dict of name to bp of the chromosomes that count, best without the mitochondrial one; rng: numpy Generator
    Returns (row, table): row a dict paired (bool), n_reads, n_elsewhere (reads on other chromosomes), n_distinct,
    duplicates, nrf, pbc1, pbc2, read_bp, fragment_bp, nsc, rsc, frip, flags (phrases joined by "; "); table as
    `cross_correlation` returns. Reads are fragments where paired.
    Raises InputError when no read lies on these chromosomes.
    """
    everything = fragment_ends(path, kind)
    ends = on_chromosomes(everything, lengths)
    n_all, n = count(everything), count(ends)
    if not n:
        raise InputError(
            f"{path}: none of {n_all} reads lies on the {len(lengths)} chromosomes in use; check the names"
        )
    del everything
    row = {"paired": ends.paired, **complexity(ends), "n_elsewhere": n_all - n}
    correlation, table = cross_correlation(ends, lengths, rng, max_shift_bp)
    row |= correlation
    fragment_bp = 0 if np.isnan(row["fragment_bp"]) else row["fragment_bp"]
    row["frip"] = np.nan if regions is None else frip(ends, regions, fragment_bp)
    row["flags"] = "; ".join(flags(row))
    logging.info("%s: %s", path, row)
    return row, table
