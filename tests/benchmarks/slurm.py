"""Many tiny models through a real Slurm: `python tests/benchmarks/slurm.py EXPERIMENTS [MODELS_PER_JOB [MINUTES]]`, as root.

Starts the cluster of the tests, has `snakemake --profile slurm training` train a network of 8 filters for each experiment
(30 peaks of a random genome of 0.36 Mb, one pass), four jobs at a time, and prints a row of a Markdown table. CPU time is
that of the whole machine, the one Snakemake that submits (the driver) included, so let nothing else run but at `nice`. With
MINUTES it is stopped then, and what has ended is counted.
"""

import contextlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "slurm"))
import cluster

ROOT = Path(__file__).resolve().parents[2]
JOBS, CHROMOSOMES, CHROMOSOME_BP, PEAKS = 4, 6, 60_000, 5  # peaks per chromosome


def prepare(folder, experiments, models_per_job):
    rng = np.random.default_rng(1)
    with open(folder / "genome.fa", "w") as genome, open(folder / "peaks.bed", "w") as peaks:
        for number in range(1, CHROMOSOMES + 1):
            genome.write(f">chr{number}\n{''.join(rng.choice(list('ACGT'), CHROMOSOME_BP))}\n")
            for start in sorted(rng.choice(CHROMOSOME_BP // 1000 - 2, PEAKS, replace=False) * 1000 + 1000):
                peaks.write(f"chr{number}\t{start}\t{start + 1}\n")
    rows = [f"cell{i // 100}\tTF{i % 100}\t{folder}/peaks.bed\n" for i in range(experiments)]
    (folder / "samples.tsv").write_text("cell_type\ttf\tpeaks\n" + "".join(rows))
    settings = {
        "samples": str(folder / "samples.tsv"),
        "device": "cpu",
        "models_per_job": models_per_job,
        "references": {"genome": str(folder / "genome.fa")},
        "peaks": {"minimum": 20},
        "negatives": {"ratio": 2, "evaluation": ["matched"]},
        "training": {"members": 1, "filters": 8, "epochs": 1},
        "transfer": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def busy_s():
    """Seconds that all processors have worked since the start of the machine, `nice` ones left out."""
    user, _, system = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:4])
    return (user + system) / 100


def measure(experiments, models_per_job, limit):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, experiments, models_per_job)
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--jobs", str(JOBS)]
        command += ["--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1"]
        command += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder / "run"), "training"]
        began, used = time.monotonic(), busy_s()
        with open(folder / "driver.log", "w") as log:
            driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(limit * 60)
        minutes, hours = (time.monotonic() - began) / 60, (busy_s() - used) / 3600
        said, stopped = (folder / "driver.log").read_text(), driver.poll() is None
        models = len(list((folder / "run").glob("results/training/*/*/model.safetensors")))
        jobs = len(re.findall("has been submitted with SLURM jobid", said))
        if stopped:
            jobs -= len(cluster.answer("squeue", "--noheader").splitlines())
            driver.send_signal(signal.SIGINT)
            driver.wait(600)
        elif driver.returncode or models != experiments:
            sys.exit(f"{models} of {experiments} models\n{said[-4000:]}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = (children.ru_utime + children.ru_stime) / 60
    return f"{models} of {experiments}", jobs, minutes, hours, own, children.ru_maxrss / 1e6, models


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    experiments, models_per_job, limit = given + [1, 90][len(given) - 1 :]
    cluster.start()
    try:
        done, jobs, minutes, hours, own, memory, models = measure(experiments, models_per_job, limit)
    finally:
        cluster.stop()
    print(
        "| models per job | models | Slurm jobs | minutes | jobs per minute | models per minute | CPU h | CPU s per job |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {models_per_job} | {done} | {jobs} | {minutes:.1f} | {jobs / minutes:.1f} | {models / minutes:.1f} | "
        f"{hours:.2f} | {hours * 3600 / jobs:.1f} |"
    )
    print(f"Driver: {own:.1f} CPU minutes, {memory:.2f} GB at most")
    if models:
        print(f"{hours * 3600 / models:.1f} CPU s per model")
