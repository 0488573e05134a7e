"""Time and memory of a dry run for many experiments: python tests/benchmarks/dag.py [PAIRS ...]

Writes a table of simulated experiments (peak files that exist but hold nothing), plans everything up to the report and prints
one row of a Markdown table per number of pairs.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HEADER = "cell_type\ttf\treplicate\ttreatment\tcontrol\tpeaks\tbatch\n"


def table(folder, pairs):
    """Table of experiments of 100 TFs or fewer in as many cell types as needed, each with one peak file."""
    peaks = folder / "peaks.bed"
    peaks.write_text("chr1\t0\t1\n")
    genome = folder / "genome.fa"
    genome.write_text(">chr1\nACGT\n")
    rows = [f"cell{i // 100}\tTF{i % 100}\t1\t\t\t{peaks}\t\n" for i in range(pairs)]
    (folder / "samples.tsv").write_text(HEADER + "".join(rows))
    settings = {
        "samples": str(folder / "samples.tsv"),
        "references": {"genome": str(genome)},
        # Each transfer model learns from all other experiments: the inputs alone are the square of the pairs.
        "transfer": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def measure(pairs, arguments):
    """Seconds (wall, CPU), peak memory in GB and number of jobs of a dry run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table(folder, pairs)
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-n",
            "--quiet",
            "rules",
            "--configfile",
            str(folder / "config.yaml"),
        ]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [*command, "--directory", str(folder / "run"), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = next(line.split()[-1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("total"))
    return wall, cpu, after.ru_maxrss / 1e6, jobs


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()] or [100, 1000, 10_000]
    options = [word for word in sys.argv[1:] if not word.isdigit()]
    print("| pairs | jobs | wall (s) | CPU (s) | memory (GB) |\n| --- | --- | --- | --- | --- |")
    for pairs in sorted(numbers):  # the memory is that of the largest child so far
        wall, cpu, memory, jobs = measure(pairs, options)
        print(f"| {pairs:,} | {jobs} | {wall:.0f} | {cpu:.0f} | {memory:.2f} |", flush=True)
