from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.intervals import read_bed
from cisgrammar.sequences import write_sequences

write_sequences(
    read_bed(snakemake.input.peaks),
    read_bed(snakemake.input.negatives),
    snakemake.input.genome,
    snakemake.params.flank_bp,
    snakemake.output[0],
)
