"""Grammar: which motifs lie together, how far apart and how turned, in the windows and to the eyes of the network.

An arrangement tells how the second motif of a pair lies to the first one, read on the strand of the first: `downstream` or
`upstream` of it, on the `same` or the `opposite` strand; the gap is the number of bases between the two.
"""

import itertools

import numpy as np
import pandas as pd
import torch
from scipy.stats import false_discovery_control, hypergeom
from tangermeme.ersatz import dinucleotide_shuffle

from cisgrammar.dna import UNKNOWN, reverse_complement_codes
from cisgrammar.layers import one_hot
from cisgrammar.model import score

ARRANGEMENTS = ("downstream_same", "downstream_opposite", "upstream_same", "upstream_opposite")
ALIKE = ("downstream_same", "downstream_opposite", "upstream_opposite")  # of a motif with itself


def co_occurrence(sites, names, n_windows):
    """How often two motifs are in one window, against what chance would do, for each pair of different motifs.

    sites: data frame motif, window; names: ids of the motifs; n_windows: number of all windows, those without sites too
    Returns a data frame a, b, n_a, n_b, n_both (windows), expected, co_p: the chance of so many or more windows with both,
    if each motif chose its windows by itself (hypergeometric), co_q: the false discovery rate (Benjamini & Hochberg).
    """
    members = {name: set(sites.loc[sites["motif"] == name, "window"]) for name in names}
    rows = []
    for a, b in itertools.combinations(names, 2):
        n_a, n_b, both = len(members[a]), len(members[b]), len(members[a] & members[b])
        p = float(hypergeom.sf(both - 1, n_windows, n_a, n_b))
        rows.append((a, b, n_a, n_b, both, n_a * n_b / max(1, n_windows), p))
    table = pd.DataFrame(rows, columns=["a", "b", "n_a", "n_b", "n_both", "expected", "co_p"])
    return table.assign(co_q=false_discovery_control(table["co_p"]) if len(table) else [])


def join(a, window_b):
    """Pairs of rows of two tables of sites in the same window, (rows of a, rows of b).

    a: int array (sites, columns), sorted by its first one, the window; window_b: windows of the rows of b
    """
    first = np.searchsorted(a[:, 0], window_b, side="left")
    number = np.searchsorted(a[:, 0], window_b, side="right") - first
    row_b = np.repeat(np.arange(len(window_b)), number)
    row_a = np.repeat(first, number) + np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    return row_a, row_b


def arrange(a, b, largest_gap, alike):
    """Counts (arrangements, gaps 0..largest_gap) of pairs of sites; overlapping and wider ones do not count.

    a, b: int arrays (pairs, 3): start, end, strand (1 or -1); alike: of one motif, each pair given once
    """
    after = b[:, 0] >= a[:, 1]
    gap = np.where(after, b[:, 0] - a[:, 1], a[:, 0] - b[:, 1])
    upstream = after != (a[:, 2] == 1)
    opposite = a[:, 2] != b[:, 2]
    kind = 2 * upstream + opposite
    if alike:
        kind[kind == 2] = 0
    fits = (gap >= 0) & (gap <= largest_gap)
    counts = np.bincount(kind[fits] * (largest_gap + 1) + gap[fits], minlength=4 * (largest_gap + 1))
    return counts.reshape(4, -1)


def spacing_profile(sites, a, b, n_windows, window_bp, largest_gap, permutations, rng):
    """How two motifs lie to each other in the windows, against windows put together anew.

    sites: data frame motif, window, start, end, strand (in the window); a, b: ids, which may be one motif
    The null takes the sites of `b` from another window, turned round by chance, so that every motif keeps its places and
    its number per window, and only how they lie to each other is lost.
    Returns (profile, p): a data frame arrangement, gap, count, expected (mean of the null), and the share of `permutations`
    whose largest excess over the expectation, in standard deviations of a count (Poisson), is that of the windows or larger.
    """
    columns = {name: sites.loc[sites["motif"] == name] for name in (a, b)}
    first, second = (
        np.column_stack([part["window"], part["start"], part["end"], np.where(part["strand"] == "+", 1, -1)]).astype(
            int
        )
        for part in (columns[a], columns[b])
    )
    first = first[np.argsort(first[:, 0], kind="stable")]

    def counts(second, window, null=True):
        row_a, row_b = join(first, window)
        left, right = first[row_a, 1:], second[row_b, 1:]
        if a == b:
            # Each pair once: its first site, or, as two windows meet each other twice in the null, one time by chance.
            kept = rng.random(len(left)) < 0.5 if null else left[:, 0] < right[:, 0]
            left, right = left[kept], right[kept]
        return arrange(left, right, largest_gap, a == b)

    observed = counts(second, second[:, 0], null=False)
    turned = np.column_stack([second[:, 0], window_bp - second[:, 2], window_bp - second[:, 1], -second[:, 3]])
    null = np.empty((permutations, *observed.shape))
    for i in range(permutations):
        flip = rng.random(n_windows)[second[:, 0]] < 0.5
        # A step of at least one window along a random order: no window meets itself.
        order, step = rng.permutation(n_windows), int(rng.integers(1, max(2, n_windows)))
        other = np.empty(n_windows, dtype=int)
        other[order] = np.roll(order, step)
        null[i] = counts(np.where(flip[:, None], turned, second), other[second[:, 0]])
    expected = null.mean(axis=0)
    scale = np.sqrt(expected + 1)
    largest = ((observed - expected) / scale).max()
    p = (1 + np.sum(((null - expected) / scale).max(axis=(1, 2)) >= largest - 1e-9)) / (1 + permutations)
    kinds = ALIKE if a == b else ARRANGEMENTS
    rows = [
        (kind, gap, int(observed[i, gap]), expected[i, gap])
        for i, kind in enumerate(ARRANGEMENTS)
        if kind in kinds
        for gap in range(largest_gap + 1)
    ]
    return pd.DataFrame(rows, columns=["arrangement", "gap", "count", "expected"]), float(p)


def find_pairs(sites, names, n_windows, window_bp, largest_gap, permutations, rng):
    """Co-occurrence and spacing of every pair of motifs, each motif with itself too, the most regular spacing first.

    sites: with a column `active`, see `sites.mark_active`
    Returns (pairs, profiles). pairs: data frame a, b, n_a, n_b, n_both, expected, co_p, co_q (nan for a motif with itself),
    active_a, active_b, active_both, active_expected, active_p, active_q: the same of active sites alone;
    arrangement, gap (of the largest excess), count, count_expected, p, q (of the spacing, see `spacing_profile`; false
    discovery rates over all pairs, Benjamini & Hochberg). profiles: data frame a, b and the columns of `spacing_profile`.
    """
    together = ["n_a", "n_b", "n_both", "expected", "co_p", "co_q"]
    active = [name.replace("n_", "active_").replace("co_", "active_") for name in together]
    active[3] = "active_expected"
    parts = []
    for rows, columns in ((sites, together), (sites[sites["active"].astype(bool)], active)):
        part = co_occurrence(rows, names, n_windows)
        alone = rows.groupby("motif")["window"].nunique().reindex(names, fill_value=0)
        alone = pd.DataFrame({"a": names, "b": names} | dict.fromkeys(("n_a", "n_b", "n_both"), alone.to_numpy()))
        part = pd.concat([part, alone], ignore_index=True) if len(part) else alone.reindex(columns=part.columns)
        parts.append(part.set_index(["a", "b"]).rename(columns=dict(zip(together, columns, strict=True))))
    table = pd.concat(parts, axis=1).reset_index()
    profiles, best = [], []
    for a, b in zip(table["a"], table["b"], strict=True):
        profile, p = spacing_profile(sites, a, b, n_windows, window_bp, largest_gap, permutations, rng)
        excess = (profile["count"] - profile["expected"]) / np.sqrt(profile["expected"] + 1)
        top = profile.loc[excess.idxmax()]
        best.append((top["arrangement"], int(top["gap"]), int(top["count"]), top["expected"], p, excess.max()))
        profiles.append(profile.assign(a=a, b=b)[["a", "b", *profile.columns]])
    names_of = ["arrangement", "gap", "count", "count_expected", "p", "excess"]
    table[names_of] = pd.DataFrame(best, columns=names_of, index=table.index)
    table["q"] = false_discovery_control(table["p"]) if len(table) else []
    order = table.sort_values(["p", "excess"], ascending=[True, False], kind="stable").drop(columns="excess")
    empty = pd.DataFrame(columns=["a", "b", "arrangement", "gap", "count", "expected"])
    return order.reset_index(drop=True), pd.concat(profiles, ignore_index=True) if profiles else empty


def neutral_backgrounds(codes, n, rng):
    """`n` dinucleotide shuffles, each of another window while these last; uint8 (n, bases). codes: all bases known."""
    rows = np.resize(rng.permutation(len(codes)), n)
    seeds = rng.integers(0, 2**31 - 1, n).tolist()
    shuffled = dinucleotide_shuffle(one_hot(codes[rows]), n=1, random_state=seeds)[:, 0]
    return shuffled.argmax(dim=1).numpy().astype(np.uint8)


def to_known_frame(motifs, matches, known, largest_q):
    """Motifs in the columns and on the strand of the known matrix that they match, so that gaps are comparable.

    A motif from contributions often holds a few bases of its neighbour, which would count as overlap. Columns that only
    the known matrix has are a quarter of each base; a motif without a match of at most `largest_q` stays as it is.
    motifs: list of dicts id, matrix (4, width); matches: data frame of `compare_motifs`; known: dict id to (name, matrix)
    Returns a list of dicts id, matrix (probabilities).
    """
    best = matches.drop_duplicates("motif").set_index("motif")
    framed = []
    for motif in motifs:
        matrix = motif["matrix"] / motif["matrix"].sum(axis=0)
        match = best.loc[motif["id"]]
        if match["q"] <= largest_q:
            width, offset = known[match["jaspar_id"]][1].shape[1], int(match["offset"])
            inside = [i if 0 <= i < matrix.shape[1] else -1 for i in range(offset, offset + width)]
            matrix = np.column_stack([matrix, np.full(4, 0.25)])[:, inside]
            matrix = matrix[::-1, ::-1] if match["strand"] == "-" else matrix
        framed.append({"id": motif["id"], "matrix": np.ascontiguousarray(matrix)})
    return framed


def consensus(matrix, least=0.3):
    """The most frequent base of each column of a matrix (4, width), as codes; 4 where its share is below `least`."""
    shares = np.asarray(matrix) / np.sum(matrix, axis=0)
    return np.where(shares.max(axis=0) >= least, shares.argmax(axis=0), UNKNOWN).astype(np.uint8)


def place(windows, site, start):
    """Write a site into windows (n, bases), in place; an unknown base of it leaves what is there."""
    known = np.flatnonzero(site < UNKNOWN)
    windows[:, start + known] = site[known]


def insert_pair(network, a, b, backgrounds, gaps, alike=False, channels=0, encoding=None, bootstrap=1000, rng=None):
    """What a network makes of two motifs together beyond what it makes of each alone.

    network: with one task; a, b: codes of the motifs, 4 for any base; backgrounds: uint8 (n, bases); gaps: list of int
    alike: whether both are one motif
    channels: number of channels that the network reads besides; they hold their mean, 0; rng: numpy Generator
    `a` stands in the middle of each background, on the + strand, since networks read both strands alike; `b` stands beside
    it in each arrangement at each gap; gaps that the background is too narrow for are left out. The interaction is the
    logit with both, less that with each alone at the same place, plus that of the background (log-odds beyond additivity;
    after `space` of tangermeme, which gives the pair alone).
    Returns a data frame arrangement, gap, gain (logit of both less background), interaction (means over the backgrounds), low
    and high (of its 95% interval: percentiles of means over backgrounds drawn with replacement; for each row by itself).
    """
    n, bases = backgrounds.shape
    rng = np.random.default_rng(0) if rng is None else rng
    middle = (bases - len(a)) // 2

    def logits(windows):
        more = np.zeros((len(windows), channels, bases), dtype=np.float16) if channels else None
        return score(network, windows, more, encoding)[:, 0].astype(float)

    alone = backgrounds.copy()
    place(alone, a, middle)
    base, with_a = logits(backgrounds), logits(alone)
    drawn = rng.integers(0, n, (bootstrap, n))
    rows = []
    for kind in ALIKE if alike else ARRANGEMENTS:
        side, strand = kind.split("_")
        site = b if strand == "same" else reverse_complement_codes(b)
        for gap in gaps:
            start = middle + len(a) + gap if side == "downstream" else middle - gap - len(b)
            if start < 0 or start + len(b) > bases:
                continue
            with_b, both = backgrounds.copy(), alone.copy()
            place(with_b, site, start)
            place(both, site, start)
            found = logits(np.concatenate([with_b, both])).reshape(2, n)
            extra = found[1] - with_a - found[0] + base
            low, high = np.percentile(extra[drawn].mean(axis=1), [2.5, 97.5])
            rows.append((kind, gap, np.mean(found[1] - base), extra.mean(), low, high))
    return pd.DataFrame(rows, columns=["arrangement", "gap", "gain", "interaction", "low", "high"])


def measure_pairs(network, motifs, pairs, codes, n_backgrounds, largest_gap, channels, encoding, rng):
    """`insert_pair` for the rows of `pairs` (a, b), with the consensus of each motif; a data frame a, b and its columns.

    motifs: list of dicts id, matrix; codes: uint8 (windows, bases), of which the backgrounds are shuffles
    """
    words = {motif["id"]: consensus(motif["matrix"]) for motif in motifs}
    backgrounds = neutral_backgrounds(codes, n_backgrounds, rng) if len(pairs) else None
    found = []
    with torch.inference_mode():
        for a, b in zip(pairs["a"], pairs["b"], strict=True):
            gaps = range(largest_gap + 1)
            part = insert_pair(network, words[a], words[b], backgrounds, gaps, a == b, channels, encoding, rng=rng)
            found.append(part.assign(a=a, b=b)[["a", "b", *part.columns]])
    columns = ["a", "b", "arrangement", "gap", "gain", "interaction", "low", "high"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
