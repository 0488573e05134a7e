"""The genome and the regions of it to leave out."""

import hashlib
import logging

import numpy as np
import pybedtools
import pyfaidx

from cisgrammar.files import DAMAGE, atomic, open_text
from cisgrammar.log import InputError


def copy_genome(source, target, rename):
    """Write a FASTA file as plain text with renamed chromosomes, without descriptions, in lines of 60 bases.

    source: path of a plain, gzip or bgzip FASTA file
    rename: dict from old to new chromosome name; others keep theirs
    Case is kept (lower case = soft-masked). Reads and writes line by line.
    Returns the dict of chromosome name to length in bp.
    Raises InputError when the file is no FASTA, has an empty or a repeated chromosome.
    """
    lengths = {}
    name, rest = None, ""
    try:
        with open_text(source) as handle, atomic(target) as temporary, open(temporary, "w") as out:
            for number, line in enumerate(handle, start=1):
                line = line.strip()
                if line.startswith(">"):
                    if rest:
                        out.write(rest + "\n")
                    fields = line[1:].split()
                    name, rest = rename.get(fields[0], fields[0]) if fields else "", ""
                    if not name or name in lengths:
                        raise InputError(
                            f"{source}, row {number}: chromosome name '{name}' is empty or there twice; rename it"
                        )
                    lengths[name] = 0
                    out.write(f">{name}\n")
                elif line:
                    if name is None or not line.replace("*", "N").replace("-", "N").isalpha():
                        raise InputError(f"{source}, row {number}: not a FASTA file ('{line[:40]}')")
                    lengths[name] += len(line)
                    rest += line
                    whole = len(rest) // 60 * 60
                    out.writelines(rest[i : i + 60] + "\n" for i in range(0, whole, 60))
                    rest = rest[whole:]
            if rest:
                out.write(rest + "\n")
            empty = [chrom for chrom, length in lengths.items() if not length]
            if empty or not lengths:
                raise InputError(f"{source}: no sequence for {', '.join(empty) or 'any chromosome'}; copy it again")
    except DAMAGE as error:
        raise InputError(f"{source}: the file is cut short or damaged ({error}); copy it again") from error
    return lengths


def describe_genome(path):
    """Checksum and size of a plain FASTA file.

    Returns (checksum, known): checksum is `sequence:` and the SHA-256 of the sorted lines
    `name<TAB>MD5 of the upper-case sequence` (the MD5 is the M5 tag of the SAM specification); known is the
    number of bases that are A, C, G or T.
    """
    lines, known = [], 0
    with pyfaidx.Fasta(str(path), as_raw=True, sequence_always_upper=True) as fasta:
        for record in fasta:
            sequence = record[:].encode()
            known += sum(sequence.count(base) for base in b"ACGT")
            lines.append(f"{record.name}\t{hashlib.md5(sequence).hexdigest()}")
    return "sequence:" + hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest(), known


def clean_blacklist(blacklist, lengths, source):
    """Regions of a blacklist that lie in the genome, cut at chromosome ends, sorted and merged where they overlap.

    Rows on chromosomes that the genome lacks are dropped with a warning; InputError when all of them are.
    """
    present = blacklist["chrom"].isin(list(lengths))
    if len(blacklist) and not present.any():
        raise InputError(
            f"{source}: its chromosomes ({', '.join(blacklist['chrom'].unique()[:3])}) are not those of the genome "
            f"({', '.join(list(lengths)[:3])}); take the blacklist of this assembly, or set references.rename"
        )
    if not present.all():
        absent = blacklist.loc[~present, "chrom"].unique()
        logging.warning(
            "%s: %d rows on chromosomes that the genome lacks: %s", source, sum(~present), ", ".join(absent)
        )
    kept = blacklist[present].copy()
    kept["end"] = np.minimum(kept["end"], kept["chrom"].map(lengths))
    return merge(kept[kept["end"] > kept["start"]])


def merge(intervals):
    """Sorted intervals without overlaps that cover the same bases (bedtools merge, Quinlan & Hall 2010).

    intervals: data frame with chrom, start, end. Returns a data frame chrom, start, end.
    """
    if intervals.empty:
        return intervals[["chrom", "start", "end"]]
    bed = pybedtools.BedTool.from_dataframe(intervals[["chrom", "start", "end"]]).sort().merge()
    merged = bed.to_dataframe(names=["chrom", "start", "end"], dtype={"chrom": str})
    pybedtools.cleanup()
    return merged
