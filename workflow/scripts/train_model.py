from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.files import write_table
from cisgrammar.model import Network, save_model
from cisgrammar.splits import read_splits
from cisgrammar.training import count_channels, describe, fit, network_settings, read_task, set_up

settings, seed = snakemake.params.training, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed)
train = read_task(snakemake.input.sequences, "train", flank=True)
validation = read_task(snakemake.input.sequences, "validation")
built = {**network_settings(settings), "channels": count_channels(train)}
network = Network(**built)
history = fit(network, train, validation, settings, fabric, np.random.default_rng(seed), "train")
write_table(history, snakemake.output.history)
description = describe(
    built,
    train,
    read_splits(snakemake.input.splits),
    cell_type=snakemake.wildcards.cell_type,
    tf=snakemake.wildcards.tf,
    settings=settings,
    seed=seed,
    device=fabric.device.type,
    validation_auprc=float(history.loc[history["kept"] == 1, "validation_auprc"].iloc[-1]),
    sources=[],
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
