"""The report on transfer of one experiment: where its start came from, what was delivered, and the learning curve."""

import matplotlib
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cisgrammar.curves import describe_curve
from cisgrammar.files import read_json
from cisgrammar.page import STYLE, as_svg, read_table

# Okabe and Ito's colours, those of the models in the report.
LOOKS = {
    "scratch": ("from scratch", "#0072B2", "o"),
    "transfer": ("transfer", "#D55E00", "D"),
    "delivered": ("delivered", "#009E73", "s"),
}
DELIVERED = {
    "transfer": "the transferred network",
    "scratch": "the network trained from scratch",
    "both": "the mean of the two networks",
}
N_SOURCES = 6
FRAGMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<p class="note">Transfer delivers {{ delivered }}; AUPRC on the validation windows:
{% for name, value in auprc.items() %}{{ name }} {{ "%.3f"|format(value) }}{{ ", " if not loop.last }}{% endfor %}.
{% if flag %}<b>{{ flag[0]|upper }}{{ flag[1:] }}.</b>{% endif %}
{% if sources %}How well networks of other experiments tell these peaks (AUPRC on the training windows):
{% for row in sources %}{{ row.source }} {{ "%.3f"|format(row.train_auprc) }}{{ " (taken)" if row.weight == row.weight }}
{{- ", " if not loop.last }}{% endfor %}.{% endif %}
{% if forgotten %}The source that forgot most, {{ forgotten.task }}, went from {{ "%.3f"|format(forgotten.before) }} to
{{ "%.3f"|format(forgotten.after) }} on its own validation windows.{% endif %}</p>
{% if curve %}<figure><img src="{{ figure }}" alt="{{ curve }}"><figcaption>{{ curve }}</figcaption></figure>{% endif %}
""")


def describe_transfer(folder):
    """What the report says on the transfer model of one experiment, or None where there is none.

    folder: results/transfer/<cell_type>/<tf>/from_<sources>
    Returns a dict: sources, rows of sources.tsv as dicts, relatives first (the six best); delivered, in words; auprc, dict of
    a candidate to its validation AUPRC; flag, a sentence where transfer made it worse, or None; forgotten, the source that
    lost most of its own AUPRC as a dict source, task, before, after, or None; curve, a sentence, and figure, a data URI,
    both None where no curve was measured.
    """
    if not (folder / "sources.tsv").exists():
        return None
    model, rows = read_json(folder / "model.json"), read_table(folder / "sources.tsv", ("source",))
    auprc, flag = model["delivered_from"], None
    if "transfer" not in auprc:
        flag = "no other experiment's network tells these peaks, so nothing was transferred"
    elif auprc["transfer"] < auprc["scratch"]:
        flag = (
            f"transfer made the network worse on the validation windows (AUPRC {auprc['transfer']:.3f}, from scratch "
            f"{auprc['scratch']:.3f})"
        )
    lost = [task for task in model["source_tasks"] if None not in (task["before"], task["after"])]
    rows = rows[rows["train_auprc"].notna()]
    found = {
        "sources": rows.sort_values("weight", ascending=False, kind="stable").head(N_SOURCES).to_dict("records"),
        "delivered": DELIVERED[model["delivered"]],
        "auprc": auprc,
        "flag": flag,
        "forgotten": min(lost, key=lambda task: task["after"] - task["before"], default=None),
        "curve": None,
        "figure": None,
    }
    if (folder / "curve_summary.tsv").exists():
        summary = read_table(folder / "curve_summary.tsv")
        matched = summary[summary["negatives"] == summary["negatives"].iloc[0]]
        found |= {"curve": describe_curve(matched), "figure": as_svg(draw_curve(matched))}
    return found


def transfer_fragment(folder):
    """The HTML of `describe_transfer`, markupsafe text, empty where there is no transfer model."""
    found = describe_transfer(folder)
    return Markup(FRAGMENT.render(found)) if found else Markup("")


@matplotlib.rc_context(STYLE)
def draw_curve(summary):
    """AUPRC by number of peaks with 95% intervals, a panel per set of negatives; summary: of `curves.summarize`."""
    sets = list(dict.fromkeys(summary["negatives"]))
    figure = Figure(figsize=(4.2 * len(sets), 3.0), layout="constrained")
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, negatives in zip(panels, sets, strict=True):
        part = summary[summary["negatives"] == negatives]
        for model, (words, color, marker) in LOOKS.items():
            rows = part[part["model"] == model].sort_values("n_peaks")
            axes.plot(rows["n_peaks"], rows["auprc"], color=color, marker=marker, ms=4, lw=1.4, label=words)
            axes.fill_between(rows["n_peaks"], rows["low"], rows["high"], color=color, alpha=0.15, lw=0)
        sizes = sorted(part["n_peaks"].unique())
        axes.set(xscale="log", xlabel="training and validation peaks", title=f"Negatives: {negatives}")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y", color="#e4e7ea", lw=0.6)
    panels[0].set_ylabel("AUPRC on test chromosomes")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
