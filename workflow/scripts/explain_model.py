from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
import torch
from cisgrammar.faithfulness import (
    deletion_curve,
    judge,
    planted_bases,
    randomisation,
    randomise_layers,
    site_auroc,
)
from cisgrammar.files import write_table
from cisgrammar.filters import filter_importance, weight_matrices
from cisgrammar.interpretation import choose_windows, contributions, evidence, filter_matrices, write_contributions
from cisgrammar.layers import one_hot
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.model import load_model, probability
from cisgrammar.sequences import read_sequences
from cisgrammar.tracks import write_bigwig

torch.set_num_threads(1)
settings, seed = snakemake.params.interpretation, snakemake.params.seed
gates = settings["faithfulness"]
chosen = {name: settings[name] for name in ("method", "reference")}
network, _ = load_model(snakemake.input.weights, snakemake.input.description)
test = read_sequences(snakemake.input.sequences, "test")
rows, logits = choose_windows(network, test, settings["windows"])
codes = test["codes"][rows]
more = {"channels": None if test["channels"] is None else test["channels"][rows], "encoding": test["encoding"]}
values, deltas = contributions(
    network,
    codes,
    settings["shuffles"],
    seed,
    settings["largest_delta"],
    hypothetical=snakemake.params.modisco,
    **more,
    **chosen,
)
windows = {key: test[key][rows] for key in ("chrom", "start", "end")}
places = evidence(network, codes, **more) if network.has_evidence else None
write_contributions(snakemake.output.contributions, values, deltas, codes, windows, logits, places, **chosen)
values *= one_hot(codes).numpy()
lengths = pd.read_csv(snakemake.input.splits, sep="\t").set_index("chrom")["length_bp"].to_dict()
write_bigwig(snakemake.output.contribution_track, windows, values.sum(axis=1), lengths)
write_bigwig(snakemake.output.prediction_track, windows, probability(logits), lengths)


def some(rows):
    """Of what the network reads besides the codes, some rows."""
    return more | {"channels": None if more["channels"] is None else more["channels"][rows]}


rng = np.random.default_rng(seed)
*_, (_, untrained) = randomise_layers(network, seed)
# Filters of k-mers are no matrices of bases; their files stay empty.
filters = filter_matrices(network, codes, **more) if network.reads_bases else []
write_meme(filters, snakemake.output.filters)
write_meme(filter_matrices(untrained, codes, **more) if network.reads_bases else [], snakemake.output.untrained)
write_meme(weight_matrices(network) if network.reads_bases else [], snakemake.output.weights)
few = np.sort(rng.permutation(len(codes))[: settings["importance_windows"]])
importance = filter_importance(network, codes[few], **some(few)) if network.reads_bases else {}
importance = pd.Series(importance, name="importance", dtype=float).rename_axis("id")
sites = pd.Series({motif["id"]: motif["n_sites"] for motif in filters}, dtype=float, name="n_sites")
write_table(importance.to_frame().join(sites).fillna({"n_sites": 0}).reset_index(), snakemake.output.importance)

few = np.sort(rng.permutation(len(codes))[: gates["windows"]])
curve, share = deletion_curve(network, codes[few], values[few], rng, **some(few))
layers = randomisation(
    network,
    lambda changed: contributions(changed, codes[few], gates["shuffles"], seed, np.inf, **some(few), **chosen)[0],
    seed,
)
found = {"deletion": share, "randomisation": layers["correlation"].iloc[-1]}
if snakemake.input.truth:
    truth = pd.read_csv(snakemake.input.truth[0], sep="\t")
    truth = truth[(truth["cell_type"] == snakemake.wildcards.cell_type) & (truth["tf"] == snakemake.wildcards.tf)]
    widths = {key: matrix.shape[1] for key, (_, matrix) in read_meme(snakemake.input.known[0]).items()}
    found["sites"] = site_auroc(values, planted_bases(windows, truth, widths))
write_table(judge(found, gates), snakemake.output.gates)
write_table(curve, snakemake.output.deletion)
write_table(layers, snakemake.output.randomisation)
