"""The report on reads and replicates of one experiment: tables, flags and figures."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from cisgrammar.page import STYLE, as_svg, read_table
from cisgrammar.scores_page import line, panels, upright

QUALITY_COLUMNS = ("role", "replicate", "format", "paired", "flags")
MOST_FILES = 4  # whose cross-correlation is drawn
N_POINTS = 150  # of a curve of it
CELLS = 80  # of a figure of two replicates, along each axis; one point is drawn per cell


def describe_reads(folder, measured):
    """What the tables of one experiment say of its reads and replicates.

    folder: results/peaks/<cell_type>/<tf>; measured: which of quality, agreement and support it has
    Returns a dict: quality (rows of quality.tsv, one per file of reads), pairs (rows of agreement.tsv, one per pair of
    replicates), supported (list: number of windows that 0, 1, ... replicates support), flags (list). Lists are empty
    where the table is not among `measured`.
    """
    quality = read_table(folder / "quality.tsv", QUALITY_COLUMNS).to_dict("records") if "quality" in measured else []
    pairs = read_table(folder / "agreement.tsv", ("a", "b")).to_dict("records") if "agreement" in measured else []
    supported = []
    if "support" in measured:
        seen = read_table(folder / "support.tsv", ("chrom",)).drop(columns=["chrom", "start", "end"])
        supported = np.bincount(seen.sum(axis=1), minlength=seen.shape[1] + 1).tolist()
    # The standard for the number of fragments is that for the human genome, so it stands in the table alone.
    remarks = {r for row in quality if row["role"] == "treatment" for r in row["flags"].split("; ") if r}
    flags = [f"reads: {remark}" for remark in sorted(remarks) if not remark.startswith("usable fragments")]
    if pairs and not any(row["n_passing"] for row in pairs):
        flags.append(f"replicates do not agree: no peak with IDR \N{LESS-THAN OR EQUAL TO} {pairs[0]['threshold']:g}")
    return {"quality": quality, "pairs": pairs, "supported": supported, "flags": flags}


def draw_reads(folder, reads):
    """Figures for what `describe_reads` says: a dict correlation_figure, replicates_figure, each None where there is none,
    and best_pair, the row of the pair that is drawn."""
    drawn = {"correlation_figure": None, "replicates_figure": None, "best_pair": None}
    if reads and reads["quality"]:
        table = read_table(
            folder / "correlation.tsv",
            ("role", "replicate", "format"),
            {*("role", "replicate"), *("shift", "smoothed")},
        )
        drawn["correlation_figure"] = cross_correlations(table, reads["quality"][:MOST_FILES])
    shared = [row for row in reads["pairs"] if not np.isnan(row["gain"])] if reads else []
    if shared:
        best = max(shared, key=lambda row: row["n_passing"])
        columns = [f"score_{best['a']}", f"score_{best['b']}", "idr"]
        peaks = read_table(folder / "replicates.tsv", ("chrom",), set(columns))[columns]
        drawn |= {"best_pair": best, "replicates_figure": two_replicates(peaks.to_numpy(), best)}
    return drawn


def cross_correlations(table, quality):
    """Strand cross-correlation of each file by the shift, with lines at the read length and the fragment length.

    table: data frame of correlation.tsv; quality: rows of quality.tsv of the files to draw
    Returns a figure for plotly.js.
    """
    data, shapes = [], []
    for panel, row in enumerate(quality, 1):
        curve = table[(table["role"] == row["role"]) & (table["replicate"] == row["replicate"])]
        curve = curve.iloc[:: max(1, len(curve) // N_POINTS)]
        data.append(line(curve["shift"], curve["smoothed"], "correlation", "#0072B2", panel=panel, showlegend=False))
        for name, dash, color in (("fragment_bp", "solid", "#D55E00"), ("read_bp", "dot", "#222222")):
            if not np.isnan(row[name]):
                number = panel if panel > 1 else ""
                shapes.append(upright(row[name], number, {"color": color, "width": 1, "dash": dash}))
    titles = [f"{row['role']} {row['replicate']}" for row in quality]
    layout = panels(titles, "shift (bp)", ["correlation", *[""] * (len(quality) - 1)], gap=0.07)
    return {"data": data, "layout": layout | {"shapes": shapes, "height": 240}, "n_panels": len(quality)}


@matplotlib.rc_context(STYLE)
def two_replicates(peaks, pair):
    """Scores of peaks in two replicates against each other, and how many peaks pass by the limit of the IDR.

    peaks: float array (peaks, 3): both scores and the idr, nan where a replicate lacks the peak; pair: row of agreement.tsv
    """
    peaks = peaks[~np.isnan(peaks).any(axis=1)] if pair["n_passing"] else peaks[~np.isnan(peaks[:, :2]).any(axis=1)]
    passing = peaks[:, 2] <= pair["threshold"]
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    logarithmic = (peaks[:, :2] > 0).all()
    places = np.log10(peaks[:, :2]) if logarithmic else peaks[:, :2]
    span = np.maximum(np.ptp(places, axis=0), 1e-12)
    cells = np.rint((places - places.min(axis=0)) / span * CELLS)
    for chosen, color, marker, name in (
        (~passing, "#777777", "x", f"IDR > {pair['threshold']:g}"),
        (passing, "#0072B2", ".", f"IDR \N{LESS-THAN OR EQUAL TO} {pair['threshold']:g}"),
    ):
        _, first = np.unique(cells[chosen], axis=0, return_index=True)
        x, y = peaks[chosen][first, :2].T
        left.plot(x, y, ls="", marker=marker, ms=3, mew=0.7, color=color, rasterized=True)
        left.plot([], [], ls="", marker=marker, ms=6, color=color, label=f"{name} ({chosen.sum():,})")
    if logarithmic:
        left.set(xscale="log", yscale="log")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span.max() < 2 else (1,)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
    left.set_xlabel(f"score in replicate {pair['a']}", parse_math=False)
    left.set_ylabel(f"score in replicate {pair['b']}", parse_math=False)
    left.set_title("Scores")
    left.legend(fontsize=8, loc="upper left")
    if pair["n_passing"]:
        idr = np.sort(peaks[:, 2])
        kept = np.unique(np.r_[np.linspace(0, len(idr) - 1, 400).astype(int), passing.sum() - 1])
        right.plot(kept + 1, idr[kept], color="#0072B2", lw=1.6)
        right.axvline(passing.sum(), color="black", lw=0.9, ls=":")
    right.axhline(pair["threshold"], color="black", lw=0.9)
    right.set(title="Irreproducible discovery rate", xlabel="peaks, most reproducible first", ylabel="IDR")
    right.set_ylim(bottom=0)
    return as_svg(figure)
