from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.files import atomic
from cisgrammar.model import Network, save_model
from cisgrammar.splits import read_splits
from cisgrammar.training import describe, fit, network_settings, read_task, set_up

settings, seed = snakemake.params.training, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed)
train = read_task(snakemake.input.sequences, "train", flank=True)
validation = read_task(snakemake.input.sequences, "validation")
network = Network(**network_settings(settings))
history = fit(network, train, validation, settings, fabric, np.random.default_rng(seed), "train")
with atomic(snakemake.output.history) as temporary:
    history.to_csv(temporary, sep="\t", index=False, float_format="%.6g")
description = describe(
    network_settings(settings),
    train,
    read_splits(snakemake.input.splits),
    cell_type=snakemake.wildcards.cell_type,
    tf=snakemake.wildcards.tf,
    settings=settings,
    seed=seed,
    device=fabric.device.type,
    validation_auprc=float(history["validation_auprc"].max()),
    sources=[],
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
