from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.faithfulness import deletion_curve, judge, planted_bases, randomisation, site_auroc
from cisgrammar.files import write_table
from cisgrammar.filters import filter_importance, weight_matrices
from cisgrammar.interpretation import (
    choose_windows,
    contributions,
    evidence,
    filter_matrices,
    write_contributions,
    write_controls,
)
from cisgrammar.layers import one_hot
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.model import load_model, probability, split_members, untrained_network, use_threads
from cisgrammar.sequences import read_sequences
from cisgrammar.tracks import write_bigwig

use_threads(1)
settings, seed = snakemake.params.interpretation, snakemake.params.seed
gates, modisco = settings["faithfulness"], snakemake.params.modisco
chosen = {name: settings[name] for name in ("method", "reference")}
network, description = load_model(snakemake.input.weights, snakemake.input.description)
test = read_sequences(snakemake.input.sequences, "test")


def besides(rows):
    """Of what the network reads besides the codes, some rows of the test windows."""
    return {"channels": None if test["channels"] is None else test["channels"][rows], "encoding": test["encoding"]}


def explain(path, rows, logits):
    """Contributions in some rows of the test windows, which are also written to `path`."""
    codes, more = test["codes"][rows], besides(rows)
    limits = settings["shuffles"], seed, settings["largest_delta"]
    values, deltas = contributions(network, codes, *limits, hypothetical=modisco, **more, **chosen)
    windows = {key: test[key][rows] for key in ("chrom", "start", "end")}
    places = evidence(network, codes, **more) if network.has_evidence else None
    write_contributions(path, values, deltas, codes, windows, logits, places, **chosen)
    return values * one_hot(codes).numpy(), windows


rows, logits = choose_windows(network, test, settings["windows"])
codes, more = test["codes"][rows], besides(rows)
values, windows = explain(snakemake.output.contributions, rows, logits)
explain(snakemake.output.negatives, *choose_windows(network, test, settings["negatives"], "matched"))
lengths = pd.read_csv(snakemake.input.splits, sep="\t").set_index("chrom")["length_bp"].to_dict()
write_bigwig(snakemake.output.contribution_track, windows, values.sum(axis=1), lengths)
write_bigwig(snakemake.output.prediction_track, windows, probability(logits), lengths)

built, least = description["network"], (settings["control_shuffles"], seed, np.inf)
untrained = [untrained_network(built, seed + i) for i in range(1, settings["untrained"] + 1)]
members = split_members(network, built) if built["members"] > 1 else []
write_controls(
    snakemake.output.controls,
    (
        (f"{kind}_{i}", contributions(other, codes, *least, hypothetical=modisco, **more, **chosen)[0])
        for kind, others in (("untrained", untrained), ("member", members))
        for i, other in enumerate(others, start=1)
    ),
)

# Filters of k-mers are no matrices of bases; their files stay empty.
background = np.bincount(codes.ravel(), minlength=4) / codes.size
filters = filter_matrices(network, codes, **more) if network.reads_bases else []
write_meme(filters, snakemake.output.filters)
write_meme(weight_matrices(network, background) if network.reads_bases else [], snakemake.output.weights)
runs = list(enumerate(untrained, start=1)) if network.reads_bases else []
for path, parts in (
    (snakemake.output.untrained, ((i, filter_matrices(other, codes, **more)) for i, other in runs)),
    (snakemake.output.untrained_weights, ((i, weight_matrices(other, background)) for i, other in runs)),
):
    write_meme([motif | {"id": f"run_{i}_{motif['id']}"} for i, part in parts for motif in part], path)
rng = np.random.default_rng(seed)
few = np.sort(rng.permutation(len(codes))[: settings["importance_windows"]])
importance = filter_importance(network, codes[few], **besides(rows[few])) if network.reads_bases else {}
importance = pd.Series(importance, name="importance", dtype=float).rename_axis("id")
sites = pd.Series({motif["id"]: motif["n_sites"] for motif in filters}, dtype=float, name="n_sites")
write_table(importance.to_frame().join(sites).fillna({"n_sites": 0}).reset_index(), snakemake.output.importance)

few = np.sort(rng.permutation(len(codes))[: gates["windows"]])
curve, share = deletion_curve(network, codes[few], values[few], rng, **besides(rows[few]))
maps = {"n_shuffles": gates["shuffles"], "seed": seed, "largest_delta": np.inf, **besides(rows[few]), **chosen}
layers = randomisation(network, lambda changed: contributions(changed, codes[few], **maps)[0], seed)
found = {"deletion": share, "randomisation": layers["correlation"].iloc[-1]}
if snakemake.input.truth:
    truth = pd.read_csv(snakemake.input.truth[0], sep="\t")
    truth = truth[(truth["cell_type"] == snakemake.wildcards.cell_type) & (truth["tf"] == snakemake.wildcards.tf)]
    widths = {key: matrix.shape[1] for key, (_, matrix) in read_meme(snakemake.input.known[0]).items()}
    found["sites"] = site_auroc(values, planted_bases(windows, truth, widths))
write_table(judge(found, gates), snakemake.output.gates)
write_table(curve, snakemake.output.deletion)
write_table(layers, snakemake.output.randomisation)
