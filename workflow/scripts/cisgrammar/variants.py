"""Variants: read from a VCF file, checked against the genome, left-aligned, and scored by networks.

tangermeme's substitution_effect and its kin change given windows, one kind of change at a time, and its read_vcf takes
rows as they are; here windows of both alleles are cut anew from the genome, so that all kinds are scored alike.
"""

import logging

import numpy as np
import pandas as pd

from cisgrammar.dna import CODES, UNKNOWN, reverse_complement_codes
from cisgrammar.extraction import chromosome_lengths, extract_regions
from cisgrammar.files import DAMAGE, open_text
from cisgrammar.log import InputError
from cisgrammar.model import score

AT_ONCE = 20_000  # variants whose surroundings are in memory at a time
LETTERS = "ACGT"
OK = "ok"


def read_variants(path):
    """Alleles of a VCF file, plain or gzip: a data frame row (of the file, from 1), chrom, pos (from 1), id, ref, alt.

    A row with several alternative alleles becomes as many rows; alleles are in upper case, otherwise as in the file.
    Raises InputError with the row when one has fewer than five columns or no position, and when there is no variant.
    """
    rows = []
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip() or line.startswith("#"):
                    continue
                fields = line.rstrip("\r\n").split("\t")
                if len(fields) < 5 or not fields[1].isdigit():
                    raise InputError(
                        f"{path}, row {number}: not a VCF row ('{line.strip()[:60]}'); write at least CHROM, POS, ID, REF, "
                        "ALT, separated by tabs"
                    )
                chrom, pos, identifier, ref, alts = fields[:5]
                rows += [(number, chrom, int(pos), identifier, ref.upper(), alt.upper()) for alt in alts.split(",")]
    except DAMAGE as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); copy it again") from error
    if not rows:
        raise InputError(f"{path}: no variant; give a VCF file with one row per variant")
    return pd.DataFrame(rows, columns=["row", "chrom", "pos", "id", "ref", "alt"])


def check_variant(chrom, pos, ref, alt, store):
    """`ok`, or why a variant cannot be scored, in a word or two.

    store: genome store (covariates.Store); pos: from 1
    """
    if chrom not in store.chromosomes:
        return "unknown chromosome"
    if not (set(ref) <= set("ACGTN") and ref):
        return "no reference sequence"
    if not set(alt) <= set("ACGTN"):
        return "no sequence"  # symbolic alleles, breakends, * and .
    bases = store.bases(chrom)
    if pos < 1 or pos - 1 + len(ref) > len(bases):
        return "outside the chromosome"
    if (CODES[np.frombuffer(ref.encode(), dtype=np.uint8)] != bases[pos - 1 : pos - 1 + len(ref)] & 7).any():
        return "other reference"
    if "N" in ref + alt:
        return "unknown base"
    return OK if ref != alt else "no change"


def left_align(start, ref, alt, bases):
    """Shortest and leftmost way to write a variant (Tan et al. 2015, Bioinformatics 31:2202).

    start: of ref, from 0; ref, alt: sequences that differ; bases: codes of the chromosome
    Returns (start, ref, alt), where one allele may be empty: without the base before an indel that VCF asks for.
    """
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        start, ref, alt = start + 1, ref[1:], alt[1:]
    while start and not (ref and alt):
        code = bases[start - 1] & 7
        if code == UNKNOWN or LETTERS[code] != (ref or alt)[-1]:
            break
        start -= 1
        ref, alt = (LETTERS[code] + allele[:-1] if allele else "" for allele in (ref, alt))
    return start, ref, alt


def prepare_variants(variants, store):
    """Check and left-align the rows of `read_variants`; none is dropped.

    Returns the data frame with the columns status (`ok` or what hinders), start (from 0), aligned_ref, aligned_alt (the
    shortest alleles; start is -1 and both are empty where the status is not `ok`).
    Raises InputError when no variant lies on a chromosome of the genome.
    """
    status, aligned = [], []
    for row in variants.itertuples():
        status.append(check_variant(row.chrom, row.pos, row.ref, row.alt, store))
        sound = status[-1] == OK
        aligned.append(left_align(row.pos - 1, row.ref, row.alt, store.bases(row.chrom)) if sound else (-1, "", ""))
    table = variants.assign(status=status)
    table[["start", "aligned_ref", "aligned_alt"]] = pd.DataFrame(aligned, index=table.index)
    if table["status"].eq("unknown chromosome").all():
        raise InputError(
            f"variants: none of {len(table)} lies on a chromosome of the genome, the first on '{table['chrom'].iloc[0]}', "
            f"the genome has {', '.join(list(store.chromosomes)[:3])}; rename the chromosomes of the VCF file"
        )
    for name, n in table["status"].value_counts().items():
        logging.info("%d of %d alleles: %s", n, len(table), name)
    return table


def allele_window(start, length, size, window_bp):
    """Genome positions (window_bp,) of a window with an allele in its middle, and the slice where the allele stands.

    start, length: place of the reference allele; size: length of the allele. The positions of inserted bases are those of
    the reference allele, its last base repeated, or the base before.
    """
    left = (window_bp - size) // 2
    allele = np.clip(start + np.arange(size), start - 1, max(start - 1, start + length - 1))
    before = np.arange(start - left, start)
    after = start + length + np.arange(window_bp - left - size)
    return np.concatenate([before, allele, after]), slice(left, left + size)


def cut_windows(table, store, window_bp, channels=()):
    """Windows of both alleles of sound variants, centred at them.

    table: rows of `prepare_variants` with status ok, no allele wider than window_bp; channels: list of dicts path, mean, sd
    Returns (codes uint8 (2, variants, window_bp), channels float16 (2, variants, channels, window_bp)), first those of the
    reference. Bases beyond the chromosome are unknown, their channels 0; an inserted base has the channels of its neighbour.
    """
    lengths = chromosome_lengths(store)
    size = table["chrom"].map(lengths).to_numpy()
    start, width = table["start"].to_numpy(), table["aligned_ref"].str.len().to_numpy()
    first, last = np.maximum(start - window_bp, 0), np.minimum(start + width + window_bp, size)
    regions = pd.DataFrame({"chrom": table["chrom"].to_numpy(), "start": first, "end": last})
    bases, tracks = extract_regions(regions, store, channels)
    codes = np.full((2, len(table), window_bp), UNKNOWN, dtype=np.uint8)
    values = np.zeros((2, len(table), len(channels), window_bp), dtype=np.float16)
    for i, row in enumerate(table.itertuples()):
        for j, allele in enumerate((row.aligned_ref, row.aligned_alt)):
            places, here = allele_window(start[i], width[i], len(allele), window_bp)
            inside = (places >= 0) & (places < size[i])
            codes[j, i, inside] = bases[i][places[inside] - first[i]]
            codes[j, i, here] = CODES[np.frombuffer(allele.encode(), dtype=np.uint8)]
            if len(channels):
                values[j, i][:, inside] = tracks[i][:, places[inside] - first[i]]
    return codes, values


def score_variants(network, table, store, window_bp, channels=(), encoding=None):
    """Logits of both alleles of each variant, means of both strands, and their difference.

    network: with one task; table: of `prepare_variants`; window_bp: width that the network was trained on; channels: list
    of dicts path, mean, sd; encoding: settings of `layers.encode`
    Returns a data frame status, ref_logit, alt_logit, delta (alt - ref), one row per row of the table in its order; nan where
    the status is not `ok`, which is `longer than the window` for alleles of more than window_bp.
    """
    longest = table[["aligned_ref", "aligned_alt"]].apply(lambda column: column.str.len()).max(axis=1)
    status = table["status"].mask(longest > window_bp, "longer than the window")
    sound = np.flatnonzero(status == OK)
    logits = np.full((2, len(table)), np.nan)
    for i in range(0, len(sound), AT_ONCE):
        rows = sound[i : i + AT_ONCE]
        codes, values = cut_windows(table.iloc[rows], store, window_bp, channels)
        for j in range(2):
            more = values[j] if len(channels) else None
            turned = None if more is None else more[..., ::-1].copy()
            other = reverse_complement_codes(codes[j]).copy()  # torch takes no array that is read backwards
            both = score(network, codes[j], more, encoding)[:, 0], score(network, other, turned, encoding)[:, 0]
            logits[j, rows] = np.mean(both, axis=0)
    scores = {"status": status.to_numpy(), "ref_logit": logits[0], "alt_logit": logits[1]}
    return pd.DataFrame(scores, index=table.index).assign(delta=logits[1] - logits[0])
