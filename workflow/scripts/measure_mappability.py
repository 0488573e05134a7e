from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.mappability import measure_mappability
from cisgrammar.splits import read_splits

splits = read_splits(snakemake.input.splits)
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
memory_bytes = (snakemake.resources.mem_mb - 700) * 10**6  # for Python, its libraries and, on a cluster, Snakemake
measure_mappability(snakemake.input.genome, lengths, snakemake.params.read_bp, snakemake.output[0], memory_bytes)
