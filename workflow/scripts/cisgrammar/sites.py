"""Sites: where motifs lie in the explained windows, and what the model makes of them."""

import numpy as np
import pandas as pd
from memelite import fimo

from cisgrammar.intervals import BED6, write_bed
from cisgrammar.layers import one_hot

COLUMNS = ["motif", "window", "start", "end", "strand", "score", "p", "contribution"]


def call_sites(motifs, codes, values, largest_p):
    """Sites of motifs in windows, on both strands, by FIMO (Grant et al. 2011, Bioinformatics 27:1017; through memelite).

    motifs: list of dicts id, matrix (counts or probabilities, (4, width)); codes: uint8 (windows, bases); values: float
    (windows, 4, bases), contributions of the observed bases; largest_p: of a match at one place
    Of sites of one motif that overlap, the best scored one is kept (the first, then the + strand, of equals), so that a
    palindrome counts once.
    Returns a data frame of COLUMNS: motif (id), window (row), start and end in the window (from 0, half open), strand, score
    (log-odds in bits), p, and contribution, the sum over its bases in logits; sorted by window, start and motif.
    """
    if not motifs:
        return pd.DataFrame(
            {name: pd.Series(dtype="str" if name in ("motif", "strand") else "float") for name in COLUMNS}
        )
    matrices = {motif["id"]: np.asarray(motif["matrix"] / np.sum(motif["matrix"], axis=0)) for motif in motifs}
    sequences = one_hot(codes).numpy().astype(np.int8)
    found = pd.concat(fimo(matrices, sequences, threshold=largest_p), ignore_index=True)
    found = found.rename(columns={"motif_name": "motif", "sequence_name": "window", "p-value": "p"})
    found[["window", "start", "end"]] = found[["window", "start", "end"]].astype(np.int64)
    found = found.sort_values(
        ["motif", "window", "score", "start", "strand"], ascending=[True, True, False, True, True]
    )
    kept, last, taken = [], None, []
    for row in found.itertuples():
        if (row.motif, row.window) != last:
            last, taken = (row.motif, row.window), []
        free = all(row.end <= start or row.start >= end for start, end in taken)
        kept.append(free)
        if free:
            taken.append((row.start, row.end))
    found = found[np.array(kept, dtype=bool)]
    totals = np.pad(np.cumsum(values.sum(axis=1), axis=1), ((0, 0), (1, 0)))
    window = found["window"].to_numpy()
    found["contribution"] = totals[window, found["end"]] - totals[window, found["start"]]
    return found[COLUMNS].sort_values(["window", "start", "motif"], kind="stable", ignore_index=True)


def mark_active(sites, values, share):
    """Sites with a column `active`: whether they contribute more than nearly all stretches of their width beside sites.

    sites: of `call_sites`; values: as there; share: of the stretches without a base of any site that contribute as much as an
    active site, or more; where there is no such stretch, sites are active whose contribution is above 0
    """
    window, start, end = (sites[name].to_numpy(dtype=int) for name in ("window", "start", "end"))
    steps = np.zeros((values.shape[0], values.shape[2] + 1), dtype=int)
    np.add.at(steps, (window, start), 1)
    np.add.at(steps, (window, end), -1)
    totals, taken = (
        np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0)))
        for part in (values.sum(axis=1), np.cumsum(steps, axis=1)[:, :-1] > 0)
    )
    least = {}
    for width in set((end - start).tolist()):
        sums, covered = (part[:, width:] - part[:, : part.shape[1] - width] for part in (totals, taken))
        least[width] = np.quantile(sums[covered == 0], 1 - share) if (covered == 0).any() else 0
    limit = np.array([least[width] for width in (end - start).tolist()])
    return sites.assign(active=sites["contribution"].to_numpy(dtype=float) > limit)


def write_sites(sites, windows, path):
    """Write sites as BED6 for a genome browser, with two more columns: contribution (logit) and score (bits).

    windows: dict chrom, start of the explained windows. The fifth column is -100 log10(p), 1000 at most.
    """
    row = sites["window"].to_numpy(dtype=np.int64)
    start = np.asarray(windows["start"])[row]
    table = pd.DataFrame(
        {
            "chrom": np.asarray(windows["chrom"])[row],
            "start": start + sites["start"].to_numpy(dtype=np.int64),
            "end": start + sites["end"].to_numpy(dtype=np.int64),
            "name": sites["motif"].to_numpy(),
            "score": np.clip(-100 * np.log10(sites["p"].to_numpy(dtype=float)), 0, 1000).round().astype(int),
            "strand": sites["strand"].to_numpy(),
            "contribution": sites["contribution"].to_numpy(),
            "bits": sites["score"].to_numpy(),
        }
    )
    write_bed(table.drop_duplicates(["chrom", "start", "end", "name", "strand"]), path, [*BED6, "contribution", "bits"])
