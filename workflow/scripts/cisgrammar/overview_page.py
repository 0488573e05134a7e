"""The report's overview of all experiments: their table, the heat map, and what to doubt."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from cisgrammar.page import set_name

# What a flag means for the reader, by its kind, which is also what stands in the narrow column of the overview.
ADVICE = {
    "few peaks": "With so few test peaks every score is a rough guess; look at the intervals, not at the numbers.",
    "not better": "What the network adds to the baseline may be chance; what it adds to known motifs is not shown.",
    "unbalanced": "The network may have learned the difference in composition instead of sites; see the balance below, "
    "add the covariate to negatives.covariates, lower negatives.ratio or look at other negatives.",
    "calibration": "Take the scores as ranks, or divide their logits by the temperature in calibration.json.",
    "reads": "The experiment itself is weak: peaks may be missing or false, and no model can mend that.",
    "gate": "Contributions are not faithful to the network: do not interpret logos and motifs of this model.",
    "no motif": "What the network looks at is no known motif; it may be composition, or a factor without a matrix.",
}


def overview(entries):
    """The table of the overview as a data frame, one row per experiment; `snakemake summary` shows it, too."""
    rows = []
    for entry in entries:
        cnn, match = entry["scores"]["cnn"], entry["match"] or {}
        transfer = entry["scores"].get("transfer", {})
        rows.append(
            {
                **{name: entry[name] for name in ("cell_type", "tf")},
                "test_peaks": entry["n_pos"],
                **{name: cnn[name] for name in ("auprc", "auprc_low", "auprc_high")},
                "over_share": entry["lift"],
                "transfer": transfer.get("auprc"),
                "baseline": entry["best_baseline"],
                "baseline_auprc": entry["scores"][entry["best_baseline"]]["auprc"],
                **{name: match.get(name) for name in ("jaspar_name", "jaspar_id", "q")},
                "take_care": "; ".join(text for _, text in entry["flags"]),
            }
        )
    return pd.DataFrame(rows)


def heat_map(entries):
    """AUPRC over the share of peaks by TF (rows) and cell type (columns).

    Returns a dict: cell_types, rows (list of dicts tf, cells: one per cell type, None or a dict lift, anchor, color, ink).
    The colour is that of log(AUPRC / share) / log(1 / share): 0 is a random ranking, 1 a perfect one. Cividis (Nuñez et al.
    2018, PLoS ONE 13:e0199239) looks alike to readers with and without colour blindness.
    """
    cell_types = list(dict.fromkeys(entry["cell_type"] for entry in entries))
    found = {(entry["tf"], entry["cell_type"]): entry for entry in entries}

    def cell(entry):
        if entry is None:
            return None
        strength = np.log(max(entry["lift"], 1)) / max(np.log(1 / entry["prevalence"]), 1e-9)
        strength = min(1.0, float(np.nan_to_num(strength)))
        color = {"color": to_hex(colormaps["cividis"](strength)), "ink": "#000000" if strength > 0.5 else "#ffffff"}
        return {name: entry[name] for name in ("lift", "anchor")} | color

    return {
        "cell_types": cell_types,
        "rows": [
            {"tf": tf, "cells": [cell(found.get((tf, cell_type))) for cell_type in cell_types]}
            for tf in dict.fromkeys(entry["tf"] for entry in entries)
        ],
    }


def doubts(entry):
    """What to doubt of one experiment: list of (flags of a kind, what they mean), for the harder negatives, too."""
    found = [
        ("; ".join(text for kind, text in entry["flags"] if kind == wanted), words)
        for wanted, words in ADVICE.items()
        if any(kind == wanted for kind, _ in entry["flags"])
    ]
    for negatives, baselines in entry["unbeaten"].items():
        if negatives != "matched":
            found.append(
                (
                    f"On {set_name(negatives)} the CNN is not better than {' and '.join(baselines)}",
                    "What it learned beyond them does not help there.",
                )
            )
    return found
