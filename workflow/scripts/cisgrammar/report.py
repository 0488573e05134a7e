"""The report: one HTML file that tells, experiment by experiment, what was learned and how well it holds."""

import base64
import gzip
import io
import json
import logging
from pathlib import Path

import jinja2
from PIL import Image

from cisgrammar import page
from cisgrammar.contributions_page import shown_peaks
from cisgrammar.design_page import describe_designs
from cisgrammar.files import atomic, read_json, write_table
from cisgrammar.grammar_page import describe_gates, describe_pairs, draw_pair
from cisgrammar.log import InputError
from cisgrammar.overview_page import ADVICE, doubts, heat_map, overview
from cisgrammar.page import covariate_name, data_uri, fixed, read_table, split_name
from cisgrammar.provenance import input_files, run_times
from cisgrammar.reads_page import describe_reads, draw_reads
from cisgrammar.scores_page import MODELS, balance, curves, reliability, training
from cisgrammar.splits import SPLITS
from cisgrammar.transfer_page import transfer_fragment
from cisgrammar.variants_page import describe_variants

BASELINES = ("pwm", "kmers", "covariates")
MATCH_COLUMNS = ("motif", "jaspar_id", "jaspar_name", "strand", "own")
FEW_PEAKS, LARGEST_SMD, LARGEST_AUROC, LARGEST_Q, LARGEST_ECE = 30, 0.1, 0.6, 0.01, 0.05
FEW_PAIRS, LARGEST_PAIR_Q = 10, 0.05
N_MOTIFS, LOGO_COLORS = 6, 16
ROUTES = {
    "windows": "filters of the first layer, by the windows that excite them",
    "weights": "filters of the first layer, by their weights",
    "patterns": "patterns of TF-MoDISco",
}
FILTERS = ("fixed", "count", "tiny", "percent", "set_name", "split_name", "covariate_name")


def write_report(
    experiments, folder, output, provenance, template, splits, measured, library, block_bp, table, designs=()
):
    """Write the report as one HTML file that needs no network, and its overview as a table.

    experiments: list of (cell_type, tf); folder: the folder `results`; output: path of the HTML file
    provenance: dict with config (text), versions (dict from software to version), seed, and rules (SVG of how they follow)
    template: path of the Jinja2 template; splits: list of paths of splits.tsv, one per genome
    measured: dict of quality, agreement, support, variants and patterns to the experiments that have such a table; one
    that lies there of other settings, as when ready peaks took the place of reads, is not shown
    designs: names in the section `design` of the configuration
    library: text of plotly.js; block_bp: length of the stretches that the bootstrap draws; table: path of the overview (TSV)
    All numbers and figures come from the files of the workflow, and the same files give the same bytes. The
    page is written section by section, so that the figures of one experiment at a time are in memory.
    Raises InputError when summary.tsv has no row for an experiment, or does not agree with predictions.tsv.
    """
    folder, template, experiments = Path(folder), Path(template), list(map(tuple, experiments))
    summary = read_table(folder / "summary.tsv")
    entries = []
    for key in experiments:
        reads = describe_reads(folder / "peaks" / key[0] / key[1], {name for name in measured if key in measured[name]})
        entries.append(summarise(*key, folder, summary, reads))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(page, name) for name in FILTERS}, as_json=as_json)
    content = {
        "entries": entries,
        "grid": heat_map(entries),
        "sections": (
            section(entry, folder, provenance.get("sources", "related"), block_bp, measured.get("patterns", ()))
            for entry in entries
        ),
        "variants": {
            "/".join(key): describe_variants(folder / "variants" / key[0] / key[1] / "variants.tsv")
            for key in measured.get("variants", ())
        },
        "designs": {name: describe_designs(folder / "design", name) for name in designs},
        "models": {key: model for key, model in MODELS.items() if any(key in entry["scores"] for entry in entries)},
        "kinds": [kind for kind in ADVICE if any(kind == flag[0] for entry in entries for flag in entry["flags"])],
        "advice": ADVICE,
        "provenance": provenance,
        "inputs": input_files(folder, experiments),
        "times": run_times(folder.parent / "benchmarks"),
        "splits": [row for path in splits for row in chromosomes(path)],
        "limits": {
            "peaks": FEW_PEAKS,
            "smd": LARGEST_SMD,
            "auroc": LARGEST_AUROC,
            "q": LARGEST_Q,
            "ece": LARGEST_ECE,
            "pairs": FEW_PAIRS,
            "pair_q": LARGEST_PAIR_Q,
        },
        "library": base64.b64encode(gzip.compress(library.encode(), mtime=0)).decode(),
    }
    write_table(overview(entries), table)
    with atomic(output) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(environment.get_template(template.name).generate(**content))


def as_json(content):
    """JSON that can stand inside a script element."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def chromosomes(path):
    """Chromosomes per split of a genome: list of dicts genome, split, chromosomes (names), length_bp, share (of all)."""
    table, genome = read_table(path), Path(path).parent.name
    table = table[table["split"].isin(SPLITS)]
    return [
        {
            "genome": genome,
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


def by_other_routes(folder, patterns):
    """What else than the motifs of contributions matches JASPAR: filters of the first layer and patterns of TF-MoDISco.

    folder: results/motifs/<cell_type>/<tf>; patterns: whether TF-MoDISco was asked for
    Returns a list of dicts words, n (motifs), n_better (of them beyond both nulls), best (row of a match as a dict, None
    where there is none: that with the smallest p of those beyond both nulls, or, without any, of all).
    """
    filters = read_table(folder / "filters.tsv", ("filter", "source", *MATCH_COLUMNS[1:]))
    tables = dict(iter(filters.groupby("source")))
    if patterns:
        tables["patterns"] = read_table(folder / "patterns.tsv", MATCH_COLUMNS)
    found = []
    for route, words in ROUTES.items():
        if route in tables:
            rows = tables[route]
            matched = rows[rows["jaspar_id"] != ""].sort_values(["better", "p"], ascending=[False, True], kind="stable")
            matched = matched.to_dict("records")
            n, n_better = rows.iloc[:, 0].nunique(), rows.loc[rows["better"] == 1].iloc[:, 0].nunique()
            found.append({"words": words, "n": n, "n_better": n_better, "best": matched[0] if matched else None})
    return found


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
    balances = on_matched(folder / "negatives" / place / "balance.tsv")
    motifs = read_motifs(folder / "motifs" / place / "matches.tsv")
    matches = sorted((m for motif in motifs for m in motif["matches"][:1]), key=lambda m: (m["q"], m["p"]))
    cnn = scores["cnn"]
    flags = []

    def flag(kind, *texts):
        flags.extend((kind, text) for text in texts)

    unbeaten = unbeaten_baselines(folder / "evaluation" / place / "comparisons.tsv")
    flag("not better", *(f"CNN not better than {name}" for name in unbeaten.get("matched", [])))
    if cnn["n_pos"] < FEW_PEAKS:
        flag("few peaks", f"fewer than {FEW_PEAKS} test peaks")
    for covariate, rows in balances[~(balances["smd_after"].abs() <= LARGEST_SMD)].groupby("covariate", sort=False):
        where = ", ".join(map(split_name, rows["split"]))
        flag("unbalanced", f"{covariate_name(covariate)} not balanced (|SMD| > {LARGEST_SMD:g}) in {where}")
    separable = on_matched(folder / "negatives" / place / "separability.tsv")
    told = separable[separable["auroc"] > LARGEST_AUROC]
    if len(told):
        flag("unbalanced", f"covariates tell negatives from peaks in {', '.join(map(split_name, told['split']))}")
    draws = read_table(folder / "negatives" / place / "draws.tsv")
    short = draws[(draws["negatives"] == "matched") & (draws["drawn"] < draws["wanted"])]
    texts = (f"{row.drawn} of {row.wanted} negatives in {split_name(row.split)}" for row in short.itertuples())
    flag("unbalanced", *texts)
    if cnn["ece_low"] > LARGEST_ECE:
        flag("calibration", f"probabilities are off by {fixed(cnn['ece'])} on average (ECE > {LARGEST_ECE:g})")
    flag("reads", *(reads["flags"] if reads else []))
    gates, failed = describe_gates(folder / "interpretation" / place)
    flag("gate", *failed)
    if not motifs:
        flag("no motif", "no motif found")
    elif not any(match["q"] < LARGEST_Q for match in matches):
        flag("no motif", f"no motif match at q < {LARGEST_Q:g}")
    best = max(BASELINES, key=lambda key: scores[key]["auprc"])
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
        "lift": cnn["auprc"] / cnn["prevalence"],
        "best_baseline": best,
        "match": matches[0] if matches else None,
        "flags": flags,
        "reads": reads,
        "gates": gates,
        "device": read_json(folder / "training" / place / "model.json")["device"],
    }


def section(entry, folder, sources, block_bp, patterns=()):
    """What `summarise` says of an experiment, its tables as lists of dicts, its figures for plotly.js or as data URIs.

    sources: of transfer, as in the configuration; block_bp: of the bootstrap; patterns: experiments with TF-MoDISco's
    """
    place = entry["place"]
    logging.info("section of %s in %s", entry["tf"], entry["cell_type"])
    counts = read_table(folder / "peaks" / place / "counts.tsv").to_dict("records")
    balances = on_matched(folder / "negatives" / place / "balance.tsv")
    runs = [training_run("training", folder / "training" / place)]
    if "transfer" in entry["scores"]:
        runs.append(training_run("transfer", folder / "transfer" / place / f"from_{sources}"))
    motifs = read_motifs(folder / "motifs" / place / "matches.tsv")
    for motif in motifs[:N_MOTIFS]:
        motif["logo"] = small_image(folder / "motifs" / place / "logos" / f"{motif['motif']}.png")
    calibration = read_json(folder / "evaluation" / place / "calibration.json")
    known = {m["motif"]: m["matches"][0] for m in motifs if m["matches"] and m["matches"][0]["q"] < LARGEST_Q}
    names = {motif: f"{motif} ({match['jaspar_name']})" for motif, match in known.items()}
    pairs = describe_pairs(folder / "motifs" / place, names)
    drawn = next((pair for pair in pairs if pair["model"]), None)
    return dict(
        **entry,
        doubts=doubts(entry),
        pairs=pairs,
        drawn_pair=drawn,
        pair_figure=draw_pair(folder / "motifs" / place, drawn["a"], drawn["b"]) if drawn else None,
        steps=[row for row in counts if row["step"] not in SPLITS],
        **draw_reads(folder / "peaks" / place, entry["reads"]),
        balance=balances.to_dict("records"),
        separability=on_matched(folder / "negatives" / place / "separability.tsv").to_dict("records"),
        learned={row["negatives"]: row["drawn"] for row in entry["draws"] if row["split"] == "train"},
        balance_figure=balance(balances, LARGEST_SMD),
        curves=curves(entry, folder / "evaluation" / place / "predictions.tsv", block_bp),
        calibrated=[key for key in MODELS if key in calibration],
        reliability=reliability(calibration),
        runs=runs,
        transfer=transfer_fragment(folder / "transfer" / place / f"from_{sources}"),
        motifs=motifs[:N_MOTIFS],
        n_motifs=len(motifs),
        routes=by_other_routes(folder / "motifs" / place, (entry["cell_type"], entry["tf"]) in patterns),
        contributions=shown_peaks(folder / "interpretation" / place / "contributions.h5"),
    )


def small_image(path):
    """A PNG with few colours as a data URI, a fifth of its size; None where there is no file."""
    if not path.exists():
        return None
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").quantize(LOGO_COLORS).save(buffer, format="PNG", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


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
        "figure": training(history),
    }
