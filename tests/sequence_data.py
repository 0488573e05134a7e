"""A small genome and windows of it, for the tests of the file of sequences."""

import pandas as pd

SEQUENCES = {"chr1": "ACGTNacgtnRYACGTTTTT", "chr2": "GGGGGCCCCCAAAAATTTTT", "chr3": "TTTTTTTTTTCATGACCCCC"}


def windows(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "name"])


def letters(codes):
    return ["".join("ACGTN-"[base] for base in row) for row in codes]
