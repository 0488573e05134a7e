from cisgrammar.log import start_log

start_log(snakemake.log[0])
import h5py
import torch
from cisgrammar.files import atomic, write_table
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.motifs import compare_motifs, draw_logos, find_motifs

torch.set_num_threads(1)
settings = snakemake.params.motifs
known = read_meme(snakemake.input.known)
with h5py.File(snakemake.input.contributions, "r") as store:
    values, codes = store["contributions"][:], store["codes"][:]
motifs = find_motifs(values, codes, settings["seqlet_p"], settings["minimum_sites"], settings["maximum"])
matches = compare_motifs(motifs, known, settings["matches"])
with atomic(snakemake.output.logos) as folder:
    folder.mkdir()
    best = matches.drop_duplicates("motif").set_index("motif")
    for motif in motifs:
        draw_logos(motif, known, best.loc[motif["id"]], folder / f"{motif['id']}.png")
write_meme(motifs, snakemake.output.motifs)
write_table(matches, snakemake.output.matches, float_format="%.4g")
