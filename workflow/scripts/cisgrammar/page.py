"""What the parts of the report share: tables in, words and figures out."""

import base64
import io
import re
from urllib.parse import quote

import numpy as np
import pandas as pd

TEXT_COLUMNS = (*("cell_type", "tf", "model", "other", "negatives", "step", "split", "covariate"), *("phase", "chrom"))
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "cisgrammar",
}


def read_table(path, text=TEXT_COLUMNS, columns=None):
    """Read a TSV file; columns in `text` stay text (a TF may be called NA), all others are numbers.

    columns: the columns to read, all when None
    """
    wanted = None if columns is None else lambda name: name in columns
    table = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(text, str), keep_default_na=False, usecols=wanted)
    numbers = [name for name in table.columns if name not in text]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers})


def data_uri(content, kind):
    """Content of a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def as_svg(figure):
    """The figure as a data URI of an SVG without a date; an image of its own, so that ids cannot clash.

    Coordinates of paths are cut to hundredths of a point, which makes the file a third smaller.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    short = re.sub(rb' d="[^"]+"', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path[0]), buffer.getvalue())
    short = re.sub(rb"\s*\n\s*", b" ", short).decode()
    return "data:image/svg+xml," + quote(short, safe=" !$()*,/:;=?@[]^`{|}~")


def fixed(value, digits=3):
    """A number with `digits` decimals, 'n/a' for nan."""
    if np.isnan(value):
        return "n/a"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}").replace("inf", "∞")


def count(value):
    """A whole number with a comma at every thousand."""
    return f"{int(value):,}"


def set_name(negatives):
    """A set of negatives as the report calls it."""
    return {
        "matched": "matched windows without a peak",
        "accessible": "open regions without a peak",
        "motif": "sites of the JASPAR matrices without a peak",
        "other_peaks": "peaks of other TFs or cell types",
        "shuffled": "peaks with shuffled dinucleotides",
        "genome_wide": "all of the test chromosomes",
    }[negatives]


def split_name(split):
    """The split as the report calls it."""
    return {"train": "training", "all": "all splits"}.get(split, split)


def covariate_name(covariate):
    """The covariate as the report calls it."""
    names = {"gc": "GC", "cpg": "CpG", "tss": "distance to a TSS", "gc_step": "GC dinucleotides"}
    return names.get(covariate, covariate.upper() if len(covariate) == 2 else covariate)


def percent(share):
    """A share from 0 to 1 as percent with three significant digits."""
    return f"{100 * share:.3g}%"


def tiny(p):
    """A p or q value; 0 is written '≈ 0', as it is a value too small for its computation."""
    if np.isnan(p):
        return "n/a"
    return "≈ 0" if p == 0 else f"{p:.1e}" if p < 0.001 else f"{p:.3g}"


def table_text(table):
    """A data frame as lines of text with aligned columns; numbers have three digits, q as `tiny` writes it."""

    def word(name, value):
        if isinstance(value, str):
            return value or "-"
        return "-" if np.isnan(value) else tiny(value) if name == "q" else f"{value:.3g}"

    rows = [list(table.columns), *([word(*cell) for cell in row.items()] for row in table.to_dict("records"))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
