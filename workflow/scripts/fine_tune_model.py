from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.engine import Checkpoint, fingerprint
from cisgrammar.files import write_table
from cisgrammar.model import load_model, save_model
from cisgrammar.networks import receptive_field
from cisgrammar.splits import read_splits
from cisgrammar.training import check_strands, describe, network_settings, read_task, set_up
from cisgrammar.transfer import adapt, check_origin, choose_delivered, find_held, origins, seen_chromosomes

settings, transfer, seed = snakemake.params.training, snakemake.params.transfer, snakemake.params.seed
target = f"{snakemake.wildcards.cell_type}/{snakemake.wildcards.tf}"
fabric = set_up(snakemake.params.device, snakemake.threads, seed, settings["precision"])
train = read_task(snakemake.input.sequences, "train", flank=True)
validation = read_task(snakemake.input.sequences, "validation")
own, of_own = load_model(snakemake.input.own_weights, snakemake.input.own_description)
paths = zip(snakemake.params.names, snakemake.input.weights, snakemake.input.descriptions, strict=True)
sources = {name: load_model(weights, description) for name, weights, description in paths}
for name, (_, origin) in sources.items():
    check_origin(origin, target, of_own["chromosomes"], train["genome"], name)
held = find_held(sources, dict(zip(snakemake.params.sources, snakemake.input.source_sequences, strict=True)))
built = network_settings(settings, train)
files = [*snakemake.input.code, *snakemake.input.weights]
key = fingerprint([settings, transfer, built, seed, snakemake.threads], [(train, validation)], files)
checkpoint = Checkpoint(snakemake.output.weights, key, settings["checkpoint_s"])
adapted = adapt(
    sources,
    train,
    validation,
    built,
    settings,
    transfer,
    fabric,
    np.random.default_rng(seed),
    snakemake.wildcards.sources == "related",
    held,
    checkpoint,
)
models = {"scratch": (own, of_own["network"])}
if adapted["network"] is not None:
    models["transfer"] = adapted["network"], adapted["built"]
delivered, (network, built), auprc = choose_delivered(models, validation)
check_strands(network, validation)
ranking = adapted["ranking"]
# What was trained from scratch has seen no source.
taken = (ranking["weight"].notna() | ranking["train_auprc"].isna()) & (delivered != "scratch")
write_table(ranking, snakemake.output.ranking)
history = adapted["history"]
write_table(
    pd.read_csv(snakemake.input.own_history, sep="\t") if history is None else history, snakemake.output.history
)
used = {name: sources[name][1] for name in ranking.loc[taken, "source"]}
description = describe(
    built,
    receptive_field(network),
    train,
    read_splits(snakemake.input.splits),
    cell_type=snakemake.wildcards.cell_type,
    tf=snakemake.wildcards.tf,
    settings={**settings, **transfer},
    seed=seed,
    device=fabric.device.type,
    validation_auprc=auprc[delivered],
    sources=sorted({origin for name, told in used.items() for origin in origins(told) or [name]}),
    seen=seen_chromosomes(*used.values()),
    delivered=delivered,
    delivered_from=auprc,
    drift=adapted["drift"],
    source_tasks=adapted["tasks"],
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
checkpoint.clear()
