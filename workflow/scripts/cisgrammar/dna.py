"""DNA as small integers: 0, 1, 2, 3 for A, C, G, T and 4 for anything else."""

import numpy as np

CODES = np.full(256, 4, dtype=np.uint8)
for code, base in enumerate("ACGT"):
    CODES[[ord(base), ord(base.lower())]] = code


def reverse_complement_codes(codes):
    """Codes of the other strand: reversed, A and T, C and G exchanged, unknown kept; array (..., bases)."""
    return np.where(codes < 4, 3 - codes, 4).astype(np.uint8)[..., ::-1]


def gc_fraction(codes):
    """Share of G and C among the known bases of each sequence; nan where no base is known.

    codes: uint8 array (sequences, bases). Returns a float array (sequences,).
    """
    known = (codes < 4).sum(axis=1)
    gc = ((codes == 1) | (codes == 2)).sum(axis=1)
    return np.divide(gc, known, out=np.full(len(codes), np.nan), where=known > 0)
