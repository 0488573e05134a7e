"""Genome, chromosome splits and known motifs."""

import fnmatch
import hashlib
import logging

import numpy as np
import pandas as pd
import pyfaidx

from cisgrammar.files import atomic, open_text
from cisgrammar.log import InputError

SPLITS = ("train", "validation", "test")


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
    except (EOFError, UnicodeDecodeError, OSError) as error:
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


def split_chromosomes(lengths, test, validation, test_share, validation_share, ignore, rng):
    """Deal out whole chromosomes to training, validation and test, so that no window is in two of them.

    lengths: dict of chromosome name to length in bp
    test, validation: names given by the user; an empty list is drawn so that its share of the genome comes
    nearest to the wanted one (the best of 1,000 random orders)
    ignore: names or shell patterns of chromosomes that are not used; a name in `test` or `validation` is used
    rng: numpy Generator
    Returns a data frame chrom, length_bp, split (train, validation, test or ignored).
    Raises InputError when a named chromosome is not in the genome, is named twice, or a split stays empty.
    """
    for name in [*test, *validation]:
        if name not in lengths:
            raise InputError(
                f"references.splits names chromosome '{name}', which the genome lacks; it has "
                f"{', '.join(list(lengths)[:8])}{' ...' if len(lengths) > 8 else ''}"
            )
    both = set(test) & set(validation)
    if both:
        raise InputError(f"references.splits: {', '.join(sorted(both))} cannot be in test and in validation")
    named = {**dict.fromkeys(test, "test"), **dict.fromkeys(validation, "validation")}
    used = [c for c in lengths if c in named or not any(fnmatch.fnmatchcase(c, pattern) for pattern in ignore)]
    total = sum(lengths[c] for c in used)
    free = [c for c in used if c not in named]
    wanted = [("test", test_share)] * (not test) + [("validation", validation_share)] * (not validation)
    best, best_error = None, np.inf
    for _ in range(1000 if wanted else 1):
        order = [free[i] for i in rng.permutation(len(free))]
        drawn, error = dict(named), 0.0
        for split, share in wanted:
            goal, size = share * total, 0
            while order and size + lengths[order[0]] / 2 < goal:
                drawn[order[0]] = split
                size += lengths[order.pop(0)]
            error += abs(size - goal) / total + (size == 0)
        if error < best_error:
            best, best_error = drawn, error
    split = [best.get(c, "train") if c in used else "ignored" for c in lengths]
    missing = [s for s in SPLITS if s not in split]
    if missing:
        raise InputError(
            f"no chromosome is left for {' and '.join(missing)} among {len(used)} usable ones; name chromosomes under "
            "references.splits, or shorten references.ignore_chromosomes"
        )
    logging.info("splits: %s", dict(zip(lengths, split, strict=True)))
    return pd.DataFrame({"chrom": list(lengths), "length_bp": list(lengths.values()), "split": split})


def read_splits(path):
    return pd.read_csv(path, sep="\t", dtype={"chrom": str, "split": str})


def clean_blacklist(blacklist, lengths, source):
    """Regions of a blacklist that lie in the genome, cut at chromosome ends.

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
    return kept[kept["end"] > kept["start"]]
