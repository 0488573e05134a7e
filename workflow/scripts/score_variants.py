from cisgrammar.log import start_log

start_log(snakemake.log[0])
import pandas as pd
from cisgrammar.covariates import open_store
from cisgrammar.extraction import tracks_of
from cisgrammar.files import write_table
from cisgrammar.model import load_model, use_threads
from cisgrammar.variants import prepare_variants, read_variants, score_variants

use_threads(1)
store = open_store(snakemake.input.store)
table = prepare_variants(read_variants(snakemake.input.variants), store)
parts = []
for name, weights, description in zip(
    snakemake.params.models, snakemake.input.weights, snakemake.input.descriptions, strict=True
):
    network, described = load_model(weights, description)
    tracks = tracks_of(described["channels"], snakemake.input.channels)
    scores = score_variants(network, table, store, described["window_bp"], tracks, described["encoding"])
    parts.append(table.drop(columns="status").assign(model=name).join(scores))
found = pd.concat(parts).sort_values(["row", "model"], kind="stable")
write_table(found, snakemake.output[0])
