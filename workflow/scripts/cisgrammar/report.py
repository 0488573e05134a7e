"""The report: one HTML file that tells, experiment by experiment, what was learned and how well it holds."""

import logging
from pathlib import Path

import h5py
import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from tangermeme.plot import plot_logo

from cisgrammar.files import atomic, read_json
from cisgrammar.grammar_page import describe_gates, describe_pairs, draw_pair
from cisgrammar.log import InputError
from cisgrammar.page import STYLE, as_svg, data_uri, read_table
from cisgrammar.reads_page import describe_reads, draw_reads
from cisgrammar.splits import SPLITS
from cisgrammar.transfer_page import transfer_fragment

# Colours of Okabe and Ito (2008, Color Universal Design), never the only sign that tells models apart.
MODELS = {
    "cnn": {"name": "CNN", "color": "#0072B2", "marker": "o", "linestyle": "-"},
    "transfer": {"name": "Transfer", "color": "#D55E00", "marker": "D", "linestyle": (0, (5, 1.5))},
    "pwm": {"name": "PWM", "color": "#009E73", "marker": "s", "linestyle": (0, (4, 1.5, 1, 1.5))},
    "kmers": {"name": "k-mers", "color": "#CC79A7", "marker": "v", "linestyle": (0, (3, 1.2))},
    "covariates": {"name": "Covariates", "color": "#666666", "marker": "^", "linestyle": (0, (1, 1.2))},
}
BASELINES = ("pwm", "kmers", "covariates")
BASES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
MATCH_COLUMNS = ("motif", "jaspar_id", "jaspar_name", "strand", "own")
FEW_PEAKS, LARGEST_SMD, LARGEST_AUROC, LARGEST_Q = 30, 0.1, 0.6, 0.01
N_MOTIFS, N_PEAKS, LOGO_BP, ROWS_PER_FIGURE = 6, 2, 80, 40
TOLERANCE = 0.01


def write_report(experiments, folder, output, provenance, template, splits, measured):
    """Write the report as one HTML file that needs no network.

    experiments: list of (cell_type, tf); folder: the folder `results`; output: path of the HTML file
    provenance: dict with config (text), versions (dict from software to version) and seed
    template: path of the Jinja2 template; splits: path of splits.tsv
    measured: dict of quality, agreement and support to the experiments that have such a table; one that lies there of
    other settings, as when ready peaks took the place of reads, is not shown
    All numbers and figures come from the files of the workflow, and the same files give the same bytes. The
    page is written section by section, so that the figures of one experiment at a time are in memory.
    Raises InputError when summary.tsv has no row for an experiment, or does not agree with predictions.tsv.
    """
    folder, template = Path(folder), Path(template)
    summary = read_table(folder / "summary.tsv")
    entries = []
    for key in map(tuple, experiments):
        reads = describe_reads(folder / "peaks" / key[0] / key[1], {name for name in measured if key in measured[name]})
        entries.append(summarise(*key, folder, summary, reads))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        fixed=fixed,
        count=count,
        tiny=tiny,
        percent=percent,
        set_name=set_name,
        split_name=split_name,
        covariate_name=covariate_name,
    )
    content = {
        "entries": entries,
        "forests": [forest(entries[i : i + ROWS_PER_FIGURE]) for i in range(0, len(entries), ROWS_PER_FIGURE)],
        "sections": (section(entry, folder, provenance.get("sources", "related")) for entry in entries),
        "models": {key: model for key, model in MODELS.items() if any(key in entry["scores"] for entry in entries)},
        "provenance": provenance,
        "splits": chromosomes(splits),
        "limits": {"peaks": FEW_PEAKS, "smd": LARGEST_SMD, "auroc": LARGEST_AUROC, "q": LARGEST_Q, "motifs": N_MOTIFS},
    }
    with atomic(output) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(environment.get_template(template.name).generate(**content))


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


def chromosomes(path):
    """Chromosomes per split: list of dicts split, chromosomes (names), length_bp, share (of all)."""
    table = read_table(path)
    table = table[table["split"].isin(SPLITS)]
    return [
        {
            "split": split,
            "chromosomes": list(rows["chrom"]),
            "length_bp": int(rows["length_bp"].sum()),
            "share": rows["length_bp"].sum() / table["length_bp"].sum(),
        }
        for split in SPLITS
        for rows in [table[table["split"] == split]]
    ]


def read_motifs(path):
    """Motifs of matches.tsv, those with most sites first.

    Returns a list of dicts motif, n_sites, matches (rows as dicts, smallest p first).
    """
    table = read_table(path, MATCH_COLUMNS)
    found = [
        {
            "motif": motif,
            "n_sites": int(rows["n_sites"].iloc[0]),
            "matches": rows[rows["jaspar_id"] != ""].sort_values("p", kind="stable").to_dict("records"),
        }
        for motif, rows in table.groupby("motif", sort=False)
    ]
    return sorted(found, key=lambda motif: -motif["n_sites"])


def on_matched(path):
    """The rows of a table of the stage negatives that tell of the matched ones."""
    table = read_table(path)
    return table[table["negatives"] == "matched"]


def other_sets(rows):
    """The sets of negatives in the summary of an experiment beside the matched ones."""
    return [name for name in rows["negatives"].unique() if name != "matched"]


def scores_on(negatives, rows):
    """Dict of a model to its row of the summary on one set of negatives, in the order of MODELS."""
    found = {row["model"]: row for row in rows[rows["negatives"] == negatives].to_dict("records")}
    return {model: found[model] for model in MODELS if model in found}


def unbeaten_baselines(path):
    """The baselines that the CNN is not better than, by the paired bootstrap of comparisons.tsv.

    Returns a dict of a set of negatives to names of baselines, where there is any: those for which the interval of the
    difference of the AUPRC includes 0 or lies below it, or is not known.
    """
    table = read_table(path)
    table = table[(table["model"] == "cnn") & table["other"].isin(BASELINES) & ~(table["low"] > 0)]
    return {
        negatives: [MODELS[key]["name"] for key in BASELINES if key in set(rows["other"])]
        for negatives, rows in table.groupby("negatives", sort=False)
    }


def summarise(cell_type, tf, folder, summary, reads=None):
    """What the overview says of one experiment: peaks, scores, best match and flags, as a dict.

    reads: what `describe_reads` says of it, None for nothing
    Raises InputError when the summary lacks a model of the experiment.
    """
    place = Path(cell_type) / tf
    rows = summary[(summary["cell_type"] == cell_type) & (summary["tf"] == tf)]
    scores, *others = (scores_on(negatives, rows) for negatives in ("matched", *other_sets(rows)))
    lacking = [model for model in ("cnn", *BASELINES) if model not in scores]
    if lacking:
        raise InputError(
            f"{folder / 'summary.tsv'}: no row for {cell_type}, {tf}, {', '.join(lacking)}; "
            "delete the file and run again"
        )
    steps = read_table(folder / "peaks" / place / "counts.tsv")
    n_peaks = {row.step: row.n for row in steps.itertuples() if row.step in SPLITS}
    balance = on_matched(folder / "negatives" / place / "balance.tsv")
    motifs = read_motifs(folder / "motifs" / place / "matches.tsv")
    matches = sorted((m for motif in motifs for m in motif["matches"][:1]), key=lambda m: (m["q"], m["p"]))
    cnn = scores["cnn"]
    flags = []
    unbeaten = unbeaten_baselines(folder / "evaluation" / place / "comparisons.tsv")
    flags.extend(f"CNN not better than {name}" for name in unbeaten.get("matched", []))
    if cnn["n_pos"] < FEW_PEAKS:
        flags.append(f"fewer than {FEW_PEAKS} test peaks")
    for covariate, rows in balance[~(balance["smd_after"].abs() <= LARGEST_SMD)].groupby("covariate", sort=False):
        where = ", ".join(map(split_name, rows["split"]))
        flags.append(f"{covariate_name(covariate)} not balanced (|SMD| > {LARGEST_SMD:g}) in {where}")
    separable = on_matched(folder / "negatives" / place / "separability.tsv")
    told = separable[separable["auroc"] > LARGEST_AUROC]
    if len(told):
        flags.append(f"covariates tell negatives from peaks in {', '.join(map(split_name, told['split']))}")
    draws = read_table(folder / "negatives" / place / "draws.tsv")
    short = draws[(draws["negatives"] == "matched") & (draws["drawn"] < draws["wanted"])]
    flags.extend(f"{row.drawn} of {row.wanted} negatives in {split_name(row.split)}" for row in short.itertuples())
    flags.extend(reads["flags"] if reads else [])
    gates, failed = describe_gates(folder / "interpretation" / place)
    flags.extend(failed)
    if not motifs:
        flags.append("no motif found")
    elif not any(match["q"] < LARGEST_Q for match in matches):
        flags.append(f"no motif match at q < {LARGEST_Q:g}")
    return {
        "cell_type": cell_type,
        "tf": tf,
        "place": place,
        "anchor": f"{cell_type}.{tf}",
        "n_peaks": n_peaks,
        "scores": scores,
        "others": dict(zip(other_sets(rows), others, strict=True)),
        "unbeaten": unbeaten,
        "draws": draws.to_dict("records"),
        "n_pos": int(cnn["n_pos"]),
        "n_neg": int(cnn["n_neg"]),
        "prevalence": cnn["prevalence"],
        "match": matches[0] if matches else None,
        "flags": flags,
        "reads": reads,
        "gates": gates,
        "device": read_json(folder / "training" / place / "model.json")["device"],
    }


def section(entry, folder, sources):
    """What `summarise` says of an experiment, its tables as lists of dicts, its figures as data URIs.

    sources: of transfer, as in the configuration
    """
    place = entry["place"]
    logging.info("section of %s in %s", entry["tf"], entry["cell_type"])
    counts = read_table(folder / "peaks" / place / "counts.tsv").to_dict("records")
    balance = on_matched(folder / "negatives" / place / "balance.tsv")
    runs = [training_run("training", folder / "training" / place)]
    if "transfer" in entry["scores"]:
        runs.append(training_run("transfer", folder / "transfer" / place / f"from_{sources}"))
    motifs = read_motifs(folder / "motifs" / place / "matches.tsv")
    for motif in motifs[:N_MOTIFS]:
        logo = folder / "motifs" / place / "logos" / f"{motif['motif']}.png"
        motif["logo"] = data_uri(logo.read_bytes(), "image/png") if logo.exists() else None
    calibration = read_json(folder / "evaluation" / place / "calibration.json")
    known = {m["motif"]: m["matches"][0] for m in motifs if m["matches"] and m["matches"][0]["q"] < LARGEST_Q}
    names = {motif: f"{motif} ({match['jaspar_name']})" for motif, match in known.items()}
    pairs = describe_pairs(folder / "motifs" / place, names)
    drawn = next((pair for pair in pairs if pair["model"]), None)
    return dict(
        **entry,
        pairs=pairs,
        drawn_pair=drawn,
        pair_figure=draw_pair(folder / "motifs" / place, drawn["a"], drawn["b"]) if drawn else None,
        steps=[row for row in counts if row["step"] not in SPLITS],
        **draw_reads(folder / "peaks" / place, entry["reads"]),
        balance=balance.to_dict("records"),
        separability=on_matched(folder / "negatives" / place / "separability.tsv").to_dict("records"),
        learned={row["negatives"]: row["drawn"] for row in entry["draws"] if row["split"] == "train"},
        balance_figure=balance_plot(balance),
        curves=curves(entry, folder / "evaluation" / place / "predictions.tsv"),
        calibrated=[key for key in MODELS if key in calibration],
        reliability=reliability_plots(calibration),
        runs=runs,
        transfer=transfer_fragment(folder / "transfer" / place / f"from_{sources}"),
        motifs=motifs[:N_MOTIFS],
        n_motifs=len(motifs),
        contributions=contributions(folder / "interpretation" / place / "contributions.h5"),
    )


def training_run(stage, folder):
    """One network: dict stage, model (its JSON), kept (last row kept), n_epochs, from_start, phases, figure."""
    history = read_table(folder / "history.tsv")
    kept = history[history["kept"] == 1]
    if kept.empty:
        raise InputError(f"{folder / 'history.tsv'}: none of {len(history)} epochs is marked as kept; train again")
    return {
        "stage": stage,
        "model": read_json(folder / "model.json"),
        "kept": kept.iloc[-1].to_dict(),
        "n_epochs": int((history["epoch"] > 0).sum()),
        "from_start": bool((history["epoch"] == 0).any()),
        "phases": list(dict.fromkeys(history["phase"])),
        "figure": training_curves(history),
    }


@matplotlib.rc_context(STYLE)
def forest(entries):
    """AUPRC with 95% intervals of every model, one row per experiment; a black tick at the share of peaks."""
    figure = Figure(figsize=(8.2, 0.85 + 0.62 * len(entries)), layout="constrained")
    axes = figure.subplots()
    shifts = dict(zip(MODELS, np.linspace(-0.3, 0.3, len(MODELS)), strict=True))
    for row, entry in enumerate(entries):
        if row % 2 == 0:
            axes.axhspan(row - 0.5, row + 0.5, color="#f2f4f6", lw=0, zorder=0)
        prevalence = axes.plot([entry["prevalence"]] * 2, [row - 0.42, row + 0.42], color="black", lw=1.2, zorder=1)
        for key, score in entry["scores"].items():
            model, y = MODELS[key], row + shifts[key]
            axes.plot([score["auprc_low"], score["auprc_high"]], [y, y], color=model["color"], lw=1.6)
            axes.plot(score["auprc"], y, model["marker"], color=model["color"], ms=5)
    handles = [
        axes.plot([], [], color=model["color"], marker=model["marker"], ms=5, lw=1.6, label=model["name"])[0]
        for key, model in MODELS.items()
        if any(key in entry["scores"] for entry in entries)
    ]
    prevalence[0].set_label("share of peaks")
    axes.set_yticks(
        range(len(entries)), [f"{entry['tf']}, {entry['cell_type']}" for entry in entries], parse_math=False
    )
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(entries) - 0.5, -0.5), xlim=(0, 1.01), xlabel="AUPRC on the test windows, with 95% interval")
    axes.grid(axis="x", color="#d5d9dd", lw=0.6)
    axes.set_axisbelow(True)
    figure.legend(handles=[*handles, prevalence[0]], loc="outside upper center", ncols=len(handles) + 1)
    return as_svg(figure)


@matplotlib.rc_context(STYLE)
def curves(entry, path):
    """Precision-recall and ROC curves of every model, drawn from the test windows in predictions.tsv.

    The precision-recall curve is the staircase whose area is the average precision.
    Raises InputError when windows or scores differ from the summary's.
    """
    table = read_table(path, columns={"label", "negatives", *MODELS})
    table = table[(table["label"] == 1) | (table["negatives"] == "matched")]
    label = table["label"].to_numpy()
    n_pos, n_neg = int((label == 1).sum()), int((label == 0).sum())
    if (n_pos, n_neg) != (entry["n_pos"], entry["n_neg"]):
        raise InputError(
            f"{path}: {n_pos} peaks and {n_neg} negatives, but summary.tsv says {entry['n_pos']} and "
            f"{entry['n_neg']}; delete both and run again"
        )
    figure = Figure(figsize=(8.2, 4.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, score in entry["scores"].items():
        model = MODELS[key]
        if key not in table:
            raise InputError(f"{path}: no column {key}, which summary.tsv has; delete both and run again")
        for name, area in (("auprc", average_precision_score), ("auroc", roc_auc_score)):
            value = area(label, table[key])
            if not abs(value - score[name]) <= TOLERANCE:
                raise InputError(
                    f"{path}: {name} of {key} is {value:.4f}, but summary.tsv says {score[name]:.4f}; "
                    "delete both and run again"
                )
        line = {name: model[name] for name in ("color", "linestyle")}
        precision, recall, _ = precision_recall_curve(label, table[key])
        precision[-1] = precision[-2]
        left.plot(*thin(recall, precision), drawstyle="steps-post", lw=1.6, label=model["name"], **line)
        right.plot(*thin(*roc_curve(label, table[key])[:2]), lw=1.6, **line)
    chance = {"color": "black", "lw": 0.9, "zorder": 1}
    left.axhline(entry["prevalence"], label="random ranking", **chance)
    right.plot([0, 1], [0, 1], **chance)
    left.set(title="Precision-recall", xlabel="recall (share of test peaks found)", ylabel="precision")
    right.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate (recall)")
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.grid(color="#e4e7ea", lw=0.6)
    figure.legend(loc="outside upper center", ncols=len(entry["scores"]) + 1)
    return as_svg(figure)


@matplotlib.rc_context(STYLE)
def reliability_plots(calibration):
    """Observed by predicted share of bound windows, a panel per model, before and after the temperature.

    calibration: content of calibration.json. Circles have the size of the square root of their number of windows.
    """
    shown = [key for key in MODELS if key in calibration]
    figure = Figure(figsize=(8.2, 2.75), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for key, axes in zip(shown, panels, strict=True):
        model, title = calibration[key], f"{MODELS[key]['name']} (T = {calibration[key]['temperature']:.2f})"
        axes.plot([0, 1], [0, 1], color="black", lw=0.9, zorder=1)
        for when, name, color, marker in (("before", "as trained", "#888888", "o"), ("after", "scaled", None, "D")):
            bins = {column: np.array([one[column] for one in model[when]]) for column in ("n", "predicted", "observed")}
            color, size = color or MODELS[key]["color"], 12 + 60 * np.sqrt(bins["n"] / bins["n"].sum())
            axes.plot(bins["predicted"], bins["observed"], color=color, lw=1, zorder=2)
            sign = {"marker": marker, "c": "white" if when == "before" else color, "edgecolors": color, "label": name}
            axes.scatter(bins["predicted"], bins["observed"], size, zorder=3, **sign)
        axes.set(title=title, xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal", xlabel="predicted share")
        axes.grid(color="#e4e7ea", lw=0.6)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("observed share of peaks")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return as_svg(figure)


def thin(x, y):
    """Ends of a curve in the unit square, and its points that enter or leave a cell of 1/400 (a pixel)."""
    cell = np.rint(np.stack([x, y]) * 400)
    moved = np.any(cell[:, 1:] != cell[:, :-1], axis=0)
    kept = np.r_[True, moved[:-1] | moved[1:], True] if len(x) > 2 else np.full(len(x), True)
    return x[kept], y[kept]


@matplotlib.rc_context(STYLE)
def training_curves(history):
    """Loss and validation AUPRC by epoch, phases side by side; a line at the epoch each phase kept."""
    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    first, ticks, epochs = 0, [], []
    for number, (_phase, rows) in enumerate(history.groupby("phase", sort=False)):
        epoch, step = rows["epoch"].to_numpy(), max(1, round(len(history) / 8))
        x = first + epoch - epoch[0]
        for axes, column, name, color, line in (
            (left, "train_loss", "training", "#D55E00", "s--"),
            (left, "validation_loss", "validation", "#0072B2", "o-"),
            (right, "validation_auprc", "validation", "#0072B2", "o-"),
        ):
            label = None if number else name
            axes.plot(x, rows[column], line, color=color, lw=1.5, ms=3, label=label)
        for axes in (left, right):
            for at in x[rows["kept"] == 1]:
                axes.axvline(at, color="black", lw=1, zorder=1, label=None if number else "kept")
            if number:
                axes.axvline(first - 1, color="#888888", lw=1, ls=":", zorder=1)
        ticks += list(x[::step])
        epochs += list(epoch[::step])
        first = x[-1] + 2
    phases = history["phase"].unique()
    left.set(title="Loss")
    right.set(title="AUPRC on the validation windows")
    for axes in (left, right):
        axes.set_xticks(ticks, epochs)
        axes.set_xlabel("epoch" if len(phases) == 1 else f"epoch of phase {', then of '.join(phases)}")
        axes.grid(axis="y", color="#e4e7ea", lw=0.6)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return as_svg(figure)


@matplotlib.rc_context(STYLE)
def balance_plot(balance):
    """Standardised mean differences from the peaks, of all candidates and of the negatives: a Love plot (Love 2002)."""
    covariates, splits = balance["covariate"].unique(), [s for s in SPLITS if s in set(balance["split"])]
    figure = Figure(figsize=(7.4, 1.0 + 0.24 * len(covariates)), layout="constrained")
    panels = figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        table = balance[balance["split"] == split].set_index("covariate").reindex(covariates)
        rows = np.arange(len(covariates))
        axes.axvspan(-LARGEST_SMD, LARGEST_SMD, color="#e4e7ea", lw=0)
        sign = {"ls": "", "clip_on": False}
        axes.plot(table["smd_before"], rows, label="all candidates", marker="^", color="#666666", ms=5, **sign)
        axes.plot(table["smd_after"], rows, label="negatives", marker="o", color="#D55E00", ms=5, **sign)
        axes.set_yticks(rows, map(covariate_name, covariates), parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.set(title=split_name(split), ylim=(len(rows) - 0.5, -0.5))
        axes.grid(color="#e4e7ea", lw=0.6)
        axes.set_axisbelow(True)
    figure.supxlabel("difference of the means, peaks less others (standard deviations)", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return as_svg(figure)


def contributions(path):
    """The test peaks that the network scores highest, with the contributions of their bases.

    path: contributions.h5; only the rows that are drawn are read from it
    Returns a list of dicts chrom, start, end (of the window), from_bp, to_bp (drawn), score, figure. The
    `LOGO_BP` bases drawn lie around the base with the largest contribution; all figures have the same scale.
    """
    drawn = []
    with h5py.File(path) as file:
        score = file["score"][:]
        for row in map(int, np.argsort(-score, kind="stable")[:N_PEAKS]):
            values = file["contributions"][row]
            chrom = file["chrom"][row]
            first = int(values.sum(axis=0).argmax()) - LOGO_BP // 2
            first = max(0, min(first, values.shape[1] - LOGO_BP))
            values = values[:, first : first + LOGO_BP]
            start = int(file["start"][row])
            drawn.append(
                {
                    "chrom": chrom.decode() if isinstance(chrom, bytes) else str(chrom),
                    "start": start,
                    "end": int(file["end"][row]),
                    "from_bp": start + first,
                    "to_bp": start + first + values.shape[1],
                    "score": float(score[row]),
                    "values": values,
                }
            )
    if not drawn:
        return []
    low = min(0, *(peak["values"].min() for peak in drawn), 0)
    high = max(peak["values"].max() for peak in drawn)
    for peak in drawn:
        peak["figure"] = contribution_logo(peak.pop("values"), peak["from_bp"], (1.05 * low, 1.05 * high))
    return drawn


@matplotlib.rc_context(STYLE)
def contribution_logo(values, start, limits):
    """Contributions as letters.

    values: float array (4, bases); start: position of the first base; limits: of the y axis
    """
    figure = Figure(figsize=(8.6, 1.75), layout="constrained")
    axes = figure.subplots()
    plot_logo(values, ax=axes, color=BASES, ylim=limits)
    axes.axhline(0, color="#555555", lw=0.6)
    ticks = np.arange(-(-start // 20) * 20, start + values.shape[1], 20)
    axes.set_xticks(ticks - start + 0.5, [f"{tick:,}" for tick in ticks])
    axes.set(xlabel="position (bp, counted from 0)", ylabel="contribution\n(logit)")
    return as_svg(figure)
