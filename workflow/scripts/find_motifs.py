from cisgrammar.log import start_log

start_log(snakemake.log[0])
import h5py
import numpy as np
import pandas as pd
from cisgrammar.comparison import add_evidence, match_runs, own_matrices
from cisgrammar.files import atomic, write_table
from cisgrammar.grammar import find_pairs, measure_pairs, to_known_frame
from cisgrammar.layers import one_hot
from cisgrammar.meme import read_meme, write_motifs
from cisgrammar.model import load_model, use_threads
from cisgrammar.motifs import compare_motifs, count_members, draw_logos, find_motifs, trim
from cisgrammar.sites import call_sites, mark_active, write_sites

use_threads(1)
settings, grammar, output = snakemake.params.motifs, snakemake.params.grammar, snakemake.output
search = [settings[name] for name in ("seqlet_p", "minimum_sites", "maximum")]
rng = np.random.default_rng(snakemake.params.seed)
known = read_meme(snakemake.input.known)
with h5py.File(snakemake.input.contributions, "r") as store:
    values, codes = store["contributions"][:], store["codes"][:]
    windows = {"chrom": store["chrom"].asstr()[:], "start": store["start"][:]}
motifs = find_motifs(values, codes, *search)
controls = {"untrained": [], "member": []}
with h5py.File(snakemake.input.controls, "r") as store:
    for name in store:
        found = find_motifs(store[name][:] * one_hot(codes).numpy(), codes, *search)
        controls[name.split("_")[0]].append(found)
runs = match_runs([[motif["matrix"] for motif in found] for found in controls["untrained"]], known)
families = pd.read_csv(snakemake.input.families, sep="\t", keep_default_na=False)
own = own_matrices(snakemake.wildcards.tf, known, dict(zip(families["jaspar_id"], families["tf_family"], strict=True)))
matches = compare_motifs(motifs, known, settings["matches"])
matches = add_evidence(matches, motifs, known, own, settings["shuffles"], rng, runs)
# A network of one member is its own only member.
members = controls["member"] or [motifs]
again = dict(zip((motif["id"] for motif in motifs), count_members(motifs, members, known), strict=True))
matches = matches.assign(members=matches["motif"].map(again), n_members=len(members))
with atomic(output.logos) as folder:
    folder.mkdir()
    best = matches.drop_duplicates("motif").set_index("motif")
    for motif in motifs:
        draw_logos(motif, known, best.loc[motif["id"]], folder / f"{motif['id']}.png")
write_motifs(motifs, output.motifs, output.jaspar, output.counts)
write_table(matches, output.matches, float_format="%.4g")

importance = pd.read_csv(snakemake.input.importance, sep="\t").set_index("id")
parts = []
for source, path, null, files in (
    ("windows", snakemake.input.filters, snakemake.input.untrained, output.filter_files),
    ("weights", snakemake.input.filter_weights, snakemake.input.untrained_weights, output.weight_files),
):
    filters = [
        {"id": key, "matrix": trim(100 * matrix), "n_sites": int(importance.loc[key, "n_sites"])}
        for key, (_, matrix) in read_meme(path, empty=True).items()
    ]
    runs, members = {}, {}
    for key, (_, matrix) in read_meme(null, empty=True).items():
        runs.setdefault(key.split("_member_")[0], []).append(trim(100 * matrix))
    for motif in filters:
        members.setdefault(motif["id"].split("_filter_")[0], []).append(motif)
    runs = match_runs(list(runs.values()), known)
    found = compare_motifs(filters, known, 1, runs.min(axis=0, initial=1))
    found = add_evidence(found, filters, known, own, settings["filter_shuffles"], rng, runs)
    # A member has filters enough for TOMTOM's null.
    found["members"], found["n_members"] = count_members(filters, members.values(), {}), len(members)
    parts.append(found.assign(source=source))
    sites = [m["n_sites"] if source == "windows" else 100 for m in filters]
    counts = [motif | {"matrix": motif["matrix"] / 100 * n} for motif, n in zip(filters, sites, strict=True)]
    write_motifs(counts, *files)
filters = pd.concat(parts).rename(columns={"motif": "filter"}).join(importance["importance"], on="filter")
write_table(filters.sort_values(["source", "importance"], ascending=False), output.filters, float_format="%.4g")

words = to_known_frame(motifs, matches, known, grammar["largest_q"])
sites = mark_active(call_sites(words, codes, values, grammar["site_p"]), values, grammar["active"])
write_sites(sites, windows, output.sites)
names = [motif["id"] for motif in motifs[: grammar["motifs"]]]
pairs, spacing = find_pairs(sites, names, *codes.shape, grammar["largest_gap"], grammar["permutations"], rng)
write_table(pairs, output.pairs, float_format="%.4g")
write_table(spacing, output.spacing)
network, description = load_model(snakemake.input.weights, snakemake.input.description)
more = len(description["channels"]), description["encoding"]
different = pairs[pairs["a"] != pairs["b"]]
wanted = (different if len(different) else pairs).head(grammar["pairs"])
found = measure_pairs(network, words, wanted, codes, grammar["backgrounds"], grammar["largest_gap"], *more, rng)
write_table(found, output.insertions)
