"""Many tiny models through a real Slurm: `python tests/benchmarks/slurm.py EXPERIMENTS [MODELS_PER_JOB]`, as root.

Starts the cluster of the tests, has `snakemake --profile slurm training` train a network of 8 filters for each experiment
(30 peaks of a random genome of 0.36 Mb, one pass), four jobs at a time, and prints a row of a Markdown table. CPU time is
that of the whole machine, the one Snakemake that submits (the driver) included, so let nothing else run but at `nice`.
"""

import re
import resource
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


def measure(experiments, models_per_job):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, experiments, models_per_job)
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--jobs", str(JOBS)]
        command += ["--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1"]
        command += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder / "run"), "training"]
        began, used = time.monotonic(), busy_s()
        with open(folder / "driver.log", "w") as log:
            done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=5400)
        minutes, hours = (time.monotonic() - began) / 60, (busy_s() - used) / 3600
        said = (folder / "driver.log").read_text()
        models = len(list((folder / "run").glob("results/training/*/*/model.safetensors")))
        if done.returncode or models != experiments:
            sys.exit(f"{models} of {experiments} models\n{said[-4000:]}")
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        jobs = len(re.findall("has been submitted with SLURM jobid", said))
    driver = (children.ru_utime + children.ru_stime) / 3600
    return models_per_job, experiments, jobs, minutes, hours, driver, children.ru_maxrss / 1e6


if __name__ == "__main__":
    numbers = [*map(int, sys.argv[1:]), 1]
    cluster.start()
    try:
        per_job, experiments, jobs, minutes, hours, driver, memory = measure(*numbers[:2])
    finally:
        cluster.stop()
    print(
        "| models per job | models | Slurm jobs | minutes | jobs per minute | models per minute | CPU h | CPU s per model |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {per_job} | {experiments} | {jobs} | {minutes:.1f} | {jobs / minutes:.1f} | {experiments / minutes:.1f} | "
        f"{hours:.2f} | {hours * 3600 / experiments:.1f} |"
    )
    print(f"Driver: {driver * 60:.1f} CPU minutes, {memory:.2f} GB at most")
