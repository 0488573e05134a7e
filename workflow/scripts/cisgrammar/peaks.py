"""Peaks: called by macs3, then windows of one width around their summits."""

import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx

from cisgrammar.intervals import at_most, overlaps, read_bed
from cisgrammar.log import InputError

NARROW_PEAK = ["chrom", "start", "end", "name", "score", "strand", "signal", "p", "q", "summit"]
OWN_OPTIONS = ("-t", "-c", "-n", "--treatment", "--control", "--name", "--outdir")


def macs3_command(files, effective_genome_bp, q_value, options, folder):
    """The command line of `macs3 callpeak` (Zhang et al. 2008, Genome Biology 9:R137) for pooled replicates.

    files: list of dicts with file, role (treatment or control), format (BAM, BAMPE, BED, BEDPE)
    effective_genome_bp: number; options: further options as one string, which win over the settings before them (with
    a limit of the p value, macs3 takes none of the q value); folder: where macs3 writes
    Raises InputError when the files are not all of one format, since macs3 reads only one, and when the options name
    files, which the workflow does.
    """
    formats = {entry["format"] for entry in files}
    if len(formats) > 1:
        listed = ", ".join(f"{entry['file']} ({entry['format']})" for entry in files)
        raise InputError(f"macs3 needs all files of an experiment in one format, single- or paired-end: {listed}")
    treatment = list(dict.fromkeys(entry["file"] for entry in files if entry["role"] == "treatment"))
    control = list(dict.fromkeys(entry["file"] for entry in files if entry["role"] == "control"))
    words = split_options(options)
    by_p = any(word.startswith(("-p", "--p")) for word in words)
    return [
        *("macs3", "callpeak", "--treatment", *treatment),
        *(("--control", *control) if control else ()),
        *("--format", formats.pop(), "--gsize", f"{effective_genome_bp:.0f}"),
        *(() if by_p else ("--qvalue", f"{q_value:g}")),
        *("--name", "called", "--outdir", str(folder)),
        *words,
    ]


def split_options(options):
    """Words of a string of macs3 options; InputError for a quote without its end, and for files or names of files."""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise InputError(f"peaks.macs3_options: '{options}' cannot be read ({error}); close each quote") from error
    for word in words:
        name = word.partition("=")[0]
        if word[:2] in OWN_OPTIONS or (len(name) > 3 and any(own.startswith(name) for own in OWN_OPTIONS)):
            raise InputError(f"peaks.macs3_options: {word} is set from the table of experiments; remove it")
    return words


def call_peaks(files, effective_genome_bp, q_value, options, output, advice=""):
    """Call peaks with macs3 and write them to `output` (narrowPeak; without summits where it calls broad peaks).

    advice: what else may help when it fails, the end of the message
    Raises InputError when macs3 is not installed, and with its last words when it fails or calls nothing.
    """
    beside = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    program = shutil.which("macs3", path=beside)
    if program is None:
        raise InputError("macs3 is not installed where this job runs; run `make setup`, or snakemake with --sdm conda")
    with tempfile.TemporaryDirectory(dir=Path(output).parent) as folder:
        command = macs3_command(files, effective_genome_bp, q_value, options, folder)
        logging.info("running %s", shlex.join(command))
        done = subprocess.run([program, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        logging.info("macs3 says:\n%s", done.stdout)
        called = Path(folder) / "called_peaks.narrowPeak"
        broad = called.with_suffix(".broadPeak")
        if broad.exists() or called.exists():
            # A narrowPeak row is a broadPeak row and the place of the summit, -1 for none.
            source, end = (broad, "\t-1\n") if broad.exists() else (called, "\n")
            rows = [row for row in source.read_text().splitlines() if not row.startswith("track")]
            called.write_text("".join(row + end for row in rows))
        if done.returncode or not called.exists():
            words = [line for line in done.stdout.splitlines() if line.strip()]
            raise InputError(
                f"macs3 stopped with status {done.returncode} on {files[0]['file']}: {words[-1] if words else 'no output'}; "
                f"its full output is in the log; with few reads, try peaks.macs3_options: --nomodel --extsize 200{advice}"
            )
        if called.stat().st_size == 0:
            raise InputError(
                f"macs3 called no peak in {files[0]['file']}; raise peaks.q_value or give more reads{advice}"
            )
        called.replace(output)


def read_peaks(paths):
    """Summits of BED or narrowPeak files.

    A narrowPeak row has its summit in column 10 (offset from the start; -1 for none); a row of any other file, or
    without summit, has it in the middle. Score: column 7 of a narrowPeak (signal), column 5 of a BED file;
    0 where there is none.
    Returns a data frame chrom, start, end, summit (int64), score (float64).
    """
    tables = []
    for path in paths:
        table = read_bed(path, [*NARROW_PEAK, "more"])
        middle = (table["start"] + table["end"]) // 2
        summit, score = middle, pd.Series(0.0, index=table.index)
        if list(table.columns) == NARROW_PEAK:
            numbers = table[["signal", "summit"]].apply(pd.to_numeric, errors="coerce")
            if numbers.isna().any(axis=None):
                row = numbers.isna().any(axis=1).idxmax()
                raise InputError(
                    f"{path}, peak {row + 1}: column 7 ('{table.loc[row, 'signal']}') or 10 "
                    f"('{table.loc[row, 'summit']}') is no number; write a narrowPeak file or six columns"
                )
            offset = numbers["summit"]
            summit = middle.where(offset < 0, table["start"] + offset)
            score = numbers["signal"]
        elif "score" in table:
            score = pd.to_numeric(table["score"], errors="coerce").fillna(0.0)
        table = table[["chrom", "start", "end"]].assign(summit=summit.astype("int64"), score=score.astype(float))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def center_peaks(peaks, splits, blacklist, genome, window_bp, merge_bp, minimum, maximum, unknown_share):
    """Windows of one width around summits, each with the split of its chromosome.

    peaks: data frame of `read_peaks`; splits: data frame chrom, length_bp, split; blacklist: data frame of regions
    genome: path of an indexed FASTA file
    merge_bp: of windows whose summits lie at most so many bp apart the best score stays; None: half of window_bp
    Windows are [summit - window_bp // 2, + window_bp). Dropped are, in this order, windows on ignored chromosomes,
    beyond a chromosome end, in the blacklist, with more than `unknown_share` unknown bases, near a window with a better
    score, and all but the `maximum` best scores (None: all stay). Of equal scores the first place comes first.
    Returns (windows, counts): windows a data frame chrom, start, end, name (= split), score, strand, sorted by
    position; counts a data frame step, n with the number left after each step.
    Raises InputError when fewer than `minimum` windows are left, or none in one of the splits.
    """
    length = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
    split = dict(zip(splits["chrom"], splits["split"], strict=True))
    windows = pd.DataFrame(
        {
            "chrom": peaks["chrom"],
            "start": peaks["summit"] - window_bp // 2,
            "end": peaks["summit"] - window_bp // 2 + window_bp,
            "name": peaks["chrom"].map(split),
            "score": peaks["score"],
            "strand": ".",
        }
    )
    counts = [("peaks read", len(windows))]

    def keep(step, kept):
        nonlocal windows
        windows = windows[kept]
        counts.append((step, len(windows)))

    keep("on chromosomes in use", windows["name"].isin(["train", "validation", "test"]))
    keep("whole window on the chromosome", (windows["start"] >= 0) & (windows["end"] <= windows["chrom"].map(length)))
    keep("outside the blacklist", ~overlaps(windows, blacklist))
    keep(f"at most {unknown_share:g} unknown bases", at_most(unknown(windows, genome), unknown_share))
    merge_bp = window_bp // 2 if merge_bp is None else merge_bp
    windows = windows.sort_values(["score", "chrom", "start"], ascending=[False, True, True], kind="stable")
    keep(f"best summit within {merge_bp} bp" if merge_bp else "one per place", best_around(windows, merge_bp))
    if maximum is not None:
        keep(f"best {maximum}", np.arange(len(windows)) < maximum)
    per_split = windows["name"].value_counts()
    numbers = ", ".join(f"{n} {step}" for step, n in counts)
    if len(windows) < minimum:
        raise InputError(
            f"{len(windows)} peaks are left, fewer than the {minimum} of peaks.minimum ({numbers}); lower it, or raise "
            "peaks.q_value"
        )
    for name in ("train", "validation", "test"):
        if not per_split.get(name, 0):
            raise InputError(f"no peak on the {name} chromosomes ({numbers}); choose others under references.splits")
        counts.append((name, int(per_split[name])))
    return windows.sort_values(["chrom", "start"], kind="stable"), pd.DataFrame(counts, columns=["step", "n"])


def best_around(windows, distance_bp):
    """Which windows have no kept window before them within `distance_bp`, bool array (len(windows),).

    windows: data frame chrom, start, best first. One after the other is kept, and those around it are dropped, so that a
    dropped window drops no other.
    """
    kept = np.ones(len(windows), dtype=bool)
    starts = windows["start"].to_numpy()
    for rows in windows.groupby("chrom", sort=False).indices.values():
        order = np.argsort(starts[rows], kind="stable")
        places = starts[rows[order]]
        first = np.searchsorted(places, places - distance_bp, side="left")
        last = np.searchsorted(places, places + distance_bp, side="right")
        free = np.ones(len(rows), dtype=bool)  # by place
        crowded = np.flatnonzero(last - first > 1)
        for at in crowded[np.argsort(order[crowded])].tolist():
            if free[at]:
                free[first[at] : last[at]] = False
                free[at] = True
        kept[rows[order]] = free
    return kept


def unknown(windows, genome):
    """Share of bases other than A, C, G, T in each window, as a float array (len(windows),)."""
    with pyfaidx.Fasta(str(genome), as_raw=True, sequence_always_upper=True) as fasta:
        rows = zip(windows["chrom"], windows["start"], windows["end"], strict=True)
        sequences = (fasta[chrom][start:end] for chrom, start, end in rows)
        return np.array([1 - sum(map(s.count, "ACGT")) / max(1, len(s)) for s in sequences])
