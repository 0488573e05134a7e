"""Named sets of negatives beside the matched ones: harder questions, each with its own windows.

`accessible`   open but unbound: does the network know more than open chromatin?
`motif`        unbound with a site of the TF: does it know more than the motif?
`other_peaks`  bound by another TF or in another cell type: does it know this TF in this cell type?
`shuffled`     peaks whose dinucleotides are shuffled: the easiest one, common in the literature
"""

import numpy as np
import pandas as pd
from memelite.fimo import fimo

from cisgrammar.extraction import chromosome_lengths, extract_codes
from cisgrammar.intervals import overlaps
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS

MOTIF_P = 1e-4  # largest p value of a site, as FIMO has it (Grant et al. 2011, Bioinformatics 27:1017)
SCANNED = 20_000  # windows at a time


def place_windows(centers, width, splits):
    """Windows of one width around places, those that leave their chromosome left out.

    centers: data frame chrom, center; splits: data frame chrom, length_bp, split
    Returns a data frame chrom, start, end, name (= split), without chromosomes that are in no split.
    """
    known = splits[splits["split"].isin(SPLITS)].set_index("chrom")
    centers = centers[centers["chrom"].isin(known.index)]
    start = centers["center"].to_numpy() - width // 2
    inside = (start >= 0) & (start + width <= centers["chrom"].map(known["length_bp"]).to_numpy())
    chrom, start = centers["chrom"].to_numpy()[inside], start[inside]
    name = known["split"].reindex(chrom).to_numpy()
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + width, "name": name})


def tile_regions(regions, width, splits):
    """As many windows of one width as fit side by side into each region, at least one, around its middle."""
    n = np.maximum(1, (regions["end"] - regions["start"]).to_numpy() // width)
    which = np.repeat(np.arange(len(regions)), n)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)
    middle = ((regions["start"] + regions["end"]) // 2).to_numpy()[which]
    center = middle + (2 * turn - n[which] + 1) * width // 2
    return place_windows(pd.DataFrame({"chrom": regions["chrom"].to_numpy()[which], "center": center}), width, splits)


def own_matrices(tf, motifs):
    """The matrices of a TF: those with its name, alone or as part of a dimer, whatever the case.

    motifs: dict of `read_meme`. Returns a dict id to float array (4, width). Raises InputError when there is none.
    """
    found = {i: matrix for i, (name, matrix) in motifs.items() if tf.upper() in name.upper().split("::")}
    if not found:
        raise InputError(
            f"no matrix in resources/jaspar/motifs.meme is called {tf}, so the set `motif` cannot be drawn; take it out of "
            "negatives.training and negatives.evaluation, name the TF as JASPAR does, or widen references.jaspar.taxon"
        )
    return found


def find_sites(windows, matrices, store):
    """Where the best site of any of the matrices lies in windows that have one with p <= 1e-4, by FIMO.

    windows: data frame chrom, start, end, of one width; matrices: dict id to float array (4, width); store: Store
    Returns a data frame chrom, center.
    """
    found = []
    for i in range(0, len(windows), SCANNED):
        part = windows.iloc[i : i + SCANNED]
        codes = extract_codes(part, store)
        part, codes = part[(codes < 4).all(axis=1)], codes[(codes < 4).all(axis=1)]
        if part.empty:
            continue
        sequences = (codes[:, None] == np.arange(4)[:, None]).astype(np.int8)
        hits = pd.concat(fimo(matrices, sequences, threshold=MOTIF_P))
        best = hits.sort_values("p-value", kind="stable").drop_duplicates("sequence_name")
        rows = part.iloc[best["sequence_name"].to_numpy(dtype=np.int64)]
        center = rows["start"].to_numpy() + ((best["start"] + best["end"]) // 2).to_numpy(dtype=np.int64)
        found.append(pd.DataFrame({"chrom": rows["chrom"].to_numpy(), "center": center}))
    return pd.concat(found) if found else pd.DataFrame({"chrom": [], "center": np.zeros(0, dtype=np.int64)})


def free_windows(windows, taken):
    """Windows that touch neither what is taken nor each other, the first of each cluster being kept, sorted by place."""
    windows = windows[~overlaps(windows, taken)].sort_values(["chrom", "start"], kind="stable")
    kept, chrom_before, end_before = [], None, 0
    for chrom, start, end in zip(windows["chrom"], windows["start"], windows["end"], strict=True):
        kept.append(chrom != chrom_before or start >= end_before)
        if kept[-1]:
            chrom_before, end_before = chrom, end
    return windows[np.array(kept, dtype=bool)]


def shufflable(peaks, store, flank_bp):
    """The peaks that lie with their flanks inside the chromosome and have no unknown base there."""
    lengths = peaks["chrom"].map(chromosome_lengths(store))
    inside = (peaks["start"] >= flank_bp) & (peaks["end"] + flank_bp <= lengths)
    known = (extract_codes(peaks, store, flank_bp) < 4).all(axis=1)
    return peaks[inside & known]


def draw_some(windows, peaks, ratio, rng, repeat=False):
    """At most round(ratio x peaks) of the windows in each split, at random.

    windows, peaks: data frames with name (= split); repeat: whether a window may be drawn again, once all are
    Returns (rows of `windows`, data frame split, wanted, drawn).
    """
    drawn, counts = [], []
    for split in SPLITS:
        pool = windows[windows["name"] == split]
        wanted = round(ratio * (peaks["name"] == split).sum())
        n = wanted if repeat and len(pool) else min(wanted, len(pool))
        rounds = [rng.permutation(len(pool)) for _ in range(0, n, max(1, len(pool)))]
        drawn.append(pool.iloc[np.concatenate([np.zeros(0, dtype=int), *rounds])[:n]])
        counts.append((split, wanted, n))
    return pd.concat(drawn), pd.DataFrame(counts, columns=["split", "wanted", "drawn"])
