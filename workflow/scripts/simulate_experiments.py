from cisgrammar.log import start_log

start_log(snakemake.log[0])
from pathlib import Path

from cisgrammar.meme import read_meme
from cisgrammar.simulation import simulate

motifs = {identifier: matrix for identifier, (_, matrix) in read_meme(snakemake.input.motifs).items()}
simulate(snakemake.params.design, motifs, Path(snakemake.output.genome).parent, snakemake.params.seed)
