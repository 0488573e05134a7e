"""Across cell types: `python tests/benchmarks/domains.py FOLDER`; a step that is done is not done again.

Simulates three cell types whose open chromatin is marked by different motifs, TFs as in the demo. Networks of one cell type
and of two together (no alignment, gradient reversal, equal moments of features) score the third, untouched at first, then
fitted to 50 of its peaks; each once from bases alone, once with the accessibility of the cell type as a channel.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.architectures import build_network
from cisgrammar.curves import mean_interval
from cisgrammar.engine import fit
from cisgrammar.files import write_table
from cisgrammar.model import score
from cisgrammar.sequences import negative_sets, read_sequences
from cisgrammar.training import join_tasks, network_settings, read_task, set_up
from cisgrammar.transfer import adapt, auprc_by_set, balance_tasks, thin
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
OPEN = {
    "erythroid": ["MA0493.3", "MA0841.2"],
    "myeloid": ["MA0102.5", "MA0652.2"],
    "lymphoid": ["MA0154.5", "MA0014.4"],
}
SOURCES, TARGET, TFS, N_PEAKS, SEEDS = ("erythroid", "myeloid"), "lymphoid", ("CTCF", "NRF1", "SPI1"), 50, range(1, 4)
SETTINGS = {**CONFIG["training"], "members": 2, "filters": 64}
TRANSFER = {**CONFIG["transfer"], "filters_per_source": 16, "own_filters": 32}


def simulate(folder, channel):
    """Have the workflow make the windows of all experiments, with or without the channel."""
    reads = "resources/simulation/reads"
    rows = [
        f"{cell_type}\t{tf}\t{reads}/{cell_type}_{tf}_1.bam\t{reads}/{cell_type}_input.bam\n"
        for cell_type in OPEN
        for tf in TFS
    ]
    (folder / "samples.tsv").write_text("cell_type\ttf\ttreatment\tcontrol\n" + "".join(rows))
    accessible = "resources/simulation/accessible/{cell_type}.bed"
    settings = {
        "samples": str(folder / "samples.tsv"),
        "references": {"genome": "simulated"},
        "simulation": {"cell_types": list(OPEN), "open_motifs": OPEN},
        "negatives": {"evaluation": ["matched", "accessible"], "accessible": accessible, "step_bp": 20},
        "sequences": {"channels": {"accessible": accessible} if channel else {}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-q", "all", "--directory", str(folder / "run")]
    subprocess.run([*command, "--configfile", str(folder / "config.yaml"), "--", "sequences"], cwd=ROOT, check=True)


def start(windows, seed, tasks=1):
    torch.manual_seed(seed)
    built = network_settings(SETTINGS, windows, tasks=tasks)
    return build_network(**built), built


def train_source(paths, domains, seed, fabric):
    """(Network, description) of one cell type, or of several with a head each, as the rule pretrain_model does it."""
    train, validation = balance_tasks(join_tasks(paths, "train", flank=True)), join_tasks(paths, "validation")
    settings = {**SETTINGS, "domains": domains}
    if len(paths) > 1:
        train["domain"], settings["epochs"] = train["task"], CONFIG["transfer"]["pretrain_epochs"]
    network, built = start(train, seed, len(paths))
    fit(network, train, validation, settings, fabric, np.random.default_rng(seed), "pretrain")
    return network, {"network": built, "sources": [path.parent.parent.name for path in paths]}


def untouched(network, test):
    """AUPRC of the mean of all heads against each set of negatives."""
    logits = score(network, test["codes"], test.get("channels"), test.get("encoding")).mean(axis=1)
    return {name: average_precision_score(test["label"][of], logits[of]) for name, of in negative_sets(test)}


def compare(folder, tf, seed, fabric):
    paths = {cell_type: folder / f"run/results/sequences/{cell_type}/{tf}/sequences.h5" for cell_type in OPEN}
    target, found = paths[TARGET], {}
    known = [read_task(target, "train", flank=True), read_task(target, "validation")]
    test = read_sequences(target, "test")
    few = thin(known, N_PEAKS, np.random.default_rng(seed))
    network, built = start(few[0], seed)
    fit(network, *few, SETTINGS, fabric, np.random.default_rng(seed), "scratch")
    found["scratch", f"{N_PEAKS} peaks"] = auprc_by_set(network, test)
    arms = {"one cell type": (SOURCES[:1], "none")}
    arms |= {f"two, {domains}": (SOURCES, domains) for domains in ("none", "reversal", "moments")}
    for arm, (names, domains) in arms.items():
        source = train_source([paths[name] for name in names], domains, seed, fabric)
        found[arm, "untouched"] = untouched(source[0], test)
        rng = np.random.default_rng(seed)
        adapted = adapt({arm: source}, *few, built, SETTINGS, TRANSFER, fabric, rng, False)
        found[arm, f"{N_PEAKS} peaks"] = auprc_by_set(adapted["network"], test)
    return [
        {"tf": tf, "seed": seed, "arm": arm, "fitted": fitted, "negatives": negatives, "auprc": auprc}
        for (arm, fitted), areas in found.items()
        for negatives, auprc in areas.items()
    ]


def show(rows):
    """Means, and what each arm gains over two cell types without alignment, paired over TFs and seeds."""
    for (channel, negatives, fitted), part in rows.groupby(["channel", "negatives", "fitted"]):
        wide = part.pivot(index=["tf", "seed"], columns="arm", values="auprc")
        print(f"\n{channel}, {negatives}, {fitted}\n{wide.groupby('tf').mean().round(3).to_string()}")
        for arm in wide:
            gain = wide[arm] - wide["two, none"]
            print(f"  {arm}: {wide[arm].mean():.3f}; {{:+.3f}} ({{:+.3f}} to {{:+.3f}})".format(*mean_interval(gain)))


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    table, fabric = place / "domains.tsv", set_up("cpu", 1, 1)
    rows = pd.read_csv(table, sep="\t").to_dict("records") if table.exists() else []
    done = {(row["channel"], row["tf"], row["seed"]) for row in rows}
    for channel in ("bases", "accessibility"):
        (place / channel).mkdir(parents=True, exist_ok=True)
        simulate(place / channel, channel == "accessibility")
        for seed in SEEDS:
            for tf in TFS:
                if (channel, tf, seed) not in done:
                    rows += [{"channel": channel, **row} for row in compare(place / channel, tf, seed, fabric)]
                    write_table(pd.DataFrame(rows), table)
    show(pd.DataFrame(rows))
