from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.covariates import open_store
from cisgrammar.extraction import tracks_of
from cisgrammar.files import check_complete, write_table
from cisgrammar.log import InputError
from cisgrammar.model import load_model, use_threads
from cisgrammar.predict import is_fasta, read_fasta, read_regions, score_sequences

use_threads(1)
path = snakemake.input.sequences
check_complete(path)
network, description = load_model(snakemake.input.weights, snakemake.input.description)
tracks = tracks_of(description["channels"], snakemake.input.channels)
if is_fasta(path):
    ids, codes, channels = *read_fasta(path, [track["name"] for track in tracks]), None
elif not snakemake.params.regions:
    raise InputError(
        f"{path}: regions are of one genome, and this run has several; add `genome` to {snakemake.wildcards.name} "
        "under `predict`, or give a FASTA file"
    )
else:
    ids, codes, channels = read_regions(path, open_store(snakemake.input.store), tracks)
rng = np.random.default_rng(description["seed"])
scores = score_sequences(network, codes, description["window_bp"], rng, channels, description["encoding"])
write_table(pd.DataFrame({"id": ids, "score": scores}), snakemake.output[0])
