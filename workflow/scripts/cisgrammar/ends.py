"""Ends of reads and fragments: what a file of reads comes down to, one number per read or two per fragment."""

import csv
import gzip
from array import array
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pysam

from cisgrammar.files import DAMAGE
from cisgrammar.intervals import bed_rows
from cisgrammar.log import InputError

LEFT_OUT = 0x4 | 0x100 | 0x200 | 0x800  # unmapped, secondary, failed the quality check, supplementary


@dataclass(frozen=True)
class Ends:
    """Ends of reads or fragments of one file.

    paired: bool; read_bp: most frequent read length, 0 where the file does not tell (BEDPE)
    forward, reverse: dicts of chromosome to int32 array, both with the same keys. Single: starts of forward reads, ends
    of reverse reads (their 5' ends; lengths differ). Paired: start and end of each fragment (same length and order).
    Starts and ends are BED: from 0, half open.
    """

    paired: bool
    read_bp: int
    forward: dict
    reverse: dict


def fragment_ends(path, kind):
    """Read the 5' ends of the reads, or the ends of the fragments, of a file.

    kind: BAM or BED (single: each read counts), BAMPE or BEDPE (paired: each fragment counts); text plain or gzip
    Of a BAM file come mapped primary reads that passed the quality check, duplicates included; of BAMPE, proper pairs.
    Rows of a BED file without a sixth column count as forward, as for macs3.
    Returns Ends; it takes 4 bytes per read or 8 per fragment.
    Raises InputError for an unknown kind, a broken file, or a strand other than + and -.
    """
    try:
        if kind in ("BAM", "BAMPE"):
            return _ends_of_bam(path, kind == "BAMPE")
        if kind in ("BED", "BEDPE"):
            return _ends_of_text(path, kind == "BEDPE")
    except InputError:
        raise
    except (*DAMAGE, ValueError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a sound {kind} file ({str(error).splitlines()[0]}); copy it again") from error
    raise InputError(f"{path}: format '{kind}' of reads is unknown; give BAM, BAMPE, BED or BEDPE")


def _ends_of_bam(path, paired):
    lengths = Counter()
    with pysam.AlignmentFile(str(path), "rb") as bam:
        sides = [(array("i"), array("i")) for _ in bam.references]
        for n, read in enumerate(bam.fetch(until_eof=True)):
            flag = read.flag
            if flag & LEFT_OUT:
                continue
            if n < 100_000 or not lengths:
                lengths[read.reference_length] += 1
            forward, reverse = sides[read.reference_id]
            if not paired:
                if flag & 0x10:
                    reverse.append(read.reference_end)
                else:
                    forward.append(read.reference_start)
            elif flag & 0x2 and flag & 0x40 and read.template_length:
                start = min(read.reference_start, read.next_reference_start)
                forward.append(start)
                reverse.append(start + abs(read.template_length))
        sides = {name: pair for name, pair in zip(bam.references, sides, strict=True) if pair[0] or pair[1]}
    forward, reverse = ({name: np.array(pair[i], dtype=np.int32) for name, pair in sides.items()} for i in (0, 1))
    return Ends(paired, _most_frequent(lengths), forward, reverse)


def _ends_of_text(path, paired):
    first = next(bed_rows(path), None)
    if first is None:
        return Ends(paired, 0, {}, {})
    stranded = not paired and len(first) > 5
    names = ["chrom", "start", "end", "strand"][: 4 if stranded else 3]
    chunks = pd.read_csv(
        path,
        sep="\t",
        header=None,
        comment="#",
        usecols=[0, 1, 2, 5][: len(names)],
        dtype={0: str, 1: np.int32, 2: np.int32, 5: str},
        chunksize=2_000_000,
        quoting=csv.QUOTE_NONE,
        compression="infer",
    )
    lengths, forward, reverse, n = Counter(), {}, {}, 0
    for chunk in chunks:
        chunk.columns = names
        if stranded:
            strange = ~chunk["strand"].isin(["+", "-"]).to_numpy()
            if strange.any():
                raise InputError(
                    f"{path}, read {n + strange.argmax() + 1}: strand '{chunk['strand'].iloc[strange.argmax()]}' "
                    "(column 6) is not + or -; give the strand of each read, or fragments as .bedpe"
                )
        n += len(chunk)
        start, end = chunk["start"].to_numpy(), chunk["end"].to_numpy()
        lengths.update(dict(zip(*np.unique(end - start, return_counts=True), strict=True)))
        is_forward = (chunk["strand"] == "+").to_numpy() if stranded else np.ones(len(chunk), dtype=bool)
        for chrom, rows in chunk.groupby("chrom", sort=False).indices.items():
            first_side = rows if paired else rows[is_forward[rows]]
            second_side = rows if paired else rows[~is_forward[rows]]
            forward.setdefault(chrom, []).append(start[first_side])
            reverse.setdefault(chrom, []).append(end[second_side])
    forward, reverse = ({chrom: np.concatenate(side[chrom]) for chrom in side} for side in (forward, reverse))
    return Ends(paired, 0 if paired else _most_frequent(lengths), forward, reverse)


def _most_frequent(lengths):
    return int(min(lengths, key=lambda bp: (-lengths[bp], bp))) if lengths else 0


def on_chromosomes(ends, lengths):
    """Ends on the chromosomes of `lengths` (dict of name to bp) alone; ENCODE leaves out the mitochondrial one."""
    chosen = [chrom for chrom in ends.forward if chrom in lengths]
    forward, reverse = ({chrom: side[chrom] for chrom in chosen} for side in (ends.forward, ends.reverse))
    return Ends(ends.paired, ends.read_bp, forward, reverse)


def count(ends):
    """Number of reads, or of fragments where `ends` are paired."""
    sides = (ends.forward,) if ends.paired else (ends.forward, ends.reverse)
    return sum(len(positions) for side in sides for positions in side.values())
