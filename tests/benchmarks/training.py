"""Speed of training and of scoring; by hand: `python tests/benchmarks/training.py [ARCHITECTURE ...]`.

For each architecture with the settings of config/config.yaml: a step of the engine (draw, shift, encode, forward, backward,
clip, optimiser) beside forward, backward and optimiser of the same network on batches that are encoded already; and scoring
beside the bare network. Both sides take turns, and medians are shown. Then what ten seeds side by side cost beside one. On a
GPU where torch sees one.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.architectures import ARCHITECTURES, build_network
from cisgrammar.engine import Fitting
from cisgrammar.layers import encode
from cisgrammar.model import score
from cisgrammar.training import network_settings, set_up
from torch.nn.functional import binary_cross_entropy_with_logits

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, STEPS, BATCH = 9, 10, 64


def simulate(n, rng, window_bp=200, flank_bp=10):
    return {
        "codes": rng.integers(0, 4, (n, window_bp + 2 * flank_bp)).astype(np.uint8),
        "label": (np.arange(n) % 6 == 0).astype(np.uint8),
        "weight": np.ones(n, dtype=np.float32),
        "task": np.zeros(n, dtype=int),
        "normalisation": [],
        "encoding": {"unknown": "zero", "centred": False, "position_channel": True},
        "window_bp": window_bp,
        "flank_bp": flank_bp,
    }


def clock(device, run):
    """Seconds of a call, with what the GPU still has to do."""
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def build(name, settings, data, **more):
    settings = {**settings, "architecture": name, **more}
    return settings, build_network(**network_settings(settings, data))


def compare_steps(name, settings, data, fabric, rng, **more):
    """(windows/s of the engine, windows/s of the bare network) in training."""
    settings, network = build(name, settings, data, **more)
    fitting = Fitting(network, data, settings, fabric, rng, "train", None)
    fitting.progress.epoch = 1
    network.train()
    batches = [rng.choice(len(data["label"]), BATCH) for _ in range(STEPS)]
    inner = slice(data["flank_bp"], data["flank_bp"] + data["window_bp"])
    ready = [encode(data["codes"][rows, inner], None, fabric.device, **data["encoding"]) for rows in batches]
    labels = [torch.as_tensor(data["label"][rows]).float().to(fabric.device) for rows in batches]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def engine():
        for rows in batches:
            fitting.take_step(rows, rng)

    def bare():
        for sequences, label in zip(ready, labels, strict=True):
            logits = network.member_logits(sequences)[..., 0]
            loss = binary_cross_entropy_with_logits(logits, label.unsqueeze(1).expand_as(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    engine(), bare()
    times = [[clock(fabric.device, run) for run in (engine, bare)] for _ in range(ROUNDS)]
    return [STEPS * BATCH / statistics.median(column) for column in zip(*times, strict=True)]


def compare_scoring(name, settings, data, fabric):
    """(windows/s of `score`, windows/s of the bare network on encoded batches)."""
    _, network = build(name, settings, data)
    network = network.to(fabric.device).eval()
    codes = data["codes"][:2048, : data["window_bp"]]
    ready = [encode(codes[i : i + 512], None, fabric.device, **data["encoding"]) for i in range(0, len(codes), 512)]

    @torch.inference_mode()
    def bare():
        for sequences in ready:
            network(sequences)

    def ours():
        score(network, codes, None, data["encoding"])

    ours(), bare()
    times = [[clock(fabric.device, run) for run in (ours, bare)] for _ in range(ROUNDS)]
    return [len(codes) / statistics.median(column) for column in zip(*times, strict=True)]


def main(*names):
    rng, fabric = np.random.default_rng(1), set_up("auto", 1, 1)
    settings = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["training"]
    data = simulate(4096, rng)
    print(
        f"torch {torch.__version__}, {fabric.device}, one thread, batches of {BATCH}, windows of {data['window_bp']} bp"
    )
    print("| network | training (windows/s) | bare | share | scoring (windows/s) | bare | share |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in names or ARCHITECTURES:
        a, b = compare_steps(name, settings, data, fabric, rng)
        c, d = compare_scoring(name, settings, data, fabric)
        print(f"| {name} | {a:.0f} | {b:.0f} | {a / b:.2f} | {c:.0f} | {d:.0f} | {c / d:.2f} |", flush=True)
    for name in ("shallow", "detectors"):
        one, ten = (compare_steps(name, settings, data, fabric, rng, members=n, filters=64)[0] for n in (1, 10))
        print(
            f"ten {name} networks of 64 filters side by side: {10 * ten / one:.1f} times as fast as one after the other"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
