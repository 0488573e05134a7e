from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.consensus import compare_replicates
from cisgrammar.files import write_table
from cisgrammar.peaks import read_peaks

paths = zip(snakemake.params.names, snakemake.input.replicates, strict=True)
peaks, pairs = compare_replicates(
    read_peaks([snakemake.input.pooled]),
    {name: read_peaks([path]) for name, path in paths},
    snakemake.params.idr,
    np.random.default_rng(snakemake.params.seed),
)
write_table(peaks, snakemake.output.peaks)
write_table(pairs, snakemake.output.pairs)
