from cisgrammar.log import start_log

start_log(snakemake.log[0])
import pandas as pd
import torch
from cisgrammar.files import check_complete, write_table
from cisgrammar.model import load_model
from cisgrammar.predict import is_fasta, read_fasta, read_regions, score_sequences
from cisgrammar.splits import read_splits

torch.set_num_threads(1)
path = snakemake.input.sequences
check_complete(path)
if is_fasta(path):
    ids, codes = read_fasta(path)
else:
    splits = read_splits(snakemake.input.splits)
    lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
    ids, codes = read_regions(path, snakemake.input.genome, lengths)
network, description = load_model(snakemake.input.weights, snakemake.input.description)
scores = score_sequences(network, codes, description["window_bp"])
write_table(pd.DataFrame({"id": ids, "score": scores}), snakemake.output[0])
