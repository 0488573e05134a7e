"""What the parts of the report share: tables in, figures out."""

import base64
import io
import re

import pandas as pd

TEXT_COLUMNS = (*("cell_type", "tf", "model", "other", "negatives", "step", "split", "covariate"), *("phase", "chrom"))
STYLE = {
    "font.family": "DejaVu Sans",
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
    "svg.fonttype": "path",
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
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def as_svg(figure):
    """The figure as a data URI of an SVG without a date; an image of its own, so that ids cannot clash.

    Coordinates of paths are cut to hundredths of a point, which makes the file a third smaller.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    short = re.sub(rb' d="[^"]+"', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path[0]), buffer.getvalue())
    return data_uri(re.sub(rb"\s*\n\s*", b"\n", short), "image/svg+xml")
