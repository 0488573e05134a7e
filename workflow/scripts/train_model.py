from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.engine import Checkpoint, fingerprint, fit_folds
from cisgrammar.files import write_table
from cisgrammar.meme import read_meme
from cisgrammar.model import join_members, save_model
from cisgrammar.networks import describe_network, receptive_field
from cisgrammar.splits import read_splits
from cisgrammar.training import check_strands, describe, network_settings, read_folds, set_up, start_network

settings, seed = snakemake.params.training, snakemake.params.seed
fabric = set_up(snakemake.params.device, snakemake.threads, seed, settings["precision"])
folds = read_folds(snakemake.input.sequences, settings["folds"])
built = network_settings(settings, folds[0][0])
motifs = read_meme(snakemake.input.motifs[0]) if settings["start_from"] else {}
key = fingerprint([settings, built, seed, snakemake.threads], folds, snakemake.input.code)
checkpoint = Checkpoint(snakemake.output.weights, key, settings["checkpoint_s"])
train, validation = folds[-1]
networks, history = fit_folds(
    folds, lambda: start_network(built, settings, train["window_bp"], motifs), settings, seed, fabric, checkpoint
)
network, built = join_members(networks, built)
check_strands(network, validation)
write_table(history, snakemake.output.history)
write_table(describe_network(network, train["window_bp"]), snakemake.output.layers)
description = describe(
    built,
    receptive_field(network),
    train,
    read_splits(snakemake.input.splits),
    cell_type=snakemake.wildcards.cell_type,
    tf=snakemake.wildcards.tf,
    settings=settings,
    seed=seed,
    device=fabric.device.type,
    validation_auprc=float(history.loc[history["kept"] == 1, "validation_auprc"].mean()),
    sources=[],
)
save_model(network, description, snakemake.output.weights, snakemake.output.description)
checkpoint.clear()
