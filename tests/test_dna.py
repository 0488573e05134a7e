"""DNA as small integers: codes, the other strand, GC content."""

import numpy as np
from cisgrammar.dna import CODES, gc_fraction, reverse_complement_codes


def codes_of(*sequences):
    return np.array([["ACGTN-".index(base) for base in sequence] for sequence in sequences], dtype=np.uint8)


def test_codes_of_letters():
    letters = np.frombuffer(b"ACGTacgtNnRY-*", dtype=np.uint8)
    assert CODES[letters].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4]
    assert CODES.dtype == np.uint8


def test_reverse_complement():
    codes = codes_of("AACGN", "-TTT-")
    found = reverse_complement_codes(codes)
    np.testing.assert_array_equal(found, codes_of("NCGTT", "-AAA-"))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(reverse_complement_codes(found), codes)
    np.testing.assert_array_equal(reverse_complement_codes(codes[0]), codes_of("NCGTT")[0])
    assert reverse_complement_codes(np.zeros((0, 5), dtype=np.uint8)).shape == (0, 5)


def test_gc_fraction():
    np.testing.assert_allclose(
        gc_fraction(codes_of("ACGN", "AATT", "NNNN", "GCGC", "-GA-")), [2 / 3, 0, np.nan, 1, 0.5]
    )
    assert gc_fraction(np.zeros((0, 5), dtype=np.uint8)).shape == (0,)
