"""MEME files of motifs. Reading is memelite's; writing is here because neither memelite nor tangermeme does it."""

import numpy as np
from memelite.io import read_meme as read_matrices

from cisgrammar.files import atomic
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


def read_meme(path):
    """Read a MEME file.

    Returns a dict from the motif's id to (name, matrix), matrix a float array (4, width), rows ACGT, columns sum to 1;
    name is empty where the file gives none. Raises InputError when the file holds no motif.
    """
    found = {}
    for key, matrix in read_matrices(str(path)).items():
        identifier, _, name = key.partition(" ")
        found[identifier] = (name, np.ascontiguousarray(matrix / matrix.sum(axis=0)))
    if not found:
        raise InputError(f"{path}: no motif in MEME format; check the file")
    return found
