from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.baselines import best_sites, choose_matrix, fit_covariates
from cisgrammar.calibration import fit_temperature
from cisgrammar.covariates import open_store, read_tss
from cisgrammar.evaluation import (
    GENOME_WIDE,
    describe_calibration,
    evaluate,
    measure,
    scan,
    tile_test,
)
from cisgrammar.extraction import tracks_of
from cisgrammar.files import write_json, write_table
from cisgrammar.intervals import read_bed
from cisgrammar.kmers import fit_kmers
from cisgrammar.meme import read_meme
from cisgrammar.model import load_model, probability, score, score_members, use_threads
from cisgrammar.negatives import add_covariates, name_covariates
from cisgrammar.sequences import read_sequences
from cisgrammar.splits import read_splits

use_threads(1)
seed, settings = snakemake.params.seed, snakemake.params.evaluation
rng = np.random.default_rng(seed)
train, validation, test = (read_sequences(snakemake.input.sequences, s) for s in ("train", "validation", "test"))
splits, store = read_splits(snakemake.input.splits), open_store(snakemake.input.store)
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
tss = read_tss(snakemake.input.annotation[0], lengths) if snakemake.input.annotation else None
names = name_covariates(["gc", "cpg", "mappability", *snakemake.params.covariates], store, tss)


def covariates(windows):
    table = pd.DataFrame({name: windows[name] for name in ("chrom", "start", "end")})
    return add_covariates(table, store, tss)[names].to_numpy()


def network_logits(network):
    return lambda codes, channels, windows: score(network, codes, channels, test["encoding"])[:, 0]


networks = {}
for name, weights, description in zip(
    snakemake.params.models, snakemake.input.weights, snakemake.input.descriptions, strict=True
):
    networks[name] = load_model(weights, description)[0]
logits = {name: network_logits(network) for name, network in networks.items()}
trees = fit_covariates(covariates(train), train["label"], rng)
logits["covariates"] = lambda codes, channels, windows: trees(covariates(windows))
kmers, kmer_auprc = fit_kmers(
    (train["codes"], train["label"]),
    (validation["codes"], validation["label"]),
    settings["kmer_bp"],
    settings["kmer_known"],
    settings["kmer_windows"],
    rng,
)
logits["kmers"] = lambda codes, channels, windows: kmers.logits(codes)
motifs = read_meme(snakemake.input.motifs)
matrix, name, auprc = choose_matrix(motifs, train["codes"], train["label"], rng)
models = {**logits, "pwm": lambda codes, channels, windows: best_sites([motifs[matrix][1]], codes)[:, 0]}
temperatures = {
    model: fit_temperature(validation["label"], function(validation["codes"], validation["channels"], validation))
    for model, function in logits.items()
}


def as_scores(values):
    return {model: probability(of) if model in logits else of for model, of in values.items()}


arguments = temperatures, settings["bootstrap"], settings["block_bp"], seed, snakemake.params.models
scores = as_scores({model: function(test["codes"], test["channels"], test) for model, function in models.items()})
members = {
    name: score_members(network, test["codes"], test["channels"], test["encoding"])[..., 0]
    for name, network in networks.items()
}
metrics, comparisons = evaluate(test, scores, *arguments, members=members)
if settings["genome_wide"]:
    width = test["window_bp"]
    tiles = tile_test(
        *(splits, store, width, settings["step_bp"] or width),
        *(read_bed(snakemake.input[name]) for name in ("peaks", "regions", "blacklist")),
        snakemake.params.unknown_share,
    )
    tracks = tracks_of(test["normalisation"], snakemake.input.channels)
    found = scan(tiles, width, settings["scan_bp"] or max(1, width // 4), store, tracks, models)
    found = measure(GENOME_WIDE, tiles, as_scores(found), *arguments)
    metrics, comparisons = (pd.concat(parts) for parts in zip((metrics, comparisons), found, strict=True))

for table, path in ((metrics, snakemake.output.metrics), (comparisons, snakemake.output.comparisons)):
    table.insert(0, "cell_type", snakemake.wildcards.cell_type)
    table.insert(1, "tf", snakemake.wildcards.tf)
    write_table(table, path)
places = {key: test[key] for key in ("chrom", "start", "end", "label", "negatives")}
write_table(pd.DataFrame({**places, **scores}), snakemake.output.predictions)
write_json(describe_calibration(test, scores, temperatures), snakemake.output.calibration)
described = {
    "pwm": {"jaspar_id": matrix, "name": name, "train_auprc": auprc},
    "covariates": {"names": names},
    "kmers": {
        **{name: getattr(kmers, name) for name in ("l", "k", "half_life", "cost")},
        "validation_auprc": kmer_auprc,
    },
}
write_json(described, snakemake.output.baselines)
