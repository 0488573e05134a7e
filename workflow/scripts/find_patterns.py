import os

from cisgrammar.log import start_log

start_log(snakemake.log[0])
os.environ["NUMBA_NUM_THREADS"] = str(snakemake.threads)  # modisco-lite reads it when it is imported
import h5py
import numpy as np
import pandas as pd
from cisgrammar.comparison import add_evidence, match_runs, own_matrices
from cisgrammar.files import write_table
from cisgrammar.meme import read_meme, write_motifs
from cisgrammar.modisco import find_patterns
from cisgrammar.motifs import compare_motifs

settings, output = snakemake.params.motifs, snakemake.output
search = settings["seqlets"], settings["minimum_sites"]
known = read_meme(snakemake.input.known)
with h5py.File(snakemake.input.contributions, "r") as store:
    values, codes = store["hypothetical"][:], store["codes"][:]
patterns = find_patterns(values, codes, *search)
with h5py.File(snakemake.input.controls, "r") as store:
    runs = [find_patterns(store[name][:], codes, *search) for name in store if name.startswith("untrained")]
runs = match_runs([[pattern["matrix"] for pattern in run] for run in runs], known)
families = pd.read_csv(snakemake.input.families, sep="\t", keep_default_na=False)
own = own_matrices(snakemake.wildcards.tf, known, dict(zip(families["jaspar_id"], families["tf_family"], strict=True)))
matches = compare_motifs(patterns, known, settings["matches"])
rng = np.random.default_rng(snakemake.params.seed)
write_motifs(patterns, output.motifs, output.jaspar, output.counts)
matches = add_evidence(matches, patterns, known, own, settings["shuffles"], rng, runs)
write_table(matches, output.matches, float_format="%.4g")
