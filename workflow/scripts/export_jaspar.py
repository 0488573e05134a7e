from cisgrammar.log import start_log

start_log(snakemake.log[0])
import pandas as pd
from cisgrammar.files import write_table
from cisgrammar.jaspar import read_jaspar
from cisgrammar.meme import write_meme

jaspar = snakemake.params.jaspar
motifs = read_jaspar(jaspar["release"], jaspar["collection"], jaspar["taxon"], jaspar["all_versions"])
table = pd.DataFrame(motifs).drop(columns="counts")
write_table(table, snakemake.output.table)
write_meme(
    [{"id": motif["jaspar_id"], "name": motif["name"], "matrix": motif["counts"] + 0.01} for motif in motifs],
    snakemake.output.motifs,
)
