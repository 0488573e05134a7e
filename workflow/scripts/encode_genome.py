from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.covariates import write_store
from cisgrammar.splits import read_splits

splits = read_splits(snakemake.input.splits)
signals = list(zip(snakemake.params.signals, snakemake.input.signals, strict=True))
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
write_store(snakemake.input.genome, lengths, snakemake.output[0], signals)
