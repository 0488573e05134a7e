from cisgrammar.log import start_log

start_log(snakemake.log[0])
import h5py
import numpy as np
import pandas as pd
import torch
from cisgrammar.comparison import add_evidence, own_matrices
from cisgrammar.files import atomic, write_table
from cisgrammar.grammar import find_pairs, measure_pairs, to_known_frame
from cisgrammar.meme import count_table, read_meme, write_jaspar, write_meme
from cisgrammar.model import load_model
from cisgrammar.motifs import compare_motifs, draw_logos, find_motifs, trim
from cisgrammar.sites import call_sites, write_sites

torch.set_num_threads(1)
settings, grammar = snakemake.params.motifs, snakemake.params.grammar
rng = np.random.default_rng(snakemake.params.seed)
known = read_meme(snakemake.input.known)
with h5py.File(snakemake.input.contributions, "r") as store:
    values, codes = store["contributions"][:], store["codes"][:]
    windows = {"chrom": store["chrom"].asstr()[:], "start": store["start"][:]}
motifs = find_motifs(values, codes, settings["seqlet_p"], settings["minimum_sites"], settings["maximum"])
families = pd.read_csv(snakemake.input.families, sep="\t", keep_default_na=False)
own = own_matrices(snakemake.wildcards.tf, known, dict(zip(families["jaspar_id"], families["tf_family"], strict=True)))
untrained = [trim(100 * matrix) for _, matrix in read_meme(snakemake.input.untrained, empty=True).values()]
matches = compare_motifs(motifs, known, settings["matches"])
matches = add_evidence(matches, motifs, known, own, settings["shuffles"], rng, untrained)
with atomic(snakemake.output.logos) as folder:
    folder.mkdir()
    best = matches.drop_duplicates("motif").set_index("motif")
    for motif in motifs:
        draw_logos(motif, known, best.loc[motif["id"]], folder / f"{motif['id']}.png")
write_meme(motifs, snakemake.output.motifs)
write_jaspar(motifs, snakemake.output.jaspar)
write_table(count_table(motifs), snakemake.output.counts)
write_table(matches, snakemake.output.matches, float_format="%.4g")

importance = pd.read_csv(snakemake.input.importance, sep="\t").set_index("id")
parts = []
for source, path in (("windows", snakemake.input.filters), ("weights", snakemake.input.filter_weights)):
    filters = [
        {"id": key, "matrix": trim(100 * matrix), "n_sites": int(importance.loc[key, "n_sites"])}
        for key, (_, matrix) in read_meme(path, empty=True).items()
    ]
    found = add_evidence(compare_motifs(filters, known, 1), filters, known, own, 0, rng, untrained)
    parts.append(found.drop(columns=["null_p", "null_best"]).assign(source=source))
filters = pd.concat(parts).rename(columns={"motif": "filter"}).join(importance["importance"], on="filter")
write_table(
    filters.sort_values(["source", "importance"], ascending=False), snakemake.output.filters, float_format="%.4g"
)

words = to_known_frame(motifs, matches, known, grammar["largest_q"])
sites = call_sites(words, codes, values, grammar["site_p"])
write_sites(sites, windows, snakemake.output.sites)
names = [motif["id"] for motif in motifs[: grammar["motifs"]]]
pairs, spacing = find_pairs(sites, names, *codes.shape, grammar["largest_gap"], grammar["permutations"], rng)
write_table(pairs, snakemake.output.pairs, float_format="%.4g")
write_table(spacing, snakemake.output.spacing)
network, description = load_model(snakemake.input.weights, snakemake.input.description)
more = len(description["channels"]), description["encoding"]
wanted = pairs[pairs["a"] != pairs["b"]].head(grammar["pairs"])
found = measure_pairs(network, words, wanted, codes, grammar["backgrounds"], grammar["largest_gap"], *more, rng)
write_table(found, snakemake.output.insertions)
