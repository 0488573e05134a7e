"""10,000 heads on one trunk: memory and time by windows and heads; by hand: `python tests/benchmarks/heads.py`.

Simulates 100 TFs x 100 cell types and fewer, every head with the same number of labels, all from one store of windows; each
size in a process of its own, with the default network: seconds of a step and of validation per window, time to draw the rows
of an epoch, and the largest memory. Beside it what labels and logits of all windows and heads would take.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.architectures import build_network
from cisgrammar.engine import Fitting, validate
from cisgrammar.training import network_settings, set_up

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(20_000, 1), (20_000, 100), (20_000, 10_000), (200_000, 1), (200_000, 100), (200_000, 10_000)]
STEPS, VALIDATED, LABELS = 15, 640, 2  # labels: of each window


def simulate(n_windows, heads, rng, window_bp=200, flank_bp=10):
    """A store of windows, each of which has a label of `LABELS` heads."""
    n = LABELS * n_windows
    return {
        "codes": rng.integers(0, 4, (n_windows, window_bp + 2 * flank_bp), dtype=np.uint8),
        "window": np.arange(n) % n_windows,
        "label": (rng.random(n) < 1 / 6).astype(np.uint8),
        "weight": np.ones(n, dtype=np.float32),
        "task": rng.permutation(np.arange(n) % heads),
        "normalisation": [],
        "encoding": {"unknown": "zero", "centred": False, "position_channel": True},
        "window_bp": window_bp,
        "flank_bp": flank_bp,
    }


def measure(n_windows, heads):
    rng, fabric = np.random.default_rng(1), set_up("cpu", 1, 1)
    settings = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["training"]
    data = simulate(n_windows, heads, rng)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    network = build_network(**network_settings(settings, data, heads))
    fitting = Fitting(network, data, settings, fabric, rng, "train")
    began = time.process_time()
    rows = np.array_split(fitting.draw(rng), fitting.n_steps)
    drawn = time.process_time() - began
    seconds = []
    for batch in rows[:STEPS]:
        began = time.process_time()
        fitting.take_step(batch, rng)
        seconds.append(time.process_time() - began)
    some = np.arange(VALIDATED)
    inner = data["codes"][:VALIDATED, data["flank_bp"] : -data["flank_bp"]]
    part = {"codes": inner, "label": np.arange(VALIDATED) % 2, "encoding": data["encoding"]}
    tasks = some // 2 % heads  # two windows of each task, one of them bound
    began = time.process_time()
    validate(network.eval(), part, tasks)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"step": float(np.median(seconds)), "draw": drawn, "validate": (time.process_time() - began) / VALIDATED}
    head = 4 * sum(parameter.numel() for parameter in network.head.parameters()) / 2**20
    return found | {"data": before, "most": most, "head": head, "torch": torch.__version__}


def main():
    print(
        "| windows | heads | step of 64 (ms) | draw an epoch (s) | validation (ms a window) | memory (MB) "
        "| of that libraries and data | weights of the heads (MB) | a windows x heads matrix (MB) |"
    )
    print("| --- " * 9 + "|")
    for n_windows, heads in SIZES:
        answer = subprocess.run([sys.executable, __file__, str(n_windows), str(heads)], capture_output=True, text=True)
        if answer.returncode:
            sys.exit(answer.stderr)
        found = json.loads(answer.stdout.splitlines()[-1])
        print(
            f"| {n_windows:,} | {heads:,} | {1000 * found['step']:.0f} | {found['draw']:.2f} | "
            f"{1000 * found['validate']:.2f} | {found['most']:.0f} | {found['data']:.0f} | {found['head']:.1f} | "
            f"{4 * n_windows * heads / 2**20:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*map(int, sys.argv[1:]))))
    else:
        main()
