"""Which chromosomes are for training, which for validation, which for the test."""

import fnmatch
import logging

import numpy as np
import pandas as pd

from cisgrammar.log import InputError

SPLITS = ("train", "validation", "test")


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
            while order and (size == 0 or size + lengths[order[0]] / 2 < goal):
                drawn[order[0]] = split
                size += lengths[order.pop(0)]
            error += abs(size - goal) / max(1, total) + (size == 0)
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
