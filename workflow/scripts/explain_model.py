from cisgrammar.log import start_log

start_log(snakemake.log[0])
import torch
from cisgrammar.interpretation import choose_windows, contributions, evidence, filter_matrices, write_contributions
from cisgrammar.meme import write_meme
from cisgrammar.model import load_model
from cisgrammar.sequences import read_sequences

torch.set_num_threads(1)
settings = snakemake.params.interpretation
network, _ = load_model(snakemake.input.weights, snakemake.input.description)
test = read_sequences(snakemake.input.sequences, "test")
rows, logits = choose_windows(network, test, settings["windows"])
codes = test["codes"][rows]
more = {"channels": None if test["channels"] is None else test["channels"][rows], "encoding": test["encoding"]}
values, deltas = contributions(
    network, codes, settings["shuffles"], snakemake.params.seed, settings["largest_delta"], **more
)
windows = {key: test[key][rows] for key in ("chrom", "start", "end")}
places = evidence(network, codes, **more) if network.has_evidence else None
write_contributions(snakemake.output.contributions, values, deltas, codes, windows, logits, places)
write_meme(filter_matrices(network, codes, **more) if network.reads_bases else [], snakemake.output.filters)
