"""Covariates of windows: composition, repeats and signals from a store with running sums, and distance to a TSS.

The store is a folder, written once per genome, that is read through memory maps:
  store.json   block_bp; chromosomes: {chrom, length_bp, first_base, first_row} of each; counts, signals: column names
  codes.npy    uint8 (bases), the chromosomes one after the other: 0..3 for ACGT, 4 unknown, +8 where soft-masked
  counts.npy   uint32 (rows, 13), running sums at every block_bp bases: row i of a chromosome is the sum over its first
               i * block_bp bases, its first row is zero and its last row is the sum over the whole chromosome
  signals.npy  float64 (rows, signals), the same running sums of signals per base; absent without signals
A dinucleotide is pooled with its reverse complement and counts at its first base, where both bases are known.
"""

import csv
import json
import logging
import mmap
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx
from numba import njit

from cisgrammar.files import DAMAGE, atomic, open_text
from cisgrammar.log import InputError

BLOCK_BP = 64
PAIRS = ("AA", "AC", "AG", "AT", "CA", "CC", "CG", "GA", "GC", "TA")
COUNTS = ("known", "masked", "gc", *PAIRS)
CPG = COUNTS.index("CG")
DINUCLEOTIDES = ("aa", "ac", "ag", "at", "ca", "cc", "cg", "ga", "gc_step", "ta")  # `gc` is the GC content
COMPOSITION = ("gc", "cpg", *DINUCLEOTIDES, "repeats", "unknown")
FARTHEST_BP = 10_000_000  # a distance to a TSS is cut here, and is this where a chromosome has none

UNKNOWN_CELL = 255
MASKED = 8
CHUNK = 1 << 24  # bases or bytes in one step; a multiple of BLOCK_BP
ROWS = 1_000_000  # rows of a text file in one step
SIGNAL_KINDS = {
    ".bw": "bigWig",
    ".bigwig": "bigWig",
    ".bedgraph": "bedGraph",
    ".bdg": "bedGraph",
    ".bg": "bedGraph",
    ".bed": "BED",
    ".narrowpeak": "BED",
    ".broadpeak": "BED",
    ".npy": "npy",
}


def byte_codes():
    """Table of 256 bytes from a letter of a FASTA file to its code; 255 for what does not belong there."""
    table = np.full(256, 255, dtype=np.uint8)
    for letter in range(ord("A"), ord("Z") + 1):
        table[[letter, letter + 32]] = 4, 4 + MASKED
    table[[ord("*"), ord("-")]] = 4
    for code, letter in enumerate("ACGT"):
        table[[ord(letter), ord(letter.lower())]] = code, code + MASKED
    return table


def pair_columns():
    """Column in COUNTS of each pair of codes 0 to 7, int64 array (8, 8); len(COUNTS) where a base is unknown."""
    table = np.full((8, 8), len(COUNTS), dtype=np.int64)
    for first, a in enumerate("ACGT"):
        for second, b in enumerate("ACGT"):
            opposite = "ACGT"[3 - second] + "ACGT"[3 - first]
            table[first, second] = COUNTS.index(a + b if a + b in PAIRS else opposite)
    return table


BYTE_CODES = byte_codes().tobytes()
PAIR_COLUMNS = pair_columns()


@njit(cache=True)
def add_bases(codes, start, end, sign, totals):
    """Add `sign` times the counts of the bases start..end of a chromosome to `totals`, int64 array (14,).

    The last of the totals is no count: pairs with an unknown base go there, which is faster than to ask.
    """
    if start >= end:
        return
    known, masked, n_gc = 0, 0, 0
    code = codes[start] & 7
    masked_bits = codes[start] >> 3
    for i in range(start, end):
        following = codes[i + 1] if i + 1 < codes.size else 4
        known += code < 4
        masked += masked_bits
        n_gc += (code == 1) | (code == 2)
        totals[PAIR_COLUMNS[code, following & 7]] += sign
        code, masked_bits = following & 7, following >> 3
    totals[0] += sign * known
    totals[1] += sign * masked
    totals[2] += sign * n_gc


@njit(cache=True)
def running_counts(codes, block_bp):
    """Running sums of a chromosome at every `block_bp` bases, uint32 array (rows, 13)."""
    rows = np.zeros(((codes.size + block_bp - 1) // block_bp + 1, 13), dtype=np.uint32)
    totals = np.zeros(14, dtype=np.int64)
    for row in range(1, rows.shape[0]):
        add_bases(codes, (row - 1) * block_bp, min(row * block_bp, codes.size), 1, totals)
        for column in range(13):
            rows[row, column] = totals[column]
    return rows


@njit(cache=True)
def window_counts(codes, rows, block_bp, starts, width):
    """Counts of windows of one chromosome, int64 array (13, windows); dinucleotides lie whole within the window.

    From the nearest row of the running sums at either end, so that no more than half a block is read there.
    """
    counts = np.empty((13, starts.size), dtype=np.int64)
    totals = np.zeros(14, dtype=np.int64)
    for i in range(starts.size):
        start, end = starts[i], starts[i] + width
        first, last = (start + block_bp // 2) // block_bp, (end + block_bp // 2) // block_bp
        totals[:] = 0
        for place, row, sign in ((start, first, -1), (end, last, 1)):
            at = min(row * block_bp, codes.size)
            if at < place:
                add_bases(codes, at, place, sign, totals)
            else:
                add_bases(codes, place, at, -sign, totals)
        if end < codes.size:
            totals[PAIR_COLUMNS[codes[end - 1] & 7, codes[end] & 7]] -= 1
        for column in range(13):
            counts[column, i] = np.int64(rows[last, column]) - np.int64(rows[first, column]) + totals[column]
    return counts


@njit(cache=True, error_model="numpy")
def coarse_cell(rows, block_bp, start, width):
    """Cell of one window, see `window_cells`; rows: those of the chromosome in `counts`."""
    first = int(start / block_bp)  # faster than whole numbers, and exact below 2^53
    last = min(int((start + width + block_bp - 1) / block_bp), rows.shape[0] - 1)
    known = np.int64(rows[last, 0]) - np.int64(rows[first, 0])
    masked = np.int64(rows[last, 1]) - np.int64(rows[first, 1])
    n_gc = np.int64(rows[last, 2]) - np.int64(rows[first, 2])
    n_cpg = np.int64(rows[last, CPG]) - np.int64(rows[first, CPG])
    if known == 0:
        return UNKNOWN_CELL
    observed, expected = 40 * n_cpg * known, 3 * n_gc * n_gc  # 4 CG / gc^2 / 0.3, compared instead of divided
    cpg_level = (n_gc > 0) * ((observed >= expected) + (observed >= 2 * expected) + (observed >= 3 * expected))
    return 8 * min(24, int(25 * n_gc / known)) + 2 * cpg_level + (2 * masked > known)


@njit(cache=True)
def cells_of(rows, block_bp, starts, width):
    """Cells of the windows of one chromosome that begin at `starts`."""
    cells = np.empty(starts.size, dtype=np.uint8)
    for i in range(starts.size):
        cells[i] = coarse_cell(rows, block_bp, starts[i], width)
    return cells


@njit(cache=True)
def cells_of_grid(rows, block_bp, n, step_bp, width):
    """Cells of the windows of one chromosome that begin at 0, step_bp, 2 step_bp ..., n in all."""
    cells = np.empty(n, dtype=np.uint8)
    for i in range(n):
        cells[i] = coarse_cell(rows, block_bp, i * step_bp, width)
    return cells


@njit(cache=True)
def paint(values, starts, ends, painted):
    """Write painted[i] to values[starts[i]:ends[i]], in the order of the rows."""
    for i in range(starts.size):
        values[starts[i] : ends[i]] = painted[i]


@dataclass(frozen=True)
class Store:
    """An open genome store; see the head of this module for the arrays, which are read-only memory maps."""

    block_bp: int
    chromosomes: dict  # chrom -> {length_bp, first_base, first_row}, in the order of the genome
    codes: np.ndarray
    counts: np.ndarray
    signals: np.ndarray | None
    signal_names: list

    def bases(self, chrom):
        """Codes of a chromosome, uint8 array (bases,), with the 8 of soft-masked bases."""
        where = self.chromosomes[chrom]
        return self.codes[where["first_base"] : where["first_base"] + where["length_bp"]]

    def rows(self, chrom):
        """The rows of a chromosome in `counts` and `signals`, a slice."""
        where = self.chromosomes[chrom]
        return slice(where["first_row"], where["first_row"] + -(-where["length_bp"] // self.block_bp) + 1)


def write_store(fasta, lengths, folder, signals=()):
    """Encode a genome and its signals into a store, a folder that appears whole or not at all; an older one goes.

    fasta: path of a plain FASTA file; its index (.fai) is written beside it where that is missing or older
    lengths: dict of chromosome name to length in bp, in the order wanted; others in the FASTA file are left out
    folder: path of the store
    signals: list of (name, path); the kind goes by the name of the file: .bw .bigWig; .bedGraph .bdg .bg; .bed
        .narrowPeak .broadPeak (1 inside, 0 outside), text plain or .gz; .npy, one number per base of all chromosomes in
        the order of `lengths`. Rows may come in any order; where they overlap the later one counts. A base without a
        value counts as 0.
    One chromosome is in memory at a time (2 bytes a base; 5 with a signal from a text file).
    Raises InputError when a chromosome or a length does not fit, the FASTA file is no FASTA file, or a signal has an
    unknown kind, a name already taken, a bad row, other lengths, or no chromosome of the genome.
    """
    folder = Path(folder)
    check_signal_names([name for name, _ in signals])
    index = read_index(fasta, lengths)
    n_rows = sum(-(-length // BLOCK_BP) + 1 for length in lengths.values())
    chromosomes, first_base, first_row = [], 0, 0
    for chrom, length in lengths.items():
        chromosomes.append({"chrom": chrom, "length_bp": length, "first_base": first_base, "first_row": first_row})
        first_base, first_row = first_base + length, first_row + -(-length // BLOCK_BP) + 1
    with atomic(folder) as temporary:
        temporary.mkdir()
        readers = [signal_reader(path, lengths, temporary / f"signal_{i}") for i, (_, path) in enumerate(signals)]
        with (
            array_file(temporary / "codes.npy", np.uint8, (first_base,)) as codes_file,
            array_file(temporary / "counts.npy", np.uint32, (n_rows, len(COUNTS))) as counts_file,
        ):
            for chrom, length in lengths.items():
                codes = encode_chromosome(fasta, chrom, index[chrom], length)
                codes.tofile(codes_file)
                running_counts(codes, BLOCK_BP).tofile(counts_file)
        if signals:
            with array_file(temporary / "signals.npy", np.float64, (n_rows, len(signals))) as signals_file:
                for chrom in chromosomes:
                    sums = [running_signal(r, chrom, path) for r, (_, path) in zip(readers, signals, strict=True)]
                    np.column_stack(sums).tofile(signals_file)
            for i in range(len(signals)):
                shutil.rmtree(temporary / f"signal_{i}", ignore_errors=True)
        content = {
            "block_bp": BLOCK_BP,
            "chromosomes": chromosomes,
            "counts": list(COUNTS),
            "signals": [name for name, _ in signals],
        }
        (temporary / "store.json").write_text(json.dumps(content, indent=2) + "\n")
        old = folder.with_name(f"{temporary.name}.old")
        if folder.exists():
            os.replace(folder, old)
    shutil.rmtree(old, ignore_errors=True)
    logging.info("%s: %d chromosomes, %d bp, %d signals", folder, len(lengths), first_base, len(signals))


def open_store(folder):
    """Open a store that `write_store` wrote, as a Store; InputError when a file of it is missing or does not fit."""
    folder = Path(folder)
    try:
        content = json.loads((folder / "store.json").read_text())
        codes = np.load(folder / "codes.npy", mmap_mode="r")
        counts = np.load(folder / "counts.npy", mmap_mode="r")
        signals = np.load(folder / "signals.npy", mmap_mode="r") if content["signals"] else None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no whole genome store ({error}); delete the folder and run again") from error
    if content["counts"] != list(COUNTS):
        raise InputError(f"{folder}: a genome store of another version; delete the folder and run again")
    chromosomes = {entry.pop("chrom"): entry for entry in content["chromosomes"]}
    return Store(content["block_bp"], chromosomes, codes, counts, signals, content["signals"])


def windows_covariates(store, chrom, starts, width):
    """Covariates of windows of one chromosome, at a cost that does not grow with their width.

    starts: int array (n,), first bases; width: bp
    Returns a dict of float64 arrays (n,), in this order:
      gc            G and C among the known bases; nan where none is known
      cpg           observed over expected CpG (Gardiner-Garden & Frommer 1987), but with the share of CpG among the
                    known dinucleotides for the count, and half the GC content for C and for G, so that both strands
                    have the same value: 4 CG / gc^2; 0 where no G or C or no dinucleotide is known
      aa .. ta      share of each dinucleotide, pooled with its reverse complement, among the known ones that lie whole
                    in the window; nan where there is none. GC is named gc_step. The ten shares sum to 1
      repeats       soft-masked among all bases
      unknown       bases other than A C G T among all bases
      each signal   mean over the window; inside a block of the store, the signal is taken as even
    Raises ValueError when a window leaves the chromosome.
    """
    starts = np.ascontiguousarray(starts, dtype=np.int64)
    length = store.chromosomes[chrom]["length_bp"]
    if width < 1 or (len(starts) and (starts.min() < 0 or starts.max() + width > length)):
        first, last = starts.min(initial=length), starts.max(initial=0)
        raise ValueError(f"windows of {width} bp at {first} to {last} leave {chrom} of {length} bp")
    rows = store.rows(chrom)
    counts = window_counts(store.bases(chrom), store.counts[rows], store.block_bp, starts, width)
    known, masked, n_gc, *pairs = counts
    n_pairs = sum(pairs)
    covariates = {"gc": ratio(n_gc, known, np.nan)}
    shares = {name: ratio(n, n_pairs, np.nan) for name, n in zip(DINUCLEOTIDES, pairs, strict=True)}
    covariates["cpg"] = ratio(4 * shares["cg"], covariates["gc"] ** 2, 0.0, (n_gc > 0) & (n_pairs > 0))
    covariates |= shares
    covariates["repeats"] = masked / width
    covariates["unknown"] = 1 - known / width
    for i, name in enumerate(store.signal_names):
        sums = store.signals[rows, i]
        total = interpolate(sums, starts + width, length, store.block_bp)
        covariates[name] = (total - interpolate(sums, starts, length, store.block_bp)) / width
    for array in (store.codes, store.counts, store.signals):
        release(array)
    return covariates


def window_cells(store, chrom, starts, width):
    """Cells of windows of one chromosome in a coarse table of composition, uint8 array (n,).

    starts: int array (n,), first bases, or a range from 0; width: bp
    A cell is 8 x level of GC (0 to 24, in steps of 0.04) + 2 x level of CpG observed/expected (0 to 3, in steps of 0.3)
    + whether more than half is soft-masked; UNKNOWN_CELL where no base is known. Counted are the blocks of the store
    that hold the window, so that all windows of a genome cost no more than some of them in `windows_covariates`.
    """
    rows = store.counts[store.rows(chrom)]
    if isinstance(starts, range):
        cells = cells_of_grid(rows, store.block_bp, len(starts), starts.step, width)
    else:
        cells = cells_of(rows, store.block_bp, np.ascontiguousarray(starts, dtype=np.int64), width)
    release(store.counts)
    return cells


def read_tss(annotation, lengths):
    """Transcription starts of a GFF3 or GTF file, plain or gzip.

    lengths: dict of chromosome name to length in bp
    Counts every row whose type ends with gene, transcript or RNA (gene, mRNA, transcript, lnc_RNA, ncRNA_gene ...), but
    not the mature miRNA: its start on the + strand, its end on the - strand. Rows without a strand are left out.
    Returns a dict of chromosome name to the sorted positions (int64, from 0), one entry for each chromosome of
    `lengths`, empty where it has none.
    Raises InputError with the row when one is no GFF row or lies beyond its chromosome, and with the names when no
    transcript lies on a chromosome of the genome.
    """
    found, strange, types = {chrom: set() for chrom in lengths}, set(), set()
    try:
        with open_text(annotation) as handle:
            for number, line in enumerate(handle, start=1):
                if line.startswith("##FASTA"):
                    break
                if line.startswith("#") or not line.strip():
                    continue
                fields = line.rstrip("\r\n").split("\t", 8)
                try:
                    chrom, kind, start, end, strand = fields[0], fields[2], int(fields[3]), int(fields[4]), fields[6]
                    sound = 1 <= start <= end and start <= lengths.get(chrom, start)
                except (IndexError, ValueError):
                    sound = False
                if not sound:
                    raise InputError(
                        f"{annotation}, row {number}: not a GFF3 or GTF row of this genome ('{line.strip()[:60]}'); "
                        "write columns separated by tabs, with 1 <= start <= end and start <= length of the chromosome"
                    )
                types.add(kind)
                if not kind.lower().endswith(("gene", "transcript", "rna")) or kind == "miRNA":
                    continue
                if chrom not in found:
                    strange.add(chrom)
                elif strand in ("+", "-"):  # a feature of a circular chromosome may end beyond it (GFF3 specification)
                    found[chrom].add(((start if strand == "+" else end) - 1) % lengths[chrom])
    except DAMAGE as error:
        raise InputError(f"{annotation}: the file is cut short or damaged ({error}); copy it again") from error
    if not any(found.values()):
        if strange:
            raise InputError(f"{annotation}: {other_names(strange, lengths)}")
        raise InputError(
            f"{annotation}: no gene or transcript with a strand, but {', '.join(sorted(types)[:8]) or 'no row'}; give "
            "a file with rows of these types"
        )
    without = [chrom for chrom in lengths if not found[chrom]]
    if without:
        logging.warning(
            "%s: no transcription start on %d chromosomes (%s); their windows get a distance of %d bp",
            *(annotation, len(without), ", ".join(without[:5]), FARTHEST_BP),
        )
    return {chrom: np.array(sorted(positions), dtype=np.int64) for chrom, positions in found.items()}


def tss_distance(annotation, chrom, centers):
    """log10(1 + bp) from each center to the nearest transcription start, float64 array (n,).

    annotation: dict of chromosome name to sorted starts, from `read_tss`
    centers: int array (n,), positions from 0
    Distances are cut at FARTHEST_BP, which is also the distance on a chromosome without a transcription start.
    """
    centers = np.asarray(centers, dtype=np.int64)
    far = np.iinfo(np.int64).max // 4
    starts = np.concatenate([[-far], annotation[chrom], [far]])
    after = np.searchsorted(starts[1:-1], centers) + 1
    distance = np.minimum(starts[after] - centers, centers - starts[after - 1])
    return np.log10(1 + np.minimum(distance, FARTHEST_BP).astype(np.float64))


def ratio(numerator, denominator, otherwise, where=None):
    """numerator / denominator as float64, `otherwise` where the denominator is 0 or `where` does not hold."""
    where = denominator > 0 if where is None else where
    return np.divide(numerator, denominator, out=np.full(len(numerator), otherwise), where=where)


def interpolate(sums, positions, length, block_bp):
    """Running sum of a signal at `positions`, linear between the rows of `sums` (the last block may be shorter)."""
    row = positions // block_bp
    below = row * block_bp
    above = np.minimum(below + block_bp, length)
    at = sums[row]
    share = (positions - below) / np.maximum(above - below, 1)
    return at + share * (sums[np.minimum(row + 1, len(sums) - 1)] - at)


def release(array):
    """Take the pages of a memory map out of this process's memory; they stay in the cache of the system."""
    if array is not None and isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)


@contextmanager
def array_file(path, dtype, shape):
    """Open a .npy file, its header written, for rows to be appended with `tofile`.

    Unlike the pages of a writable memory map, what is written does not count as memory of this process.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        yield handle


def check_signal_names(names):
    """Raise InputError when two covariates would have one name."""
    for i, name in enumerate(names):
        if name in COMPOSITION or name in names[:i]:
            raise InputError(f"signal '{name}': this name is taken by another covariate; give it another name")


def read_index(fasta, lengths):
    """Index (.fai) of a FASTA file, dict of chromosome to its record; InputError when it does not fit `lengths`."""
    try:
        with pyfaidx.Faidx(str(fasta)) as opened:
            index = opened.index
    except (OSError, ValueError, pyfaidx.FastaIndexingError, pyfaidx.UnsupportedCompressionFormat) as error:
        raise InputError(f"{fasta}: no FASTA file that can be indexed ({error}); check the file") from error
    for chrom, length in lengths.items():
        if chrom not in index:
            raise InputError(f"{fasta}: no chromosome '{chrom}'; it has {', '.join(list(index)[:5])} ...")
        if index[chrom].rlen != length or not 0 < length < 1 << 32:
            raise InputError(
                f"{fasta}: {chrom} has {index[chrom].rlen} bp, not {length} (from 1 to {2**32 - 1}); take one "
                "genome for all files"
            )
    return index


def encode_chromosome(fasta, chrom, record, length):
    """Codes of one chromosome, uint8 array (bases,), read in steps; InputError when the index does not fit the file."""
    codes = np.empty(length, dtype=np.uint8)
    n_lines, rest = divmod(length, record.lenc)
    left, done = n_lines * record.lenb + rest, 0
    with open(fasta, "rb") as handle:
        handle.seek(record.offset)
        while left > 0:
            part = np.frombuffer(handle.read(min(left, CHUNK)).translate(BYTE_CODES, b"\r\n"), dtype=np.uint8)
            left -= CHUNK
            if done + len(part) > length or (len(part) and part.max() > 4 + MASKED):
                break
            codes[done : done + len(part)] = part
            done += len(part)
    if done != length or left > 0:
        raise InputError(f"{fasta}: {chrom} is not where the index says; delete {fasta}.fai and run again")
    return codes


def signal_reader(path, lengths, folder):
    """Function of an entry of store.json (chrom, length_bp, first_base) that yields the values of a signal per base of
    this chromosome, in arrays of CHUNK bases.

    Text files are first split into a binary file per chromosome in `folder`.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = SIGNAL_KINDS.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise InputError(f"{path}: unknown kind of signal; give {' '.join(SIGNAL_KINDS)}, the text files plain or .gz")
    if kind == "npy":
        return read_npy(path, sum(lengths.values()))
    if kind == "bigWig":
        return read_bigwig(path, lengths)
    folder.mkdir()
    return read_rows(path, lengths, folder, with_value=kind == "bedGraph")


def running_signal(reader, entry, path):
    """Running sums of a signal along a chromosome at every BLOCK_BP bases, float64 array (rows,)."""
    sums = [np.zeros(1)]
    for values in reader(entry):
        if np.isinf(values).any():
            raise InputError(f"{path}: infinite values on {entry['chrom']}; replace them by numbers")
        values = np.nan_to_num(values)
        sums.append(np.add.reduceat(values, np.arange(0, len(values), BLOCK_BP), dtype=np.float64))
    return np.cumsum(np.concatenate(sums))


def read_npy(path, n_bases):
    """Reader of an array with a number per base of all chromosomes."""
    try:
        values = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a .npy file ({error}); make it again") from error
    if values.shape != (n_bases,) or values.dtype.kind not in "buif":
        raise InputError(
            f"{path}: {values.dtype} array {values.shape}, but the genome has {n_bases} bases; make it of this genome"
        )

    def read(entry):
        for start in range(0, entry["length_bp"], CHUNK):
            end = min(start + CHUNK, entry["length_bp"])
            yield np.array(values[entry["first_base"] + start : entry["first_base"] + end])
            release(values)

    return read


def read_bigwig(path, lengths):
    """Reader of a bigWig file."""
    try:
        track = pyBigWig.open(str(path))
        names = track.chroms() if track.isBigWig() else {}
    except RuntimeError as error:
        raise InputError(f"{path}: not a sound bigWig file ({error}); copy it again") from error
    check_chromosomes(path, names, lengths)
    for chrom in names:
        if chrom in lengths and names[chrom] != lengths[chrom]:
            raise InputError(
                f"{path}: {chrom} has {names[chrom]} bp there and {lengths[chrom]} bp in the genome; take the track of "
                "this genome"
            )

    def read(entry):
        chrom, length = entry["chrom"], entry["length_bp"]
        for start in range(0, length, CHUNK):
            end = min(start + CHUNK, length)
            try:
                yield track.values(chrom, start, end, numpy=True) if chrom in names else np.zeros(end - start)
            except RuntimeError as error:
                raise InputError(f"{path}: cut short or damaged at {chrom}:{start}-{end}; copy it again") from error

    return read


def read_rows(path, lengths, folder, with_value):
    """Reader of a BED or bedGraph file, whose rows may come in any order."""
    number = {chrom: i for i, chrom in enumerate(lengths)}
    record = np.dtype([("start", np.int64), ("end", np.int64), ("value", np.float32)])
    names, checked = set(), False
    columns = {"chrom": "category", "start": np.int64, "end": np.int64, "value": np.float32}
    if not with_value:
        del columns["value"]
    with open(path, "rb") as handle:
        compression = "gzip" if handle.read(2) == b"\x1f\x8b" else None
    try:
        chunks = pd.read_csv(
            path,
            sep="\t",
            header=None,
            names=list(columns),
            usecols=range(len(columns)),
            dtype=columns,
            comment="#",
            skiprows=header_rows(path),
            chunksize=ROWS,
            compression=compression,
            quoting=csv.QUOTE_NONE,
            keep_default_na=False,  # a chromosome may be called NA
            na_values={"value": ["", "nan", "NaN"]},
        )
        for chunk in chunks:
            ends = chunk["chrom"].map(lengths).astype(float)
            if ((chunk["start"] < 0) | (chunk["end"] <= chunk["start"]) | (chunk["end"] > ends)).any():
                raise ValueError("a row with start < 0, end <= start, or an end beyond its chromosome")
            if chunk.isna().to_numpy().any() and not checked:  # a missing column, or `nan`, which is sound
                check_rows(path, lengths, with_value)
                checked = True
            for chrom, rows in chunk.groupby("chrom", sort=False, observed=True):
                names.add(chrom)
                if chrom in number:
                    packed = np.empty(len(rows), dtype=record)
                    packed["start"], packed["end"] = rows["start"], rows["end"]
                    packed["value"] = rows["value"] if with_value else 1
                    with open(folder / str(number[chrom]), "ab") as handle:
                        packed.tofile(handle)
    except pd.errors.EmptyDataError:
        pass
    except (ValueError, *DAMAGE) as error:
        check_rows(path, lengths, with_value)
        raise InputError(f"{path}: not a BED or bedGraph file ({str(error).splitlines()[0]}); check it") from error
    check_chromosomes(path, names, lengths)

    def read(entry):
        values = np.zeros(entry["length_bp"], dtype=np.float32)
        rows_of_chrom = folder / str(number[entry["chrom"]])
        if rows_of_chrom.exists():
            with open(rows_of_chrom, "rb") as handle:
                while len(rows := np.fromfile(handle, dtype=record, count=ROWS)):
                    paint(values, rows["start"], rows["end"], rows["value"])
        for start in range(0, len(values), CHUNK):
            yield values[start : start + CHUNK]

    return read


def header_rows(path):
    """Number of lines before the first row of a BED or bedGraph file."""
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle):
                if line.strip() and not line.startswith(("#", "track", "browser")):
                    return number
    except DAMAGE as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); copy it again") from error
    return 0


def check_rows(path, lengths, with_value):
    """Raise InputError with the first row of a BED or bedGraph file that is not sound or ends beyond its chromosome."""
    wanted = "chromosome, start, end and value" if with_value else "chromosome, start and end"
    header = header_rows(path)
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if number <= header or not line.strip() or line.startswith("#"):
                    continue
                fields = line.rstrip("\r\n").split("\t")
                try:
                    start, end = int(fields[1]), int(fields[2])
                    sound = 0 <= start < end and (not with_value or float(fields[3]) is not None)
                except (IndexError, ValueError):
                    sound = False
                if not sound:
                    raise InputError(
                        f"{path}, row {number}: '{line.strip()[:60]}' is no row of such a file; write {wanted}, "
                        "separated by tabs, with 0 <= start < end, and `track` lines at the top alone"
                    )
                if end > lengths.get(fields[0], end):
                    raise InputError(
                        f"{path}, row {number}: ends at {end}, beyond {fields[0]} of {lengths[fields[0]]} bp; take the "
                        "track of this genome"
                    )
    except DAMAGE as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); copy it again") from error


def check_chromosomes(path, names, lengths):
    """Raise InputError when no name is a chromosome of the genome; warn when chromosomes have no value."""
    if not set(names) & set(lengths):
        raise InputError(f"{path}: {other_names(names, lengths)}")
    absent = [chrom for chrom in lengths if chrom not in names]
    if absent:
        logging.warning("%s: nothing on %d chromosomes, 0 there: %s", path, len(absent), ", ".join(absent[:5]))


def other_names(names, lengths):
    """The message that none of `names` is a chromosome of the genome."""
    return (
        f"its chromosomes ({', '.join(map(str, sorted(names)[:3])) or 'none'}) are not those of the genome "
        f"({', '.join(list(lengths)[:3])}); take the file of this assembly, or give both the same names"
    )
