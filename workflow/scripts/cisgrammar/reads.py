"""Checks of the files that a user gives, before anything is computed from them."""

import csv
import gzip
from pathlib import Path

import pandas as pd
import pysam

from cisgrammar.files import check_checksum, check_complete, checksum
from cisgrammar.intervals import bed_rows, read_bed
from cisgrammar.log import InputError

FORMATS = {".bam": "BAM", ".bedpe": "BEDPE", ".bed": "BED", ".tagalign": "BED"}


def describe_file(path, row, lengths, minimum):
    """Check one file of the sample table and tell what it is.

    path: where the file lies; row: dict with place (file and row of the table), role, checksum
    lengths: dict of chromosome name to length in bp in the genome
    minimum: fewest peaks of a peak file
    Returns a dict: file, role, replicate, format (BAM, BAMPE, BED, BEDPE or peaks), n (reads, fragments or peaks) and
    sha256 (of the file).
    Raises InputError, which begins with the place, when the file is cut short, unsorted, without an index, empty, of
    an unknown kind, or when its chromosomes do not fit the genome.
    """
    try:
        check_complete(path)
        if row["checksum"]:
            check_checksum(path, row["checksum"], path)
        if row["role"] == "peaks":
            kind, n = "peaks", check_peaks(path, lengths, minimum)
        else:
            kind, n = check_reads(path, lengths, needs_index="://" not in row["location"])
    except InputError as error:
        raise InputError(f"{row['place']}: {error}") from error
    row = {name: row[name] for name in ("role", "replicate")}
    return {"file": str(path), **row, "format": kind, "n": n, "sha256": checksum(path)}


def find_row(table, cell_type, tf, replicate):
    """`file, row number` of a replicate in the table of experiments, for messages."""
    rows = pd.read_csv(table, sep="\t", dtype=str, skip_blank_lines=False)
    rows = rows.rename(columns=str.strip).apply(lambda column: column.str.strip())
    found = (rows["cell_type"] == cell_type) & (rows["tf"] == tf)
    if "replicate" in rows:
        found &= rows["replicate"].fillna("1") == replicate
    return f"{table}, row {found.idxmax() + 2}"


def read_format(path):
    """Format of a file of reads by its name: BAM, BED or BEDPE; InputError for any other."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FORMATS:
        raise InputError(f"{path}: unknown kind of reads; give .bam, .bed, .tagAlign or .bedpe, plain or .gz")
    return FORMATS[suffixes[-1]]


def check_names(names, lengths, path):
    """Raise InputError when a name is no chromosome of the genome."""
    strange = sorted(set(names) - set(lengths))
    if not strange:
        return
    have = ", ".join(list(lengths)[:3])
    other = f"chr{strange[0]}" if f"chr{strange[0]}" in lengths else strange[0].removeprefix("chr")
    if other in lengths:
        raise InputError(
            f"{path}: chromosome '{strange[0]}' is called '{other}' in the genome; give both the same names, "
            "e.g. with references.rename"
        )
    raise InputError(
        f"{path}: chromosome '{strange[0]}' (and {len(strange) - 1} more) is not in the genome ({have}, ...); take the "
        "genome that the data were aligned to, or remove these rows"
    )


def check_peaks(path, lengths, minimum):
    """Number of peaks of a BED or narrowPeak file; InputError when they are too few or lie outside the genome."""
    peaks = read_bed(path)
    if len(peaks) < minimum:
        raise InputError(
            f"{path}: {len(peaks)} peaks, fewer than the {minimum} of peaks.minimum; give more or lower it"
        )
    check_names(peaks["chrom"].unique(), lengths, path)
    beyond = peaks["end"] > peaks["chrom"].map(lengths)
    if beyond.any():
        first = peaks[beyond].iloc[0]
        raise InputError(
            f"{path}: {sum(beyond)} peaks end beyond their chromosome, first {first['chrom']}:{first['start']}-"
            f"{first['end']} of {lengths[first['chrom']]} bp; take the genome that the peaks were called on"
        )
    return len(peaks)


def check_reads(path, lengths, needs_index):
    """(format, number of reads or fragments) of a BAM, BED, tagAlign or BEDPE file; InputError when it is not sound."""
    kind = read_format(path)
    if kind == "BAM":
        return check_bam(path, lengths, needs_index)
    if kind == "BEDPE":
        check_fragments(path, lengths)
    n, names = 0, set()
    try:
        chunks = pd.read_csv(
            path,
            sep="\t",
            header=None,
            comment="#",
            usecols=[0, 1, 2],
            dtype={0: str, 1: "int64", 2: "int64"},
            chunksize=1_000_000,
            quoting=csv.QUOTE_NONE,
            compression="infer",
        )
        for chunk in chunks:
            n += len(chunk)
            names.update(chunk[0].unique())
            if ((chunk[1] < 0) | (chunk[2] <= chunk[1])).any():
                raise ValueError("end <= start, or start < 0")
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        for _ in bed_rows(path):  # names the row
            pass
        raise InputError(f"{path}: not a {kind} file ({str(error).splitlines()[0]}); check its columns") from error
    check_names(names, lengths, path)
    return kind, n


def check_fragments(path, lengths):
    """Raise InputError when a BEDPE file holds both mates in a row, as bedtools writes it, instead of a fragment.

    macs3 would take the first mate for the fragment.
    """
    row = next(bed_rows(path), [])[:6]
    if len(row) == 6 and row[3] in {*lengths, "."} and all(place.lstrip("-").isdigit() for place in row[4:]):
        raise InputError(
            f"{path}: a BEDPE file of bedtools, with both mates in a row; write chromosome, start and end of each fragment, "
            "or give the BAM file"
        )


def check_bam(path, lengths, needs_index):
    """(BAM or BAMPE, number of mapped reads, or of read pairs) of a BAM file; InputError when it is not sound."""
    try:
        with pysam.AlignmentFile(str(path), "rb") as bam:
            order = bam.header.to_dict().get("HD", {}).get("SO", "unknown")
            if order != "coordinate":
                raise InputError(f"{path}: sorted by '{order}'; run `samtools sort` and `samtools index`")
            if needs_index and not bam.has_index():
                raise InputError(f"{path}: no index beside it; run `samtools index {path}`")
            if bam.has_index():
                counts = {entry.contig: entry.mapped for entry in bam.get_index_statistics()}
                check_names([name for name, mapped in counts.items() if mapped], lengths, path)
            else:
                counts = None
            for name, length in zip(bam.references, bam.lengths, strict=True):
                if name in lengths and lengths[name] != length:
                    raise InputError(
                        f"{path}: {name} has {length} bp there and {lengths[name]} bp in the genome; take the genome "
                        "that the reads were aligned to"
                    )
            paired, n, names = False, 0, set()
            for read in bam.fetch(until_eof=True):
                if not read.is_unmapped:
                    paired = paired or read.is_proper_pair
                    n += 1
                    names.add(read.reference_name)
                if counts is not None and n == 1000:
                    break
            check_names(names, lengths, path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a sound BAM file ({error}); copy it again") from error
    n = sum(counts.values()) if counts is not None else n
    if n == 0:
        raise InputError(f"{path}: no mapped read; check the alignment")
    return ("BAMPE", n // 2) if paired else ("BAM", n)
