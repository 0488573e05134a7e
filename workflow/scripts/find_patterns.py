from cisgrammar.log import start_log

start_log(snakemake.log[0])
import h5py
from cisgrammar.files import write_table
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.modisco import find_patterns
from cisgrammar.motifs import compare_motifs

settings = snakemake.params.motifs
with h5py.File(snakemake.input.contributions, "r") as store:
    values, codes = store["hypothetical"][:], store["codes"][:]
patterns = find_patterns(values, codes, settings["seqlets"], settings["minimum_sites"])
write_meme(patterns, snakemake.output.motifs)
matches = compare_motifs(patterns, read_meme(snakemake.input.known), settings["matches"])
write_table(matches, snakemake.output.matches, float_format="%.4g")
