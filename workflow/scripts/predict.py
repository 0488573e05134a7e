"""Score sequences with a model's folder alone: `python workflow/scripts/predict.py --help`."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from cisgrammar.covariates import open_store, write_store
from cisgrammar.files import check_complete
from cisgrammar.log import InputError
from cisgrammar.model import load_model, use_threads
from cisgrammar.predict import is_fasta, read_fasta, read_regions, score_sequences
from pyfaidx import Faidx

parser = argparse.ArgumentParser(
    description="Write id and score (probability of being bound) of each sequence as a table."
)
parser.add_argument("model", help="folder with model.safetensors and model.json, as results/training/K562/GATA1")
parser.add_argument("sequences", help="FASTA, or BED of regions of the genome; plain or gzip")
parser.add_argument("--genome", help="FASTA file of the genome, for BED")
given = parser.parse_args()
use_threads(1)
try:
    check_complete(given.sequences)
    network, description = load_model(*(Path(given.model) / name for name in ("model.safetensors", "model.json")))
    names = [channel["name"] for channel in description["channels"]]
    if is_fasta(given.sequences):
        ids, codes = read_fasta(given.sequences, names)
    elif names:
        raise InputError(
            f"{given.model}: the model also reads {', '.join(names)}; score it in the workflow (`predict`)"
        )
    elif not given.genome:
        raise InputError(f"{given.sequences}: for regions give the genome, too (--genome FASTA)")
    else:
        lengths = {name: record.rlen for name, record in Faidx(given.genome).index.items()}
        with TemporaryDirectory() as folder:
            write_store(given.genome, lengths, Path(folder) / "store")
            ids, codes, _ = read_regions(given.sequences, open_store(Path(folder) / "store"))
    rng = np.random.default_rng(description["seed"])
    scores = score_sequences(network, codes, description["window_bp"], rng, None, description["encoding"])
except (InputError, FileNotFoundError) as error:
    sys.exit(f"Error: {error}")
pd.DataFrame({"id": ids, "score": scores}).to_csv(sys.stdout, sep="\t", index=False, float_format="%.6g")
