"""Motifs out of contributions, and what JASPAR knows about them."""

import logging

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from memelite import tomtom
from scipy.stats import false_discovery_control
from tangermeme.plot import plot_logo
from tangermeme.seqlet import recursive_seqlets

from cisgrammar.files import atomic
from cisgrammar.layers import one_hot, reverse_complement

WINDOW_BP = 41
CORE_BP = 21
SHIFT_BP = (WINDOW_BP - CORE_BP) // 2


def cut_seqlets(values, codes, threshold):
    """Stretches with large contributions, cut out with their surroundings.

    values: float32 (windows, 4, bases), contributions of the observed bases; codes: uint8 (windows, bases)
    threshold: of tangermeme's recursive seqlet caller (a rank, not an error rate)
    Returns (contributions (seqlets, 4, 41), one-hot (seqlets, 4, 41), attribution (seqlets,)) as tensors, centred on the
    seqlets, largest attribution first, zeros beyond the windows.
    """
    seqlets = recursive_seqlets(torch.as_tensor(values.sum(axis=1)), threshold=threshold)
    seqlets = seqlets.sort_values(["attribution", "example_idx", "start"], ascending=[False, True, True], kind="stable")
    half = WINDOW_BP // 2
    padded = np.pad(values, ((0, 0), (0, 0), (half, half)))
    bases = np.pad(codes, ((0, 0), (half, half)), constant_values=4)
    middle = ((seqlets["start"] + seqlets["end"]) // 2).to_numpy()
    rows = seqlets["example_idx"].to_numpy()
    columns = middle[:, None] + np.arange(WINDOW_BP)
    contributions = padded[rows[:, None, None], np.arange(4)[None, :, None], columns[:, None, :]]
    return (
        torch.as_tensor(contributions),
        one_hot(bases[rows[:, None], columns]),
        torch.as_tensor(seqlets["attribution"].to_numpy(copy=True)),
    )


def align(pattern, contributions):
    """Best place and strand of a pattern in each seqlet.

    pattern: (4, 21); contributions: (seqlets, 4, 41)
    Returns (similarity, shift, turned): cosine of the pattern and the stretch under it, its first position, and whether
    the seqlet's other strand fits better.
    """
    best = None
    for turned, strand in enumerate((contributions, reverse_complement(contributions))):
        dot = torch.nn.functional.conv1d(strand, pattern[None])[:, 0]
        size = torch.nn.functional.conv1d(strand.square().sum(dim=1, keepdim=True), torch.ones(1, 1, CORE_BP))[:, 0]
        cosine, shift = (dot / (size.clamp(min=1e-12).sqrt() * pattern.norm().clamp(min=1e-12))).max(dim=1)
        fields = torch.stack([cosine, shift.float(), torch.full_like(cosine, turned)])
        best = fields if best is None else torch.where(fields[0] > best[0], fields, best)
    return best[0], best[1].long(), best[2].bool()


def turn(seqlets, turned):
    return torch.where(turned[:, None, None], reverse_complement(seqlets), seqlets)


def cut(seqlets, shift):
    """The 21 positions from `shift` on of each seqlet (seqlets, 4, 41)."""
    columns = shift[:, None] + torch.arange(CORE_BP)
    return seqlets.gather(2, columns[:, None, :].expand(-1, 4, -1))


def cluster_seqlets(contributions, bases, minimum_sites, maximum, similarity=0.6, rounds=4, tries=200):
    """Group seqlets into motifs, the strongest seqlet first, each seqlet into one motif at most.

    contributions, bases: (seqlets, 4, 41), strongest first
    The strongest seqlet left is the first pattern; all seqlets with a cosine of at least `similarity` at their best
    place and strand join; the mean of their contributions is the next pattern, `rounds` times. A seqlet that gathers
    fewer than `minimum_sites` is left out, and after `tries` of them in a row the search ends, so that the work grows with
    the number of seqlets and not with its square.
    Returns a list of dicts counts (4, width), n_sites, weight (sum of absolute contributions).
    """
    left = torch.arange(len(contributions))
    motifs, failed = [], 0
    while len(left) >= minimum_sites and len(motifs) < maximum and failed < tries:
        here, sequence = contributions[left], bases[left]
        pattern = here[0][:, SHIFT_BP : SHIFT_BP + CORE_BP]
        for _ in range(rounds):
            cosine, shift, turned = align(pattern, here)
            members = cosine >= similarity
            if members.sum() < minimum_sites:
                break
            pattern = cut(turn(here, turned), shift)[members].mean(dim=0)
        if members.sum() < minimum_sites:
            left, failed = left[1:], failed + 1
            continue
        counts = cut(turn(sequence, turned), shift)[members].sum(dim=0).numpy()
        motifs.append(
            {"counts": trim(counts), "n_sites": int(members.sum()), "weight": float(here[members].abs().sum())}
        )
        members[0] = True
        left, failed = left[~members], 0
    return sorted(motifs, key=lambda motif: -motif["weight"])


def information(counts, pseudocount=0.5):
    """Information content in bits of each column of a count matrix (4, width) against equal base frequencies."""
    p = (counts + pseudocount) / (counts + pseudocount).sum(axis=0)
    return 2 + np.sum(p * np.log2(p), axis=0)


def trim(counts, least_bits=0.25, shortest=5):
    """Cut columns with less than `least_bits` off both ends, down to `shortest` columns."""
    informative = np.flatnonzero(information(counts) >= least_bits)
    first, last = (informative[0], informative[-1] + 1) if len(informative) else (0, counts.shape[1])
    while last - first < shortest:
        first, last = max(0, first - 1), min(counts.shape[1], last + 1)
    return counts[:, first:last]


def find_motifs(values, codes, threshold, minimum_sites, maximum):
    """Motifs of the contributions of one model, the one with the most contribution first.

    Returns a list of dicts id (motif_1, ...), matrix (counts, (4, width), with a pseudocount of 0.5), n_sites.
    """
    contributions, bases, _ = cut_seqlets(values, codes, threshold)
    motifs = cluster_seqlets(contributions, bases, minimum_sites, maximum)
    logging.info("%d seqlets, motifs of %s sites", len(contributions), [motif["n_sites"] for motif in motifs])
    return [
        {"id": f"motif_{i}", "matrix": motif["counts"] + 0.5, "n_sites": motif["n_sites"]}
        for i, motif in enumerate(motifs, start=1)
    ]


def count_members(motifs, of_members, known, largest_e=0.01):
    """In how many members of an ensemble each motif is found again: list of int.

    of_members: for each member a list of its motifs (dicts with matrix); known: dict id to (name, matrix), which TOMTOM takes
    for its null, as a member has few motifs; largest_e: of a match, p times the number of the member's motifs
    """
    queries = [motif["matrix"] / motif["matrix"].sum(axis=0) for motif in motifs]
    found = np.zeros(len(motifs), dtype=int)
    for others in of_members:
        targets = [motif["matrix"] / motif["matrix"].sum(axis=0) for motif in others]
        if queries and targets:
            p = tomtom(queries, [*targets, *(matrix for _, matrix in known.values())], n_jobs=1)[0][:, : len(targets)]
            found += p.min(axis=1) * len(targets) <= largest_e
    return found.tolist()


def compare_motifs(motifs, known, most, usual=1.0):
    """TOMTOM (Gupta et al. 2007, Genome Biology 8:R24; through memelite) of motifs against known matrices.

    motifs: list of dicts id, matrix (counts), n_sites; known: dict id to (name, matrix); most: matches per motif;
    usual: float array (matrices,), p values that motifs without meaning reach with each matrix
    Returns a data frame motif, n_sites, jaspar_id, jaspar_name, p, q, offset, strand: motifs in their order, their best
    match first, that with the smallest p divided by the usual one. p is for the best of all offsets and both strands; q
    controls the false discovery rate over all known matrices (Benjamini & Hochberg); strand - means that the known matrix
    is turned round; offset is the column of the motif, from 0, at which the known matrix then starts.
    """
    columns = ["motif", "n_sites", "jaspar_id", "jaspar_name", "p", "q", "offset", "strand"]
    rows = []
    if motifs:
        queries = [motif["matrix"] / motif["matrix"].sum(axis=0) for motif in motifs]
        targets = [matrix for _, matrix in known.values()]
        p_values, _, offsets, _, strands = tomtom(queries, targets, n_jobs=1)[:5]
        identifiers = list(known)
        for i, motif in enumerate(motifs):
            p = np.clip(p_values[i], 1e-300, 1)
            q = false_discovery_control(p)
            for j in np.argsort(p / usual, kind="stable")[:most]:
                name, strand = known[identifiers[j]][0], "-" if strands[i, j] else "+"
                place = (-int(offsets[i, j]), strand)
                rows.append((motif["id"], motif["n_sites"], identifiers[j], name, p[j], q[j], *place))
    return pd.DataFrame(rows, columns=columns)


def draw_logos(motif, known, match, path):
    """Draw a motif over its best match, column by column aligned, as a PNG.

    motif: dict id, matrix (counts), n_sites; known: dict id to (name, matrix); match: row of `compare_motifs`
    Heights are bits; the lower logo is the very matrix that p and q are for, turned round where strand is -.
    """
    name, matrix = known[match["jaspar_id"]]
    matrix = matrix[::-1, ::-1] if match["strand"] == "-" else matrix
    query = motif["matrix"] / motif["matrix"].sum(axis=0)
    first = min(0, match["offset"])
    last = max(query.shape[1], match["offset"] + matrix.shape[1])
    figure, axes = plt.subplots(2, 1, figsize=(0.28 * (last - first) + 1, 3.2), sharex=True, layout="constrained")
    titles = (
        f"{motif['id']} ({motif['n_sites']} sites)",
        f"{name} {match['jaspar_id']} ({match['strand']}), q = {match['q']:.2g}",
    )
    for axis, probabilities, start, title in zip(axes, (query, matrix), (0, match["offset"]), titles, strict=True):
        heights = np.zeros((4, last - first))
        columns = slice(start - first, start - first + probabilities.shape[1])
        heights[:, columns] = probabilities * (2 + np.sum(probabilities * np.log2(probabilities + 1e-9), axis=0))
        plot_logo(heights, ax=axis)
        axis.set(ylim=(0, 2), ylabel="bits", xticks=[])
        axis.set_title(title, fontsize=9, parse_math=False)
        axis.spines[["top", "right"]].set_visible(False)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png", metadata={"Software": None})
    plt.close(figure)
