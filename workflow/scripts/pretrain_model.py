from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.files import write_table
from cisgrammar.model import Network, save_model
from cisgrammar.splits import read_splits
from cisgrammar.training import count_channels, describe, fit, join_tasks, network_settings, set_up

settings, seed = snakemake.params.training, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed)
train = join_tasks(snakemake.input.sequences, "train", flank=True)
validation = join_tasks(snakemake.input.sequences, "validation")
built = {**network_settings(settings), "tasks": len(snakemake.input.sequences), "channels": count_channels(train)}
network = Network(**built)
settings = {**settings, "epochs": snakemake.params.epochs}
history = fit(network, train, validation, settings, fabric, np.random.default_rng(seed), "pretrain")
write_table(history, snakemake.output.history)
description = describe(
    built,
    train,
    read_splits(snakemake.input.splits),
    settings=settings,
    seed=seed,
    device=fabric.device.type,
    validation_auprc=float(history.loc[history["kept"] == 1, "validation_auprc"].iloc[-1]),
    sources=snakemake.params.sources,
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
