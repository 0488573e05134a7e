"""The report on scores, calibration, training and balance of one experiment: figures that plotly.js draws in the browser.

A figure is a dict of `data` and `layout` as plotly.js takes them, of plain numbers; the page holds it as JSON. Names from
outside are escaped, since plotly.js reads some tags.
"""

from html import escape

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cisgrammar.log import InputError
from cisgrammar.metrics import Ranking, draw_blocks, interval, place_blocks
from cisgrammar.page import covariate_name, read_table, split_name
from cisgrammar.splits import SPLITS

# Colours of Okabe and Ito (2008, Color Universal Design), never the only sign that tells models apart.
MODELS = {
    "cnn": {"name": "CNN", "color": "#0072B2", "dash": "solid"},
    "transfer": {"name": "Transfer", "color": "#D55E00", "dash": "dash"},
    "pwm": {"name": "PWM", "color": "#009E73", "dash": "dashdot"},
    "kmers": {"name": "k-mers", "color": "#CC79A7", "dash": "longdash"},
    "covariates": {"name": "Covariates", "color": "#666666", "dash": "dot"},
}
CHANCE = {"color": "#000000", "width": 1}
TOLERANCE = 0.01
N_SAMPLES = 200
BIN = ("n", "predicted", "observed")
GRID = np.linspace(0.02, 1, 50)


def numbers(values):
    """Plain numbers with four digits, None for nan and infinity."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in np.asarray(values, dtype=float)]


def line(x, y, name, color, dash="solid", panel=1, **more):
    """A line in one of the panels of a figure; lines of one name share an entry of the legend."""
    axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"} if panel > 1 else {}
    style = {"color": color, "dash": dash, "width": 2}
    trace = {"x": numbers(x), "y": numbers(y), "name": name, "mode": "lines", "line": style, "legendgroup": name}
    return trace | {"showlegend": panel == 1} | axes | more


def between(x, low, high, name, color, panel):
    """The area between two lines, an interval, in the colour of its line and hidden with it."""
    outline = line(np.r_[x, x[::-1]], np.r_[low, high[::-1]], name, color, panel=panel, hoverinfo="skip")
    return outline | {"fill": "toself", "fillcolor": f"{color}33", "line": {"width": 0}, "showlegend": False}


def panels(titles, x_title, y_titles, gap=0.08, **more):
    """Layout of panels side by side. x_title: of all of them; y_titles: one for each; more: settings of all axes."""
    width = (1 - gap * (len(titles) - 1)) / len(titles)
    layout = {"annotations": []}
    for i, (title, y_title) in enumerate(zip(titles, y_titles, strict=True)):
        number, left = str(i + 1) if i else "", i * (width + gap)
        x_words = x_title[i] if isinstance(x_title, list) else x_title
        layout[f"xaxis{number}"] = {"domain": [left, left + width], "title": {"text": x_words}} | more
        layout[f"yaxis{number}"] = {"anchor": f"x{number}", "title": {"text": y_title}} | more
        place = {"x": left, "y": 1.02, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        layout["annotations"].append({"text": f"<b>{escape(title)}</b>", "showarrow": False} | place)
    return layout


def curves(entry, path, block_bp):
    """Precision-recall and ROC curves of every model on the test windows, with a 95% band for the CNN.

    entry: what the report knows of the experiment; path: predictions.tsv; block_bp: of the bootstrap
    The precision-recall curve is the staircase whose area is the average precision.
    Raises InputError when windows or scores differ from the summary's.
    """
    table = read_table(path, columns={"chrom", "start", "label", "negatives", *MODELS})
    table = table[(table["label"] == 1) | (table["negatives"] == "matched")]
    label = table["label"].to_numpy()
    n_pos, n_neg = int((label == 1).sum()), int((label == 0).sum())
    if (n_pos, n_neg) != (entry["n_pos"], entry["n_neg"]):
        raise InputError(
            f"{path}: {n_pos} peaks and {n_neg} negatives, but summary.tsv says {entry['n_pos']} and "
            f"{entry['n_neg']}; delete both and run again"
        )
    data = []
    for key, score in entry["scores"].items():
        if key not in table:
            raise InputError(f"{path}: no column {key}, which summary.tsv has; delete both and run again")
        for name, area in (("auprc", average_precision_score), ("auroc", roc_auc_score)):
            value = area(label, table[key])
            if not abs(value - score[name]) <= TOLERANCE:
                raise InputError(
                    f"{path}: {name} of {key} is {value:.4f}, but summary.tsv says {score[name]:.4f}; "
                    "delete both and run again"
                )
        precision, recall, _ = precision_recall_curve(label, table[key])
        precision[-1] = precision[-2]
        x, y = thin(recall[::-1], precision[::-1])
        stairs = line(x, y, **MODELS[key])
        stairs["line"]["shape"] = "vh"
        data += [stairs, line(*thin(*roc_curve(label, table[key])[:2]), **MODELS[key], panel=2)]
    block, n_blocks = place_blocks(table["chrom"], table["start"], block_bp)
    for panel, (low, high) in enumerate(bands(label, table["cnn"].to_numpy(), block, n_blocks), 1):
        data.append(between(GRID, low, high, "CNN", "#0072B2", panel))
    data.append(line([0, 1], [entry["prevalence"]] * 2, "Random ranking", "#000000") | {"line": CHANCE})
    data.append(line([0, 1], [0, 1], "Random ranking", "#000000", panel=2) | {"line": CHANCE})
    titles = ["recall (share of test peaks found)", "false positive rate"]
    names = ["precision", "true positive rate (recall)"]
    return {"data": data, "layout": panels(["Precision-recall", "ROC"], titles, names, 0.12, range=[-0.01, 1.02])}


def bands(label, scores, block, n_blocks):
    """95% bands over bootstrap samples of blocks: of the precision at the recalls in GRID, and of the recall at the
    false positive rates in GRID. Returns two float arrays (2, GRID), lower and upper end, nan without a sample."""
    ranked, found = Ranking(label, scores, block, n_blocks), [np.zeros((0, 2, len(GRID)))]
    for weights in draw_blocks(label, block, n_blocks, N_SAMPLES, np.random.default_rng(0), 20):
        hits, false = (np.cumsum(weights @ counts, axis=1) for counts in ranked.counts)
        for hit, wrong in zip(hits, false, strict=True):
            first = np.searchsorted(hit, GRID * hit[-1] - 1e-9)
            found.append([[hit[first] / (hit + wrong)[first], np.interp(GRID, wrong / wrong[-1], hit / hit[-1])]])
    return interval(np.concatenate(found)).swapaxes(0, 1)


def thin(x, y):
    """Ends of a curve in the unit square, and its points that enter or leave a cell of 1/100, to three decimals."""
    cell = np.rint(np.stack([x, y]) * 100)
    moved = np.any(cell[:, 1:] != cell[:, :-1], axis=0)
    kept = np.r_[True, moved[:-1] | moved[1:], True] if len(x) > 2 else np.full(len(x), True)
    return np.round(x[kept], 3), np.round(y[kept], 3)


def reliability(calibration):
    """Observed by predicted share of bound windows, a panel per model, before and after the temperature.

    calibration: content of calibration.json. Circles have the size of the square root of their number of windows.
    """
    shown = [key for key in MODELS if key in calibration]
    data = []
    for panel, key in enumerate(shown, 1):
        data.append(line([0, 1], [0, 1], "means what it says", "#000000", panel=panel) | {"line": CHANCE})
        for when, name, color, sign in (
            ("before", "as trained", "#777777", "circle-open"),
            ("after", "scaled", "#0072B2", "diamond"),
        ):
            bins = {column: np.array([one[column] for one in calibration[key][when]]) for column in BIN}
            size = 6 + 12 * np.sqrt(bins["n"] / bins["n"].sum())
            more = {"mode": "lines+markers", "marker": {"symbol": sign, "size": numbers(size)}}
            words = [f"{int(n):,} windows" for n in bins["n"]]
            data.append(line(bins["predicted"], bins["observed"], name, color, panel=panel, text=words, **more))
    titles = [f"{MODELS[key]['name']}, T = {calibration[key]['temperature']:.2f}" for key in shown]
    names = ["observed share of peaks", *[""] * (len(shown) - 1)]
    return {"data": data, "layout": panels(titles, "predicted share", names, range=[-0.04, 1.04])}


def training(history):
    """Loss and validation AUPRC by epoch, phases one after the other; a line at the epoch that each phase kept."""
    data, shapes, first, ticks, words = [], [], 0, [], []
    for number, (_, rows) in enumerate(history.groupby("phase", sort=False)):
        epoch, step = rows["epoch"].to_numpy(), max(1, round(len(history) / 8))
        x = first + epoch - epoch[0]
        for panel, column, name, color, dash in (
            (1, "train_loss", "training", "#D55E00", "dash"),
            (1, "validation_loss", "validation", "#0072B2", "solid"),
            (2, "validation_auprc", "validation", "#0072B2", "solid"),
        ):
            more = {"mode": "lines+markers", "text": [f"epoch {n}" for n in epoch], "hoverinfo": "y+text+name"}
            shown = panel == 1 and not number
            data.append(line(x, rows[column], name, color, dash, panel, **more) | {"showlegend": shown})
        for at in x[rows["kept"] == 1]:
            shapes += [upright(at, panel, CHANCE) for panel in ("", "2")]
        if number:
            shapes += [
                upright(first - 1, panel, {"color": "#888888", "width": 1, "dash": "dot"}) for panel in ("", "2")
            ]
        ticks += list(map(int, x[::step]))
        words += list(map(str, epoch[::step]))
        first = x[-1] + 2
    phases = list(history["phase"].unique())
    title = "epoch" if len(phases) == 1 else f"epoch of phase {', then of '.join(phases)}"
    layout = panels(["Loss", "AUPRC on the validation windows"], title, ["", ""])
    for axis in ("xaxis", "xaxis2"):
        layout[axis] |= {"tickvals": ticks, "ticktext": words}
    return {"data": data, "layout": layout | {"shapes": shapes}}


def upright(x, panel, style):
    """A line over the whole height of a panel."""
    place = {"xref": f"x{panel}", "yref": f"y{panel} domain", "x0": float(x), "x1": float(x), "y0": 0, "y1": 1}
    return {"type": "line", "line": style, **place}


def balance(table, largest):
    """Standardised mean differences from the peaks, of all candidates and of the negatives: a Love plot (Love 2002).

    table: rows of balance.tsv; largest: the difference up to which a covariate counts as balanced
    """
    splits, covariates = [s for s in SPLITS if s in set(table["split"])], list(table["covariate"].unique())
    data, shapes = [], []
    for panel, split in enumerate(splits, 1):
        rows = table[table["split"] == split].set_index("covariate").reindex(covariates)
        for column, name, color, sign in (
            ("smd_before", "all candidates", "#666666", "triangle-up"),
            ("smd_after", "negatives", "#D55E00", "circle"),
        ):
            more = {"mode": "markers", "marker": {"symbol": sign, "size": 9, "color": color}}
            trace = line(rows[column], np.zeros(len(rows)), name, color, panel=panel, **more)
            data.append(trace | {"y": [escape(covariate_name(covariate)) for covariate in covariates]})
        number = str(panel) if panel > 1 else ""
        band = {"x0": -largest, "x1": largest, "y0": 0, "y1": 1, "fillcolor": "#e4e7ea", "line": {"width": 0}}
        shapes.append({"type": "rect", "layer": "below", "xref": f"x{number}", "yref": f"y{number} domain", **band})
    layout = panels([split_name(split) for split in splits], "SMD", [""] * len(splits))
    for panel in range(1, len(splits) + 1):
        number = str(panel) if panel > 1 else ""
        layout[f"xaxis{number}"]["matches"] = "x"
        layout[f"yaxis{number}"] |= {"type": "category", "autorange": "reversed", "showticklabels": panel == 1}
    return {"data": data, "layout": layout | {"shapes": shapes, "height": 190 + 22 * len(covariates)}}
