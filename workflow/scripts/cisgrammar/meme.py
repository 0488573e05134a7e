"""Files of motifs: MEME, JASPAR and a table of counts. Reading MEME is memelite's; neither it nor tangermeme writes any."""

import numpy as np
import pandas as pd
from memelite.io import read_meme as read_matrices

from cisgrammar.files import atomic, write_table
from cisgrammar.log import InputError


def write_meme(motifs, path):
    """Write motifs in the minimal MEME format, version 4.

    motifs: list of dicts with `id`, optional `name`, `matrix` (float array (4, width), rows ACGT, counts or
    probabilities; columns are scaled to sum to 1) and optional `n_sites`
    """
    with atomic(path) as temporary, open(temporary, "w") as handle:
        handle.write("MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n")
        handle.write("Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n")
        for motif in motifs:
            matrix = np.asarray(motif["matrix"], dtype=float)
            n_sites = motif.get("n_sites", max(1, round(matrix.sum(axis=0).max())))
            handle.write(f"MOTIF {motif['id']} {motif.get('name', '')}".rstrip() + "\n")
            handle.write(f"letter-probability matrix: alength= 4 w= {matrix.shape[1]} nsites= {n_sites} E= 0\n")
            handle.writelines(" ".join(f"{p:.6f}" for p in column) + "\n" for column in (matrix / matrix.sum(axis=0)).T)
            handle.write("\n")


def write_jaspar(motifs, path):
    """Write motifs in the JASPAR format, one row per base; what is written are the matrices as given, best counts.

    motifs: as for `write_meme`
    """
    with atomic(path) as temporary, open(temporary, "w") as handle:
        for motif in motifs:
            handle.write(f">{motif['id']}\t{motif.get('name', motif['id'])}\n")
            for base, row in zip("ACGT", np.asarray(motif["matrix"]), strict=True):
                handle.write(f"{base} [ {' '.join(f'{value:g}' for value in row)} ]\n")


def count_table(motifs):
    """Data frame motif, column (from 0), A, C, G, T of the matrices of motifs."""
    parts = [
        pd.DataFrame(np.asarray(motif["matrix"]).T, columns=list("ACGT"))
        .rename_axis("column")
        .reset_index()
        .assign(motif=motif["id"])
        for motif in motifs
    ]
    empty = pd.DataFrame(columns=["motif", "column", *"ACGT"])
    return pd.concat(parts)[list(empty.columns)] if parts else empty


def write_motifs(motifs, meme, jaspar, table):
    """Write motifs in the MEME format, in the JASPAR format and as a table of counts, to three paths."""
    write_meme(motifs, meme)
    write_jaspar(motifs, jaspar)
    write_table(count_table(motifs), table, float_format="%.6g")


def read_meme(path, empty=False):
    """Read a MEME file.

    empty: whether a file without a motif is fine

    Returns a dict from the motif's id to (name, matrix), matrix a float array (4, width), rows ACGT, columns sum to 1;
    name is empty where the file gives none. Raises InputError when the file holds no motif.
    """
    found = {}
    for key, matrix in read_matrices(str(path)).items():
        identifier, _, name = key.partition(" ")
        found[identifier] = (name, np.ascontiguousarray(matrix / matrix.sum(axis=0)))
    if not found and not empty:
        raise InputError(f"{path}: no motif in MEME format; check the file")
    return found
