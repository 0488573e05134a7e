"""A simulated genome of the size and make-up of a human one, for benchmarks.

Lengths of the chromosomes as in GRCh38; isochores of 300 kb on average with the GC levels and shares of Bernardi (2000, Gene
241:3); CpG at a fifth of its expected share but for 28,000 islands; 44 % soft-masked repeats (copies of a few families, of
either strand, cut short and diverged); satellites and 3 Mb of N in each centromere; 5 % recent duplications.
"""

import numpy as np
from numba import njit

MEGABASES = (248.96, 242.19, 198.30, 190.21, 181.54, 170.81, 159.35, 145.14, 138.39, 133.80, 135.09, 133.28)
MEGABASES += (114.36, 107.04, 101.99, 90.34, 83.26, 80.37, 58.62, 64.44, 46.71, 50.82, 156.04, 57.23)  # GRCh38
LENGTHS = {f"chr{i}": round(megabases * 10**6) for i, megabases in enumerate(MEGABASES, start=1)}
ISOCHORES = ((0.37, 0.39, 0.42, 0.47, 0.53), (0.19, 0.37, 0.31, 0.10, 0.03))  # GC, share of the genome
# Repeats: members, length in bp, GC, copies per Mb, mean length of a copy, divergence from .. to
FAMILIES = (
    (10, 300, 0.62, 500, 290, 0.02, 0.16),  # like Alu
    (8, 6000, 0.42, 400, 620, 0.02, 0.25),  # like L1
    (6, 400, 0.43, 360, 200, 0.20, 0.35),  # like MIR and L2
    (300, 500, 0.46, 270, 400, 0.03, 0.25),  # like LTR
    (60, 300, 0.40, 180, 220, 0.10, 0.30),  # like DNA transposons
)
LETTERS = np.frombuffer(b"ACGTNNNNacgtnnnn", dtype=np.uint8)
MASKED = 8
LINE_BP = 60


@njit
def following(state):
    """A random number of 64 bits and the next state (SplitMix64)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31)), state


@njit
def fill(codes, edges, gc, kept_cpg, state):
    """Random bases between the edges, each stretch with its GC; the share `kept_cpg` of CpG stays, others become TG, CA."""
    for i in range(gc.size):
        bound = np.uint64(gc[i] * 65536)
        before = 0
        for at in range(edges[i], edges[i + 1]):
            bits, state = following(state)
            strong = (bits & np.uint64(65535)) < bound
            other = (bits >> np.uint64(16)) & np.uint64(1)
            code = (1 + other) if strong else 3 * other
            if code == 2 and before == 1 and ((bits >> np.uint64(17)) & np.uint64(1023)) >= 1024 * kept_cpg:
                if bits >> np.uint64(63):
                    codes[at - 1] = 3
                else:
                    code = np.uint64(0)
            codes[at] = code
            before = code


@njit
def paste(codes, source, starts, firsts, lengths, turned, divergence, mask, state):
    """Copy stretches of `source` into `codes`, some turned around, with substitutions."""
    for i in range(starts.size):
        bound = np.uint64(divergence[i] * 65536)
        for j in range(lengths[i]):
            at = lengths[i] - 1 - j if turned[i] else j
            code = source[firsts[i] + at] & 3
            code = 3 - code if turned[i] else code
            bits, state = following(state)
            if (bits & np.uint64(65535)) < bound:
                code = (code + 1 + ((bits >> np.uint64(16)) % np.uint64(3))) & 3
            codes[starts[i] + j] = code + mask


def seed(rng):
    return np.uint64(rng.integers(1 << 62))


def repeats(rng):
    """The members of each family one after the other; list of uint8 arrays."""
    members = []
    for n, length, gc, *_ in FAMILIES:
        codes = np.empty(n * length, dtype=np.uint8)
        fill(codes, np.array([0, len(codes)]), np.array([gc]), 0.3, seed(rng))
        members.append(codes)
    return members


def simulate_chromosome(length, members, rng):
    """Codes of a chromosome, uint8 array (length,): 0..3 for ACGT, 4 for N, +8 where soft-masked."""
    codes = np.empty(length, dtype=np.uint8)
    edges = np.unique(
        np.concatenate([[0], np.cumsum(rng.exponential(300_000, length // 200_000)), [length]]).astype(int)
    )
    edges = edges[edges <= length]
    gc = rng.choice(ISOCHORES[0], len(edges) - 1, p=ISOCHORES[1])
    fill(codes, edges, gc, 0.2, seed(rng))
    for source, (n, member_bp, _, per_megabase, copy_bp, nearest, farthest) in zip(members, FAMILIES, strict=True):
        copies = length * per_megabase // 10**6
        lengths = np.clip(rng.gamma(2, copy_bp / 2, copies).astype(int), 30, member_bp)
        firsts = rng.integers(0, n, copies) * member_bp + member_bp - lengths  # the end of a member is kept
        starts = rng.integers(0, length - member_bp, copies)
        turned, divergence = rng.integers(0, 2, copies), rng.uniform(nearest, farthest, copies)
        paste(codes, source, starts, firsts, lengths, turned, divergence, MASKED, seed(rng))
    islands = rng.integers(1000, length - 4000, length * 18 // 10**6)
    level = gc[np.searchsorted(edges, islands, side="right") - 1]
    islands = np.sort(islands[rng.random(len(islands)) < level**2 / 0.25])
    islands = islands[np.diff(islands, prepend=-5000) > 4000]
    for start in islands:
        end = start + rng.integers(300, 2500)
        fill(codes, np.array([start, end]), np.array([rng.uniform(0.58, 0.72)]), 0.9, seed(rng))
    for _ in range(length // 10**6):
        size = int(rng.integers(10_000, 90_000))
        first, start = rng.integers(0, length - size, 2)
        one = np.array([rng.uniform(0.005, 0.06)])
        copy = codes[first : first + size].copy()
        masked = copy & MASKED
        paste(codes, copy, np.array([start]), np.array([0]), np.array([size]), rng.integers(0, 2, 1), one, 0, seed(rng))
        codes[start : start + size] |= masked
    centre = int(length * 0.4)
    monomer = rng.integers(0, 4, 171).astype(np.uint8)
    satellite = np.resize(monomer, 1_000_000)
    one = np.array([0.02])
    paste(codes, satellite, np.array([centre]), np.array([0]), np.array([10**6]), np.array([0]), one, MASKED, seed(rng))
    codes[centre + 10**6 : centre + 4 * 10**6] = 4
    codes[:10_000] = codes[-10_000:] = 4
    return codes


def write_genome(path, lengths, seed):
    """Write a genome as FASTA, lines of 60 bases; chromosomes of 10 Mb or more."""
    rng = np.random.default_rng(seed)
    members = repeats(rng)
    with open(path, "wb") as handle:
        for chrom, length in lengths.items():
            letters = LETTERS[simulate_chromosome(length, members, rng)]
            whole = length // LINE_BP * LINE_BP
            lines = np.full((length // LINE_BP, LINE_BP + 1), ord("\n"), dtype=np.uint8)
            lines[:, :LINE_BP] = letters[:whole].reshape(-1, LINE_BP)
            handle.write(f">{chrom}\n".encode())
            lines.tofile(handle)
            if whole < length:
                handle.write(letters[whole:].tobytes() + b"\n")
