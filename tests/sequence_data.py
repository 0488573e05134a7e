"""Sequences as codes, and a small genome and windows of it."""

import numpy as np
import pandas as pd
from cisgrammar.dna import CODES

SEQUENCES = {"chr1": "ACGTNacgtnRYACGTTTTT", "chr2": "GGGGGCCCCCAAAAATTTTT", "chr3": "TTTTTTTTTTCATGACCCCC"}


def windows(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "name"])


def letters(codes):
    return ["".join("ACGTN-"[base] for base in row) for row in codes]


def codes_of(sequence):
    return CODES[np.frombuffer(sequence.encode(), dtype=np.uint8)]
