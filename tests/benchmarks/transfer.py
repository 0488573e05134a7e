"""Does transfer help where peaks are few? By hand: `python tests/benchmarks/transfer.py STEP RUN [PEAKS]`.

RUN: folder of a run of config/yeast.yaml up to the genome store; PEAKS: folder with one BED file per TF of the same data
set. Steps, each of which keeps what it made below RUN/benchmark and, started again, goes on from there:
  prepare   windows, negatives and sequences of every TF, in one process
  sources   a network for every TF
  compare   each target from scratch, the mean of two networks from scratch, from its automatically chosen relatives, and
            from unrelated TFs, at 50, 100 and all training and validation peaks, seed after seed; compare.tsv has a row per
            network and set of negatives
  show      the table: means, and the gains paired over targets and seeds
All networks are half as large as the default ones, and so are the parts that are transferred.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.architectures import build_network
from cisgrammar.covariates import open_store
from cisgrammar.curves import mean_interval
from cisgrammar.engine import fit
from cisgrammar.extraction import write_sequences
from cisgrammar.files import read_json, write_table
from cisgrammar.intervals import read_bed
from cisgrammar.model import load_model, save_model
from cisgrammar.negatives import add_covariates, away_from, find_candidates, keep_needed, name_covariates
from cisgrammar.peaks import center_peaks, read_peaks
from cisgrammar.relatives import average
from cisgrammar.sampling import draw_matched
from cisgrammar.sequences import read_sequences
from cisgrammar.sets import draw_some, free_windows
from cisgrammar.splits import read_splits
from cisgrammar.training import network_settings, read_task, set_up
from cisgrammar.transfer import adapt, auprc_by_set, choose_delivered, task_auprc, thin

ROOT = Path(__file__).resolve().parents[2]
SEED, RATIO = 1, 10
CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def prepare(run, peaks):
    genome, folder = run / "resources" / "genome", run / "benchmark" / "sequences"
    splits, store, blacklist = (
        read_splits(genome / "splits.tsv"),
        open_store(genome / "store"),
        read_bed(genome / "blacklist.bed"),
    )
    tables, limits, settings = {}, CONFIG["peaks"], {**CONFIG["negatives"], "ratio": RATIO}
    settings["evaluation"] = ["matched", "other_peaks"]
    for path in sorted(peaks.glob("*.bed")):
        regions = read_peaks([path])
        chosen = {name: limits[name] for name in ("window_bp", "merge_bp", "maximum", "unknown_share")}
        tables[path.stem] = (
            regions,
            center_peaks(regions, splits, blacklist, genome / "genome.fa", minimum=30, **chosen)[0],
        )
    covariates = name_covariates(settings["covariates"], store, None)
    for tf, (regions, windows) in tables.items():
        rng = np.random.default_rng(SEED)
        own = add_covariates(windows, store, None)
        taken = away_from(own, regions, blacklist, settings["margin_bp"])
        candidates = find_candidates(
            own, taken, splits, 50, limits["unknown_share"], RATIO, settings["candidates"], store, None, rng
        )
        others = pd.concat([table for name, (_, table) in tables.items() if name != tf])
        others = add_covariates(free_windows(others, taken), store, None)
        negatives = {
            "matched": draw_matched(own, candidates, covariates, RATIO, rng, False)[0],
            "other_peaks": draw_some(others, own, RATIO, rng)[0],
        }
        genome_checksum = read_json(genome / "genome.json")["checksum"]
        chosen = {name: CONFIG["sequences"][name] for name in ("unknown", "centred", "position_channel")}
        folder.mkdir(parents=True, exist_ok=True)
        write_sequences(
            windows,
            keep_needed(negatives, own, settings),
            store,
            CONFIG["sequences"]["flank_bp"],
            folder / f"{tf}.h5",
            genome=genome_checksum,
            seed=SEED,
            **chosen,
        )
        print(tf, windows["name"].value_counts().to_dict(), flush=True)


TARGETS = ("Fkh2", "Mbp1", "Sfp1", "Cad1", "Yap1", "Phd1")
UNRELATED = ("Abf1", "Reb1", "Rap1")
SETTINGS = {**CONFIG["training"], "members": 2, "filters": 64}
TRANSFER = {**CONFIG["transfer"], "filters_per_source": 16, "own_filters": 32}
SIZES, SEEDS = (50, 100, 1_000_000), range(1, 6)


def train(windows, validation, seed, fabric):
    torch.manual_seed(seed)
    built = network_settings(SETTINGS, windows)
    network = build_network(**built)
    fit(network, windows, validation, SETTINGS, fabric, np.random.default_rng(seed), "train")
    return network, built


def read(run, tf):
    path = run / "benchmark" / "sequences" / f"{tf}.h5"
    return read_task(path, "train", flank=True), read_task(path, "validation"), read_sequences(path, "test")


def train_sources(run):
    fabric = set_up("cpu", 1, SEED)
    for path in sorted((run / "benchmark" / "sequences").glob("*.h5")):
        weights = run / "benchmark" / "sources" / f"{path.stem}.safetensors"
        if not weights.exists():
            weights.parent.mkdir(exist_ok=True)
            *data, test = read(run, path.stem)
            network, built = train(*data, SEED, fabric)
            save_model(network, {"network": built}, weights, weights.with_suffix(".json"))
            print(path.stem, auprc_by_set(network, test), flush=True)


def load_sources(run, names):
    folder = run / "benchmark" / "sources"
    return {name: load_model(folder / f"{name}.safetensors", folder / f"{name}.json") for name in names}


def compare(run):
    fabric, table = set_up("cpu", 1, SEED), run / "benchmark" / "compare.tsv"
    rows = pd.read_csv(table, sep="\t").to_dict("records") if table.exists() else []
    done = {(row["target"], row["n_peaks"], row["seed"]) for row in rows}
    names = sorted(path.stem for path in (run / "benchmark" / "sources").glob("*.json"))
    for seed in SEEDS:
        for n_peaks in SIZES:
            for target in TARGETS:
                if (target, n_peaks, seed) in done:
                    continue
                rows += compare_once(run, target, n_peaks, seed, [name for name in names if name != target], fabric)
                write_table(pd.DataFrame(rows), table)


def average_two(own, windows, validation, seed, fabric):
    """What is to be beaten by transfer where the mean of two networks is delivered: the mean of two from scratch."""
    return average(own, train(windows, validation, 1000 + seed, fabric))


def compare_once(run, target, n_peaks, seed, names, fabric):
    *known, test = read(run, target)
    windows, validation = thin(known, n_peaks, np.random.default_rng(seed))
    own = train(windows, validation, seed, fabric)
    found, choices = {"scratch": own, "twice": average_two(own, windows, validation, seed, fabric)}, {}
    unrelated = [name for name in UNRELATED if name != target]
    for arm, sources, choose in (("related", names, True), ("unrelated", unrelated, False)):
        torch.manual_seed(seed)
        adapted = adapt(
            *(load_sources(run, sources), windows, validation, network_settings(SETTINGS, windows), SETTINGS, TRANSFER),
            *(fabric, np.random.default_rng(seed), choose),
        )
        models = {"scratch": own}
        if adapted["network"] is not None:
            models["transfer"] = adapted["network"], adapted["built"]
        choice, delivered, _ = choose_delivered(models, validation)
        found |= {arm: models.get("transfer", own), f"{arm}_delivered": delivered}
        taken = adapted["ranking"].query("weight == weight")
        choices[arm] = choices[f"{arm}_delivered"] = f"{choice}: {', '.join(taken['source'])}"
    place = {"target": target, "n_peaks": n_peaks, "seed": seed}
    rows = [
        place
        | {"arm": arm, "negatives": negatives, "auprc": auprc, "validation_auprc": task_auprc(model[0], validation)}
        | {"choice": choices.get(arm, "")}
        for arm, model in found.items()
        for negatives, auprc in auprc_by_set(model[0], test).items()
    ]
    print(place, {row["arm"]: round(row["auprc"], 3) for row in rows if row["negatives"] == "matched"}, flush=True)
    return rows


def show(run):
    rows = pd.read_csv(run / "benchmark" / "compare.tsv", sep="\t")
    for negatives, part in rows.groupby("negatives"):
        wide = part.pivot(index=["n_peaks", "target", "seed"], columns="arm", values="auprc")
        print(f"\n{negatives}\n", wide.groupby(["n_peaks", "target"]).mean().round(3).to_string())
        for arm in (name for name in wide if name != "scratch"):
            gain = wide[arm] - wide["scratch"]
            print(arm, "all sizes: {:+.3f} ({:+.3f} to {:+.3f}), n = {}".format(*mean_interval(gain), len(gain)))
            for n_peaks, some in gain.groupby("n_peaks"):
                print("  {}: {:+.3f} ({:+.3f} to {:+.3f}), n = {}".format(n_peaks, *mean_interval(some), len(some)))


if __name__ == "__main__":
    step, *folders = sys.argv[1:]
    steps = {"prepare": prepare, "sources": train_sources, "compare": compare, "show": show}
    steps[step](*map(Path, folders))
