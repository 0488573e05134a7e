from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.engine import Checkpoint, fingerprint
from cisgrammar.files import write_table
from cisgrammar.model import load_model
from cisgrammar.sequences import read_sequences
from cisgrammar.splits import read_splits
from cisgrammar.training import read_task, set_up
from cisgrammar.transfer import check_origin, measure_curve

settings, transfer, seed = snakemake.params.training, snakemake.params.transfer, snakemake.params.seed
target = f"{snakemake.wildcards.cell_type}/{snakemake.wildcards.tf}"
fabric = set_up(snakemake.params.device, snakemake.threads, seed, settings["precision"])
splits = read_splits(snakemake.input.splits)
train = read_task(snakemake.input.sequences, "train", flank=True)
validation = read_task(snakemake.input.sequences, "validation")
paths = list(zip(snakemake.params.names, snakemake.input.weights, snakemake.input.descriptions, strict=True))
chromosomes = {split: sorted(rows["chrom"]) for split, rows in splits.groupby("split")}


def load_sources():
    return {name: load_model(weights, description) for name, weights, description in paths}


for name, (_, origin) in load_sources().items():
    check_origin(origin, target, chromosomes, train["genome"], name)
files = [*snakemake.input.code, *snakemake.input.weights]
key = fingerprint([settings, transfer, seed, snakemake.threads], [(train, validation)], files)
checkpoint = Checkpoint(snakemake.output[0], key)
curve = measure_curve(
    load_sources,
    (train, validation, read_sequences(snakemake.input.sequences, "test")),
    settings,
    transfer,
    fabric,
    seed,
    snakemake.wildcards.sources == "related",
    checkpoint,
)
write_table(curve, snakemake.output[0])
checkpoint.clear()
