from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
import torch
from cisgrammar.evaluation import best_sites, choose_matrix, evaluate, fit_gc
from cisgrammar.files import write_json, write_table
from cisgrammar.meme import read_meme
from cisgrammar.model import load_model, probability, score
from cisgrammar.sequences import read_sequences

torch.set_num_threads(1)
train = read_sequences(snakemake.input.sequences, "train")
test = read_sequences(snakemake.input.sequences, "test")
motifs = read_meme(snakemake.input.motifs)
seed, settings = snakemake.params.seed, snakemake.params.evaluation

scores = {}
for name, weights, description in zip(
    snakemake.params.models, snakemake.input.weights, snakemake.input.descriptions, strict=True
):
    network, _ = load_model(weights, description)
    scores[name] = probability(score(network, test["codes"], test["channels"], test["encoding"])[:, 0])
matrix, name, auprc = choose_matrix(motifs, train["codes"], train["label"], np.random.default_rng(seed))
scores["pwm"] = best_sites([motifs[matrix][1]], test["codes"])[:, 0]
scores["gc"] = fit_gc(train["codes"], train["label"])(test["codes"])

metrics = evaluate(test, scores, settings["bootstrap"], settings["block_bp"], seed)
metrics.insert(0, "cell_type", snakemake.wildcards.cell_type)
metrics.insert(1, "tf", snakemake.wildcards.tf)
predictions = pd.DataFrame({**{key: test[key] for key in ("chrom", "start", "end", "label", "negatives")}, **scores})
for table, path in ((metrics, snakemake.output.metrics), (predictions, snakemake.output.predictions)):
    write_table(table, path)
write_json({"jaspar_id": matrix, "name": name, "train_auprc": auprc}, snakemake.output.baseline)
