from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import write_table
from cisgrammar.intervals import read_bed, write_bed
from cisgrammar.peaks import center_peaks, read_peaks
from cisgrammar.splits import read_splits

peaks = read_peaks(snakemake.input.peaks)
windows, counts = center_peaks(
    peaks,
    read_splits(snakemake.input.splits),
    read_bed(snakemake.input.blacklist),
    snakemake.input.genome,
    **dict(snakemake.params),
)
write_bed(peaks, snakemake.output.regions)
write_bed(windows, snakemake.output.peaks)
write_table(counts, snakemake.output.counts)
