from cisgrammar.log import start_log

start_log(snakemake.log[0])
import pandas as pd
from cisgrammar.consensus import choose_peaks
from cisgrammar.files import atomic

settings = snakemake.params
peaks = pd.read_csv(snakemake.input.peaks, sep="\t", dtype={"chrom": str})
pairs = pd.read_csv(snakemake.input.pairs, sep="\t", dtype={"a": str, "b": str})
kept = choose_peaks(peaks, pairs, settings.consensus, settings.at_least, settings.idr)
with open(snakemake.input.pooled) as called, atomic(snakemake.output[0]) as temporary, open(temporary, "w") as out:
    out.writelines(line for line, is_kept in zip(called, kept, strict=True) if is_kept)
