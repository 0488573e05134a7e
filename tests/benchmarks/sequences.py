"""Time, memory and size of sequence files: 200,000 windows of 1 kb from a chromosome of the size of human chr1.

By hand: `python tests/benchmarks/sequences.py FOLDER [STEP ...]`, all steps by default; 4 GB in FOLDER, which may be
deleted afterwards. Each step is a process of its own, so that its peak memory is known; a line per number is printed.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))
CHROM, LENGTH_BP, WINDOW_BP, FLANK_BP, WINDOWS, LOCI = "chr1", 248_956_422, 1000, 10, 200_000, 50_000
SETTINGS = dict(filters=128, filter_bp=19, hidden=32, dropout=0.1, hidden_dropout=0.3, members=3)


def tell(what, began, n=WINDOWS, more=""):
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:60}{seconds:8.2f} s{n / seconds:12,.0f} windows/s  peak {memory:.2f} GB  {more}", flush=True)


def draw_windows(n, seed=1):
    """Sorted windows of which every tenth is for validation and every tenth for the test."""
    start = np.sort(np.random.default_rng(seed).integers(0, LENGTH_BP - WINDOW_BP, n))
    name = np.resize(["train"] * 8 + ["validation", "test"], n)
    return pd.DataFrame({"chrom": CHROM, "start": start, "end": start + WINDOW_BP, "name": name})


def open_genome(folder):
    from cisgrammar.covariates import open_store

    return open_store(folder / "store")


def genome(folder):
    """The chromosome with 1 % unknown and half of it soft-masked, its store, and a bigWig of a value every 20 bp."""
    import pyBigWig
    from cisgrammar.covariates import write_store

    rng = np.random.default_rng(0)
    lines = np.frombuffer(b"ACGTacgt", dtype=np.uint8)[rng.integers(0, 8, (LENGTH_BP // 60 + 1, 60), dtype=np.uint8)]
    lines[: len(lines) // 100] = ord("N")
    with open(folder / "genome.fa", "wb") as handle:
        handle.write(f">{CHROM}\n".encode())
        handle.write(
            np.pad(lines, ((0, 0), (0, 1)), constant_values=ord("\n")).tobytes()[: LENGTH_BP + LENGTH_BP // 60]
        )
        handle.write(b"\n")
    began = time.perf_counter()
    write_store(folder / "genome.fa", {CHROM: LENGTH_BP}, folder / "store")
    tell("genome store, once per genome", began, 0)
    with pyBigWig.open(str(folder / "track.bw"), "w") as track:
        track.addHeader([(CHROM, LENGTH_BP)])
        for first in range(0, LENGTH_BP, 1 << 24):
            n = min(1 << 24, LENGTH_BP - first) // 20
            track.addEntries(CHROM, first, values=rng.gamma(1, 2, n).round(2), span=20, step=20)


def extraction(folder):
    """In turn with extract_loci of tangermeme on its 4 threads, from the same genome; the first time and median of 9."""
    from cisgrammar.extraction import extract_codes
    from tangermeme.io import extract_loci

    loci, times, found = draw_windows(LOCI), {}, {}

    def bases():
        return extract_codes(loci, open_genome(folder))

    def one_hot():
        return (bases()[:, None] == np.arange(4, dtype=np.uint8)[:, None]).view(np.int8)

    def loci_of_tangermeme():
        return extract_loci(loci, str(folder / "genome.fa"), in_window=WINDOW_BP).numpy()

    for _ in range(10):
        for function in (bases, one_hot, loci_of_tangermeme):
            began = time.perf_counter()
            found[function] = function()
            times.setdefault(function, []).append(time.perf_counter() - began)
    names = ("codes of the store", "the same as one-hot int8", "tangermeme extract_loci, one-hot int8")
    for name, (first, *others) in zip(names, times.values(), strict=True):
        rate = LOCI / np.median(others)
        print(f"{name:40}first {first:6.3f} s, then {np.median(others):6.3f} s, {rate:11,.0f} windows/s", flush=True)
    print("the same bases:", np.array_equal(found[one_hot], found[loci_of_tangermeme]))


def write(folder, n, channels=()):
    from cisgrammar.extraction import write_sequences

    windows, path = draw_windows(n), folder / f"sequences_{n}_{len(channels)}.h5"
    began = time.perf_counter()
    write_sequences(windows[::3], windows.drop(windows.index[::3]), open_genome(folder), FLANK_BP, path, channels)
    size = path.stat().st_size
    tell(
        f"write {n} windows, {len(channels)} channels", began, n, f"{size / 1e6:.0f} MB, {size / n:.0f} bytes a window"
    )


def write_some(folder):
    write(folder, WINDOWS // 4)


def write_all(folder):
    write(folder, WINDOWS)


def write_channel(folder):
    write(folder, WINDOWS, [("track", folder / "track.bw")])


def read(folder):
    """A whole split in order, and batches of random windows straight from the file."""
    from cisgrammar.sequences import read_rows, read_sequences

    for channels in (0, 1):
        path = folder / f"sequences_{WINDOWS}_{channels}.h5"
        began = time.perf_counter()
        n = len(read_sequences(path, "train", flank=True)["label"])
        tell(f"read_sequences, train, {channels} channels", began, n)
        rng = np.random.default_rng(0)
        with h5py.File(path) as file:
            for size in (64, 512):
                began = time.perf_counter()
                for _ in range(10_000 // size):
                    rows = rng.integers(0, WINDOWS, size)
                    for name in ("codes", "channels")[: 1 + channels]:
                        read_rows(file[name], rows)
                tell(f"random batches of {size} from the file, {channels} channels", began, 10_000 // size * size)


def train(folder):
    """One pass of the default network over random windows in memory; the drawing of batches alone."""
    import torch
    import yaml
    from cisgrammar.architectures import detectors
    from cisgrammar.engine import fit
    from cisgrammar.layers import encode
    from cisgrammar.training import draw_windows, read_task, set_up

    fabric = set_up("cpu", 1, 0)
    data = read_task(folder / f"sequences_{WINDOWS}_0.h5", "validation", flank=True)
    data = {name: values[:6400] if isinstance(values, np.ndarray) else values for name, values in data.items()}
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    for rows in np.array_split(rng.permutation(6400), 100):
        encode(*draw_windows(data, rows, rng))
    tell("batches of 64 drawn from memory and encoded", began, 6400)
    inside = {**data, "codes": data["codes"][:64, FLANK_BP:-FLANK_BP]}
    inside |= {name: data[name][:64] for name in ("label", "task", "length")}
    config = yaml.safe_load((Path(__file__).parents[2] / "config" / "config.yaml").read_text())
    settings = {**config["training"], "epochs": 1, "negatives_per_positive": 9}
    torch.manual_seed(0)
    began = time.perf_counter()
    fit(detectors(**SETTINGS), data, inside, settings, fabric, rng, "train")
    tell("training of the default network, 1 thread", began, 6400)


def chunks(folder):
    """Sizes and rates of the codes for chunks and compressions that might have been chosen; rows one by one."""
    path, trial = folder / f"sequences_{WINDOWS}_0.h5", folder / "trial.h5"
    with h5py.File(path) as file:
        codes = file["codes"][: WINDOWS // 4]
    for name, more in (
        ("none", {}),
        ("lzf", dict(compression="lzf")),
        ("gzip 1", dict(compression_opts=1)),
        ("gzip 4", {}),
    ):
        for rows in (1, 4, 16, 64):
            kind = dict(compression="gzip", compression_opts=4) | more if name.startswith("gzip") else more
            began = time.perf_counter()
            with h5py.File(trial, "w") as file:
                dataset = file.create_dataset("codes", codes.shape, np.uint8, chunks=(rows, codes.shape[1]), **kind)
                for i in range(0, len(codes), 4096):
                    dataset[i : i + 4096] = codes[i : i + 4096]
            written = len(codes) / (time.perf_counter() - began)
            with h5py.File(trial) as file:
                began = time.perf_counter()
                for i in range(0, len(codes), 4096):
                    file["codes"][i : i + 4096]
                in_order = len(codes) / (time.perf_counter() - began)
                dataset, order = file["codes"], np.random.default_rng(0).integers(0, len(codes), 5000)
                began = time.perf_counter()
                for i in order:
                    dataset[i]
                random = len(order) / (time.perf_counter() - began)
            size = trial.stat().st_size / len(codes)
            print(
                f"{name:8}{rows:4} rows{size:8.0f} bytes{written:10,.0f}{in_order:12,.0f}{random:10,.0f} windows/s",
                flush=True,
            )
    trial.unlink()


STEPS = (genome, extraction, write_some, write_all, write_channel, read, train, chunks)

if __name__ == "__main__":
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    steps = {step.__name__: step for step in STEPS}
    if len(names) == 1:
        steps[names[0]](folder)
    else:
        for name in names or steps:
            subprocess.run([sys.executable, __file__, str(folder), name], check=True)
