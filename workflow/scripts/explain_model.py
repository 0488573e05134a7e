from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
import torch
from cisgrammar.faithfulness import deletion_curve, judge, planted_bases, randomisation, site_auroc
from cisgrammar.files import write_table
from cisgrammar.interpretation import choose_windows, contributions, filter_matrices, write_contributions
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.model import load_model
from cisgrammar.sequences import read_sequences

torch.set_num_threads(1)
settings, seed = snakemake.params.interpretation, snakemake.params.seed
gates = settings["faithfulness"]
chosen = {name: settings[name] for name in ("method", "reference")}
network, _ = load_model(snakemake.input.weights, snakemake.input.description)
test = read_sequences(snakemake.input.sequences, "test")
rows, logits = choose_windows(network, test, settings["windows"])
codes = test["codes"][rows]
more = {"channels": None if test["channels"] is None else test["channels"][rows], "encoding": test["encoding"]}
values, deltas = contributions(network, codes, settings["shuffles"], seed, settings["largest_delta"], **more, **chosen)
windows = {key: test[key][rows] for key in ("chrom", "start", "end")}
write_contributions(snakemake.output.contributions, values, deltas, codes, windows, logits, **chosen)
write_meme(filter_matrices(network, codes, **more), snakemake.output.filters)

rng = np.random.default_rng(seed)
some = np.sort(rng.permutation(len(codes))[: gates["windows"]])
few = more | {"channels": None if more["channels"] is None else more["channels"][some]}
curve, share = deletion_curve(network, codes[some], values[some], rng, **few)
layers = randomisation(
    network,
    lambda changed: contributions(changed, codes[some], gates["shuffles"], seed, np.inf, **few, **chosen)[0],
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
