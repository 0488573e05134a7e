"""Mappability: on which stretches of the genome a read of k bases can be placed without doubt.

A k-mer counts with its reverse complement as one word, since a read does not tell its strand. It is unique when the word
occurs once in the genome; this is GEM mappability (Derrien et al. 2012, PLoS ONE 7:e30377) with no mismatches, and their
score 1/occurrences cut to 1 for one occurrence and 0 otherwise. K-mers with an unknown base are 0.

The words go through a hash table that holds where each distinct word occurs first. The table of all words would not fit
in memory, so the genome is read several times, each time for the words of another range of hashes. Words are told apart
by their bases and not by their hashes, so the answer is exact and does not depend on the number of passes.
"""

import logging
from itertools import pairwise

import numpy as np
from numba import njit

from cisgrammar.covariates import CHUNK, array_file, encode_chromosome, read_index
from cisgrammar.files import atomic
from cisgrammar.log import InputError

SMALLEST_K, LARGEST_K = 10, 500
MOST_PASSES, MOST_SLOTS = 256, 1 << 32  # the 24 bits of a hash in a slot then say more than pass and slot
LOAD, FULL = 0.7, 0.9  # share of the slots that are planned to be taken, and where a pass stops and is cut in two
BATCH = 1024  # words that are hashed before they are looked up, so that their slots are fetched from memory together

RADIX = 0x9E3779B97F4A7C15  # multiplier of the rolling hash; odd, so that it has an inverse
VALUES = (0x2545F4914F6CDD1D, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB)  # of A, C, G, T

POSITION_BITS = np.uint64(40)
POSITION = np.uint64((1 << 40) - 1)
MARK = np.uint64((1 << 24) - 1)
HALF = np.uint64(0xFFFFFFFF)
TWOS, FOURS = np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
EIGHTS, SIXTEENS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
U0, U1, U2, U3, U4, U5, U6, U8, U16, U27, U30, U31, U32, U63, U64 = map(
    np.uint64, (0, 1, 2, 3, 4, 5, 6, 8, 16, 27, 30, 31, 32, 63, 64)
)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def measure_mappability(fasta, lengths, k, path, memory_bytes):
    """Write, for each base of a genome, whether the k-mer with its middle there is unique on both strands.

    fasta: path of a plain FASTA file; its index (.fai) is written beside it where that is missing or older
    lengths: dict of chromosome name to length in bp; k-mers are counted on all of these chromosomes together
    k: length of the reads in bp, 10 to 500
    path: .npy file, written whole or not at all: uint8 array (bases,), the chromosomes one after the other in the order
        of `lengths`. Base i + k // 2 of a chromosome is 1 when its bases i .. i + k - 1 are all known and occur nowhere
        else in the genome, forwards or as reverse complement; all other bases are 0. A k-mer that is its own reverse
        complement and stands in one place is unique. Small and capital letters are the same.
    memory_bytes: for the arrays: half a byte per base, and the table of 8 bytes per slot. The fewer slots, the more
        passes over the genome, with the same result. Before, one chromosome is in memory at a time.
    Raises InputError when k is out of range, the lengths do not fit the FASTA file, or memory_bytes would need more than
    MOST_PASSES passes.
    """
    if not SMALLEST_K <= k <= LARGEST_K:
        raise InputError(f"mappability with k = {k} bp: k is the length of the reads, {SMALLEST_K} to {LARGEST_K} bp")
    n_bases = sum(lengths.values())
    index = read_index(fasta, lengths)
    packed, valid = pack_genome(
        (encode_chromosome(fasta, chrom, index[chrom], length) for chrom, length in lengths.items()), n_bases, k
    )
    n_kmers = int(np.bitwise_count(valid).sum())
    n_slots, n_passes = plan_passes(n_bases, n_kmers, memory_bytes)
    logging.info("mappability: %d k-mers of %d bp, %d slots, %d passes", n_kmers, k, n_slots, n_passes)
    unique = find_unique(packed, valid, n_bases, k, n_slots, n_passes)
    n_unique = int(np.bitwise_count(unique).sum())
    logging.info("mappability: %d of %d k-mers are unique (%.4f)", n_unique, n_kmers, n_unique / max(1, n_kmers))
    with atomic(path) as temporary, array_file(temporary, np.uint8, (n_bases,)) as handle:
        for start in range(0, n_bases, CHUNK):
            spread_bits(unique, start, min(start + CHUNK, n_bases), k // 2).tofile(handle)


def plan_passes(n_bases, n_kmers, memory_bytes):
    """Slots of the table and number of passes that keep within `memory_bytes`.

    Raises InputError when more than MOST_PASSES passes would be needed.
    """
    fixed = n_bases // 2 + 1024  # packed bases, valid and unique k-mers
    wanted = int(n_kmers / LOAD) + 64
    n_slots = min(wanted, (memory_bytes - fixed) // 8, MOST_SLOTS)
    fewest = -(-wanted // MOST_PASSES)
    if n_slots < fewest:
        raise InputError(
            f"mappability of {n_bases} bases within {memory_bytes / 1e6:.3f} MB would take more than {MOST_PASSES} passes; "
            f"raise mem_mb of the rule measure_mappability by {(fixed + 8 * fewest - memory_bytes) / 1e6:.3f} or more"
        )
    return n_slots, -(-wanted // n_slots)


def pack_genome(chromosomes, n_bases, k):
    """Two bits per base and one bit per valid k-mer.

    chromosomes: iterable of uint8 arrays (bases,), in all of `n_bases`: 0..3 for ACGT, 4 unknown, +8 where soft-masked
    Returns packed, uint64 array of 32 bases a word from the low bits up, unknown bases as A, with at least one more
    word at the end; and valid, uint64 array of 64 bits a word, 1 where a k-mer starts that is known and lies in one
    chromosome.
    """
    packed = np.zeros(n_bases // 32 + 2, dtype=np.uint64)
    valid = np.zeros(n_bases // 64 + 1, dtype=np.uint64)
    first = 0
    for codes in chromosomes:
        pack_bases(codes, first, k, packed, valid)
        first += len(codes)
    return packed, valid


def find_unique(packed, valid, n_bases, k, n_slots, n_passes):
    """Bits as in `valid`, 1 for the k-mers that occur once.

    packed, valid: as from `pack_genome`
    n_slots: slots of the hash table, 8 bytes each; n_passes: passes over the genome, each with its range of hashes. A
        pass with too many words for the table is cut in two.
    Raises MemoryError when the words of a single hash fill the table.
    """
    unique = valid.copy()
    table = np.empty(n_slots, dtype=np.uint64)
    edges = [(i << 32) // n_passes for i in range(n_passes + 1)]
    ranges = list(pairwise(edges))[::-1]
    hashing = rolling_constants(k)
    while ranges:
        low, high = ranges.pop()
        table[:] = 0
        n_words = one_pass(
            packed, valid, unique, n_bases, k, *hashing, table, int(n_slots * FULL), np.uint64(low), np.uint64(high)
        )
        if n_words >= 0:
            logging.info("mappability: %d words in a pass, %d passes left", n_words, len(ranges))
        elif high - low > 1:
            middle = (low + high) // 2
            ranges += [(middle, high), (low, middle)]
        else:
            raise MemoryError(f"more than {int(n_slots * FULL)} words with one hash; give more memory")
    return unique


def rolling_constants(k):
    """Constants of the rolling hash of k-mers, modulo 2**64.

    The hash of a word w is sum(VALUES[w[i]] * RADIX**(k - 1 - i)), and that of its reverse complement therefore
    sum(VALUES[3 - w[i]] * RADIX**i).
    Returns values (4,), the factor of a step forwards and its inverse, and what a step adds to the one and the other
    hash, (16,) at 4 * leaving base + entering base; all uint64.
    """
    modulus = 1 << 64
    inverse, top = pow(RADIX, -1, modulus), pow(RADIX, k - 1, modulus)
    forward, backward = [], []
    for leaving in range(4):
        for entering in range(4):
            forward.append((VALUES[entering] - VALUES[leaving] * top * RADIX) % modulus)
            backward.append((VALUES[3 - entering] * top - VALUES[3 - leaving] * inverse) % modulus)
    return (
        np.array(VALUES, dtype=np.uint64),
        np.uint64(RADIX),
        np.uint64(inverse),
        np.array(forward, dtype=np.uint64),
        np.array(backward, dtype=np.uint64),
    )


@njit(cache=True)
def pack_bases(codes, first, k, packed, valid):
    """Pack a chromosome whose first base is base `first` of the genome."""
    known = 0
    for j in range(codes.size):
        i = first + j
        code = np.uint64(codes[j]) & np.uint64(7)
        if code < U4:
            packed[i >> 5] |= code << np.uint64(2 * (i & 31))
            known += 1
            if known >= k:
                valid[(i - k + 1) >> 6] |= U1 << np.uint64((i - k + 1) & 63)
        else:
            known = 0


@njit(cache=True)
def spread_bits(words, start, end, shift):
    """Bits start - shift .. end - shift as a uint8 array of 0 and 1; 0 before the first bit."""
    values = np.zeros(end - start, dtype=np.uint8)
    for i in range(max(start, shift), end):
        values[i - start] = (words[(i - shift) >> 6] >> np.uint64((i - shift) & 63)) & U1
    return values


@njit(cache=True)
def bases_at(packed, i, n):
    """The n <= 32 bases from i on, in the low 2 * n bits."""
    shift = (i & U31) << U1
    word = packed[i >> U5] >> shift
    if shift:
        word |= packed[(i >> U5) + U1] << (U64 - shift)
    return word & (ALL >> (U64 - (n << U1)))


@njit(cache=True)
def reverse_complement(word, n):
    """Reverse complement of n <= 32 bases in the low 2 * n bits."""
    word = ~word
    word = ((word >> U2) & TWOS) | ((word & TWOS) << U2)
    word = ((word >> U4) & FOURS) | ((word & FOURS) << U4)
    word = ((word >> U8) & EIGHTS) | ((word & EIGHTS) << U8)
    word = ((word >> U16) & SIXTEENS) | ((word & SIXTEENS) << U16)
    word = (word >> U32) | (word << U32)
    return word >> (U64 - (n << U1))


@njit(cache=True)
def same_word(packed, a, b, k):
    """Whether the k-mers at a and b are equal or each other's reverse complement."""
    done, equal = U0, True
    while done < k and equal:
        n = min(U32, k - done)
        equal = bases_at(packed, a + done, n) == bases_at(packed, b + done, n)
        done += n
    if equal:
        return True
    done, equal = U0, True
    while done < k and equal:
        n = min(U32, k - done)
        other = bases_at(packed, b + k - done - n, n)
        equal = bases_at(packed, a + done, n) == reverse_complement(other, n)
        done += n
    return equal


@njit(cache=True)
def mixed(word):
    """The bits of a word stirred, one to one (the last step of SplitMix64, Steele et al. 2014)."""
    word = (word ^ (word >> U30)) * MIX_1
    word = (word ^ (word >> U27)) * MIX_2
    return word ^ (word >> U31)


@njit(cache=True)
def one_pass(
    packed, valid, unique, n_bases, k, values, radix, inverse, forward, backward, table, most_words, low, high
):
    """Look up all valid k-mers whose hash has its lower half in low..high, and clear the bits of repeats in `unique`.

    table: uint64 array (slots,), all zero; a slot is empty (0) or has 40 bits of 1 + the first place of a word and 24
    bits of its hash. The upper half of the hash tells the slot, and a word goes to the next free one.
    Returns the number of distinct words; -1, the work being half done, when they are more than `most_words`. A pass that
    is done again changes nothing that was right.
    """
    n_starts = n_bases - k + 1
    if n_starts < 1:
        return 0
    length, slots = np.uint64(k), np.uint64(table.size)
    hashes, places = np.empty(BATCH, dtype=np.uint64), np.empty(BATCH, dtype=np.uint64)
    plus = minus = U0
    for i in range(k):
        base = bases_at(packed, np.uint64(k - 1 - i), U1)
        minus = minus * radix + values[U3 - base]
        plus = plus * radix + values[bases_at(packed, np.uint64(i), U1)]
    n_words = 0
    start = 0
    while start < n_starts:
        m = 0
        while start < n_starts and m < BATCH:
            i = np.uint64(start)
            word = mixed(min(plus, minus))
            hashes[m], places[m] = word, i
            key = word & HALF
            m += ((valid[i >> U6] >> (i & U63)) & U1 == U1) & (key >= low) & (key < high)
            leaving = (packed[i >> U5] >> ((i & U31) << U1)) & U3
            last = i + length
            entering = (packed[last >> U5] >> ((last & U31) << U1)) & U3
            step = (leaving << U2) | entering
            plus = plus * radix + forward[step]
            minus = minus * inverse + backward[step]
            start += 1
        fetched = U0
        for j in range(m):
            fetched |= table[((hashes[j] >> U32) * slots) >> U32]
        if not fetched and n_words > most_words:  # the loads of the loop above must not be dropped as useless
            return -1
        for j in range(m):
            word, i = hashes[j], places[j]
            slot = ((word >> U32) * slots) >> U32
            mark = (word & MARK) << POSITION_BITS
            while True:
                held = table[slot]
                if not held:
                    if n_words == most_words:
                        return -1
                    table[slot] = mark | (i + U1)
                    n_words += 1
                    unique[i >> U6] |= U1 << (i & U63)
                    break
                if held & ~POSITION == mark:
                    first = (held & POSITION) - U1
                    if same_word(packed, first, i, length):
                        unique[i >> U6] &= ~(U1 << (i & U63))
                        unique[first >> U6] &= ~(U1 << (first & U63))
                        break
                slot += U1
                if slot == slots:
                    slot = U0
    return n_words
