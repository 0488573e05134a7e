from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.consensus import support
from cisgrammar.files import write_table
from cisgrammar.intervals import read_bed
from cisgrammar.peaks import read_peaks

paths = zip(snakemake.params.names, snakemake.input.replicates, strict=True)
replicates = {name: read_peaks([path]) for name, path in paths}
write_table(support(read_bed(snakemake.input.peaks), replicates), snakemake.output[0])
