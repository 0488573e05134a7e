"""Time and memory of mappability, genome store and negatives at the size of the human genome.

By hand: `python tests/benchmarks/negatives.py FOLDER [STEP ...]`, all steps by default; 20 GB in FOLDER, which may be
deleted afterwards. Each step is a process of its own, so that its peak memory is known; a line per step is printed and
added to FOLDER/results.tsv. The workflow's own scripts do the work, with the settings of config/config.yaml and those below.
"""

import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml
from genome import LENGTHS, write_genome

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
READ_BP, WINDOW_BP, RATIO = 50, 200, 2
TEST, VALIDATION = ("chr8", "chr9", "chr20"), ("chr7", "chr18")  # 11 and 8 % of the genome
SIDE = "chr1"  # 249 Mb, where tangermeme runs side by side


def run_script(name, log, inputs, outputs, params=None, **more):
    """Run a script of the workflow as Snakemake would."""
    log.parent.mkdir(exist_ok=True)
    outputs = OutputFiles(outputs)
    snakemake = SimpleNamespace(input=SimpleNamespace(**inputs), output=outputs, log=[str(log)], **more)
    snakemake.params = SimpleNamespace(**(params or {}))
    runpy.run_path(str(SCRIPTS / f"{name}.py"), {"snakemake": snakemake})


class OutputFiles(dict):
    """Outputs by name and, as the only one, by number."""

    def __getitem__(self, key):
        return next(iter(self.values())) if key == 0 else super().__getitem__(key)

    def __getattr__(self, name):
        return self[name]


def settings(**changes):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return {**config["negatives"], "ratio": RATIO, **changes}


def write_splits(lengths, path, test=TEST, validation=VALIDATION):
    split = ["test" if c in test else "validation" if c in validation else "train" for c in lengths]
    table = pd.DataFrame({"chrom": list(lengths), "length_bp": list(lengths.values()), "split": split})
    table.to_csv(path, sep="\t", index=False)


def write_peaks(folder, store, n, seed, splits, width=WINDOW_BP):
    """Peaks that prefer GC, CpG, uniqueness and unmasked bases, as folder/peaks_<n>_<seed>.bed, and summits' regions."""
    from cisgrammar.covariates import windows_covariates

    rng = np.random.default_rng(seed)
    splits = pd.read_csv(splits, sep="\t")
    tables = []
    for chrom, length, split in splits.itertuples(index=False):
        share = length / splits["length_bp"].sum()
        places = (length - 2 * width) // (2 * width)
        starts = np.sort(rng.choice(places, min(places, int(n * share * 30)), replace=False)) * 2 * width
        starts += rng.integers(0, width, len(starts))
        values = windows_covariates(store, chrom, starts, width)
        score = 7 * values["gc"] + np.minimum(values["cpg"], 1.5) - 1.5 * values["repeats"]
        score += 2 * values.get("mappability", 0) - 100 * (values["unknown"] > 0)
        score = np.nan_to_num(score, nan=-100) + rng.gumbel(size=len(starts))
        tables.append(
            pd.DataFrame({"chrom": chrom, "start": starts, "end": starts + width, "name": split, "score": score})
        )
    peaks = pd.concat(tables).nlargest(n, "score").sort_values(["chrom", "start"])
    peaks.assign(score=0, strand=".").to_csv(folder / f"peaks_{n}_{seed}.bed", sep="\t", header=False, index=False)


# Steps: functions of the folder; their names are those on the command line. What they return stands in the results.


def simulate(folder):
    """Genome and splits; not part of any time."""
    write_genome(folder / "genome.fa", LENGTHS, 1)
    write_splits(LENGTHS, folder / "splits.tsv")
    (folder / "blacklist.bed").touch()
    import pyfaidx

    pyfaidx.Faidx(str(folder / "genome.fa"))
    return f"{sum(LENGTHS.values())} bases"


def mappability(folder):
    """Exact mappability of the genome, within the memory that the rule has."""
    run_script(
        "measure_mappability",
        folder / "logs" / "mappability.log",
        {"genome": folder / "genome.fa", "splits": folder / "splits.tsv"},
        {"track": folder / "mappability.npy"},
        {"read_bp": READ_BP},
        resources=SimpleNamespace(mem_mb=6000),
    )
    return (folder / "logs" / "mappability.log").read_text().splitlines()[-1].split("mappability: ")[-1]


def track(folder):
    """The mappability as a bigWig file, as a user would give it: each run of equal values is a row."""
    import pyBigWig

    values, first, n_rows = np.load(folder / "mappability.npy", mmap_mode="r"), 0, 0
    with pyBigWig.open(str(folder / "mappability.bw"), "w") as track:
        track.addHeader(list(LENGTHS.items()), maxZooms=0)
        for chrom, length in LENGTHS.items():
            own = np.array(values[first : first + length])
            first += length
            edges = np.flatnonzero(np.diff(own, prepend=0, append=0))
            starts, ends = edges[::2], edges[1::2]
            n_rows += len(starts)
            track.addEntries([chrom] * len(starts), starts, ends=ends, values=np.ones(len(starts)))
    return f"{n_rows} rows"


def encode(folder):
    """The genome store with the track."""
    run_script(
        "encode_genome",
        folder / "logs" / "encode.log",
        {"genome": folder / "genome.fa", "splits": folder / "splits.tsv", "signals": [folder / "mappability.bw"]},
        {"store": folder / "store"},
        {"signals": ["mappability"]},
    )
    return f"{sum(path.stat().st_size for path in (folder / 'store').iterdir()) / 1e9:.1f} GB"


def peaks(folder):
    """Peaks of three experiments; not part of any time."""
    from cisgrammar.covariates import open_store

    for n, seed in ((100_000, 1), (100_000, 2), (800_000, 3)):
        write_peaks(folder, open_store(folder / "store"), n, seed, folder / "splits.tsv")
    return ""


def match(folder, name, store="store", splits="splits.tsv", **changes):
    """Negatives of one experiment; a note on number and balance."""
    out = folder / "negatives" / name
    out.mkdir(parents=True, exist_ok=True)
    bed = folder / f"{name}.bed"
    inputs = {"peaks": bed, "regions": bed, "store": folder / store, "splits": folder / splits}
    inputs |= {"blacklist": folder / "blacklist.bed", "annotation": [], "accessible": [], "motifs": [], "others": []}
    outputs = {"negatives": out / "negatives.bed", "balance": out / "balance.tsv", "separability": out / "auroc.tsv"}
    outputs["draws"] = out / "draws.tsv"
    params = {"negatives": settings(**changes), "unknown_share": 0.1, "flank_bp": 10, "seed": 1}
    run_script("match_negatives", folder / "logs" / f"{name}.log", inputs, outputs, params)
    balance = pd.read_csv(out / "balance.tsv", sep="\t")
    auroc = pd.read_csv(out / "auroc.tsv", sep="\t")["auroc"]
    one = balance[balance["covariate"] == "gc"]
    return (
        f"{one['n_negatives'].sum()} of {changes.get('ratio', RATIO) * one['n_peaks'].sum()} negatives, candidates "
        f"{one['n_candidates'].tolist()}, largest |SMD| {balance['smd_before'].abs().max():.3f} before, "
        f"{balance['smd_after'].abs().max():.4f} after, AUROC {auroc.min():.3f} to {auroc.max():.3f}"
    )


def first(folder):
    """Negatives of an experiment of 100,000 peaks; nothing is compiled yet."""
    shutil.rmtree(folder / "numba", ignore_errors=True)
    return match(folder, "peaks_100000_1")


def second(folder):
    """Negatives of a second experiment on the same genome."""
    return match(folder, "peaks_100000_2")


def many(folder):
    """800,000 peaks, with the default pool: ends with the shortfall."""
    return match(folder, "peaks_800000_3")


def many_fewer(folder):
    """800,000 peaks, with `allow_shortfall`."""
    return match(folder, "peaks_800000_3", allow_shortfall=True)


def many_wide(folder):
    """800,000 peaks, with 5,000,000 candidates per split."""
    return match(folder, "peaks_800000_3", candidates=5_000_000)


def side(folder):
    """Input of the comparison with tangermeme: one chromosome, 20,000 peaks of two widths; not part of any time."""
    import pyfaidx
    from cisgrammar.covariates import open_store, write_store

    with pyfaidx.Fasta(str(folder / "genome.fa"), as_raw=True) as genome, open(folder / "side.fa", "w") as handle:
        sequence = genome[SIDE][:]
        handle.write(f">{SIDE}\n" + "".join(sequence[i : i + 60] + "\n" for i in range(0, len(sequence), 60)))
    pyfaidx.Faidx(str(folder / "side.fa"))
    one = {SIDE: LENGTHS[SIDE]}
    write_splits(one, folder / "side.tsv")
    write_store(folder / "side.fa", one, folder / "side_peaks")
    for width in (200, 1000):
        write_peaks(folder, open_store(folder / "side_peaks"), 20_000, width, folder / "side.tsv", width)
    return f"{LENGTHS[SIDE]} bases"


def gc_of(folder, windows):
    """GC content of windows, counted in the store of `side`."""
    from cisgrammar.covariates import open_store, windows_covariates

    width = int(windows["end"].iloc[0] - windows["start"].iloc[0])
    return windows_covariates(open_store(folder / "side_peaks"), SIDE, windows["start"].to_numpy(), width)["gc"]


def gc_balance(folder, peaks, negatives):
    a, b = gc_of(folder, peaks), gc_of(folder, negatives)
    gap = (a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2)
    return f"{len(negatives)} of {len(peaks)} negatives, SMD of GC {gap:.4f}"


def read_windows(path):
    return pd.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2], names=["chrom", "start", "end"])


def ours(folder, width):
    """Encoding, covariates and negatives of one chromosome."""
    inputs = {"genome": folder / "side.fa", "splits": folder / "side.tsv", "signals": []}
    run_script("encode_genome", folder / "logs/side.log", inputs, {"store": folder / "side_store"}, {"signals": []})
    name = f"peaks_20000_{width}"
    match(folder, name, "side_store", "side.tsv", ratio=1)
    return gc_balance(
        folder, read_windows(folder / f"{name}.bed"), read_windows(folder / "negatives" / name / "negatives.bed")
    )


def theirs(folder, width):
    """tangermeme's extract_matching_loci on the same file and peaks."""
    from tangermeme.match import extract_matching_loci

    peaks = read_windows(folder / f"peaks_20000_{width}.bed")
    began, busy = time.monotonic(), time.process_time()
    negatives = extract_matching_loci(peaks, str(folder / "side.fa"), in_window=width, out_window=width, random_state=1)
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    return f"{gc_balance(folder, peaks, negatives)}; {seconds:.1f} ({busy:.1f}) s without imports"


def draw_gc(folder, width):
    """Our draw on GC alone from a store that is there, without imports: with the default step, and on the windows that
    tangermeme draws from, which do not overlap. Seconds of the first call, median of the next five, of that on a processor.
    """
    from cisgrammar.covariates import open_store
    from cisgrammar.intervals import read_bed
    from cisgrammar.negatives import add_covariates, away_from, find_candidates
    from cisgrammar.sampling import draw_matched
    from cisgrammar.splits import read_splits

    windows, splits = read_bed(folder / f"peaks_20000_{width}.bed"), read_splits(folder / "side.tsv")
    blacklist, margin_bp, most = read_bed(folder / "blacklist.bed"), settings()["margin_bp"], settings()["candidates"]
    notes = []
    for step_bp in (width // 4, width):
        times = []
        for _ in range(6):
            began, busy = time.monotonic(), time.process_time()
            store, rng = open_store(folder / "side_peaks"), np.random.default_rng(1)
            peaks = add_covariates(windows, store, None)
            taken = away_from(peaks, windows, blacklist, margin_bp)
            candidates = find_candidates(peaks, taken, splits, step_bp, 0.1, 1, most, store, None, rng)
            negatives, _ = draw_matched(peaks, candidates, ["gc"], 1, rng)
            times.append((time.monotonic() - began, time.process_time() - busy))
        seconds, busy = np.median(times[1:], axis=0)
        found = gc_balance(folder, windows, negatives)
        notes.append(f"step {step_bp} bp: {times[0][0]:.2f}, {seconds:.2f} ({busy:.2f}) s, {found}")
    return "; ".join(notes)


def draw_200(folder):
    return draw_gc(folder, 200)


def draw_1000(folder):
    return draw_gc(folder, 1000)


def ours_200(folder):
    return ours(folder, 200)


def tangermeme_200(folder):
    return theirs(folder, 200)


def ours_1000(folder):
    return ours(folder, 1000)


def tangermeme_1000(folder):
    return theirs(folder, 1000)


STEPS = (
    *(simulate, mappability, track, encode, peaks, first, second, many, many_fewer, many_wide),
    *(side, ours_200, draw_200, tangermeme_200, ours_1000, draw_1000, tangermeme_1000),
)


def run_step(step, folder):
    """Run a step in its own process; returns seconds, of them on a processor, peak memory in MB, and the note."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "numba")}
    began = time.monotonic()
    command = [sys.executable, __file__, str(folder), "--here", step]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    note = (process.stdout.read().strip().splitlines() or [""])[-1]
    _, status, usage = os.wait4(process.pid, 0)
    note = f"stopped: {note}" if status else note
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, note


def main(folder, *steps):
    folder = Path(folder).resolve()
    folder.mkdir(exist_ok=True)
    known = {step.__name__: step for step in STEPS}
    if steps[:1] == ("--here",):
        return print(known[steps[1]](folder))
    for step in steps or known:
        seconds, busy, peak_mb, note = run_step(step, folder)
        line = f"{step}\t{seconds:.1f}\t{busy:.1f}\t{peak_mb:.0f}\t{note}"
        print(line, flush=True)
        with open(folder / "results.tsv", "a") as handle:
            handle.write(line + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
