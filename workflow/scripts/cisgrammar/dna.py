"""DNA as small integers: 0, 1, 2, 3 for A, C, G, T, 4 for anything else, 5 for padding, where there is no base."""

import numpy as np

UNKNOWN, PADDING = 4, 5
CODES = np.full(256, UNKNOWN, dtype=np.uint8)
for code, base in enumerate("ACGT"):
    CODES[[ord(base), ord(base.lower())]] = code


def reverse_complement_codes(codes):
    """Codes of the other strand: reversed, A and T, C and G exchanged, others kept; array (..., bases)."""
    return np.where(codes < 4, 3 - codes, codes).astype(np.uint8)[..., ::-1]


def gc_fraction(codes):
    """Share of G and C among the known bases of each sequence; nan where no base is known.

    codes: uint8 array (sequences, bases). Returns a float array (sequences,).
    """
    known = (codes < 4).sum(axis=1)
    gc = ((codes == 1) | (codes == 2)).sum(axis=1)
    return np.divide(gc, known, out=np.full(len(codes), np.nan), where=known > 0)
