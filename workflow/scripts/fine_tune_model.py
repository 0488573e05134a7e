from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.engine import Checkpoint, fingerprint
from cisgrammar.files import write_table
from cisgrammar.model import load_model, save_model
from cisgrammar.networks import receptive_field
from cisgrammar.splits import read_splits
from cisgrammar.training import check_strands, describe, network_settings, read_task, set_up
from cisgrammar.transfer import check_chromosomes, fine_tune, take_trunk

settings, seed = snakemake.params.training, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed, settings["precision"])
train = read_task(snakemake.input.sequences, "train", flank=True)
validation = read_task(snakemake.input.sequences, "validation")
pretrained, origin = load_model(snakemake.input.weights, snakemake.input.description)
built = network_settings(settings, train)
network = take_trunk(pretrained, built)
description = describe(
    built,
    receptive_field(network),
    train,
    read_splits(snakemake.input.splits),
    cell_type=snakemake.wildcards.cell_type,
    tf=snakemake.wildcards.tf,
    settings={**settings, **snakemake.params.transfer},
    seed=seed,
    device=fabric.device.type,
    sources=origin["sources"],
)
check_chromosomes(origin, description["chromosomes"])
files = [*snakemake.input.code, snakemake.input.weights]
key = fingerprint([description, snakemake.threads], [(train, validation)], files)
checkpoint = Checkpoint(snakemake.output.weights, key, settings["checkpoint_s"])
history = fine_tune(
    network,
    train,
    validation,
    settings,
    snakemake.params.transfer["head_epochs"],
    snakemake.params.transfer["learning_rate_ratio"],
    fabric,
    np.random.default_rng(seed),
    checkpoint,
)
check_strands(network, validation)
write_table(history, snakemake.output.history)
description["validation_auprc"] = float(history.loc[history["kept"] == 1, "validation_auprc"].iloc[-1])
save_model(network, description, snakemake.output.weights, snakemake.output.description)
checkpoint.clear()
