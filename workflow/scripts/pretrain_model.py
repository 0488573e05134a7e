from cisgrammar.log import start_log

start_log(snakemake.log[0])
import logging

import numpy as np
import pandas as pd
from cisgrammar.engine import Checkpoint, fingerprint, fit
from cisgrammar.families import same_family
from cisgrammar.files import write_table
from cisgrammar.meme import read_meme
from cisgrammar.model import save_model
from cisgrammar.networks import receptive_field
from cisgrammar.splits import read_splits
from cisgrammar.training import check_strands, describe, join_tasks, network_settings, set_up, start_network
from cisgrammar.transfer import balance_tasks

settings, seed = {**snakemake.params.training, "epochs": snakemake.params.epochs}, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed, settings["precision"])
files = dict(zip(snakemake.params.sources, snakemake.input.sequences, strict=True))
if snakemake.input.families:
    table = pd.read_csv(snakemake.input.families[0], sep="\t", keep_default_na=False)
    files = {source: files[source] for source in same_family(snakemake.wildcards.tf, list(files), table)}
train = balance_tasks(join_tasks(list(files.values()), "train", flank=True))
validation = join_tasks(list(files.values()), "validation")
names, cell_types = np.unique([source.split("/")[0] for source in files], return_inverse=True)
train["domain"] = cell_types[train["task"]]
if settings["domains"] != "none" and len(names) < 2:
    logging.warning("domains: %s has no effect: all sources are of %s", settings["domains"], names[0])
built = network_settings(settings, train, tasks=len(files))
motifs = read_meme(snakemake.input.motifs[0]) if settings["start_from"] else {}
network = start_network(built, settings, train["window_bp"], motifs)
key = fingerprint([settings, built, seed, snakemake.threads], [(train, validation)], snakemake.input.code)
checkpoint = Checkpoint(snakemake.output.weights, key, settings["checkpoint_s"])
history = fit(
    network, train, validation, settings, fabric, np.random.default_rng(seed), "pretrain", checkpoint=checkpoint
)
check_strands(network, validation)
write_table(history, snakemake.output.history)
splits = dict(zip(snakemake.params.sources, map(read_splits, snakemake.input.splits), strict=True))
seen = {}
for source, genome in zip(files, train["genomes"], strict=True):
    seen[genome] = sorted(splits[source].query("split == 'train'")["chrom"])
description = describe(
    built,
    receptive_field(network),
    train,
    splits[next(iter(files))],
    settings=settings,
    seed=seed,
    device=fabric.device.type,
    validation_auprc=float(history.loc[history["kept"] == 1, "validation_auprc"].iloc[-1]),
    sources=list(files),
    seen=seen,
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
checkpoint.clear()
