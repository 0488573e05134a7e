"""The default network from 100 to 100,000 peaks; by hand: `python tests/benchmarks/sizes.py [MEMBERS [PEAKS ...]]`.

Windows of 200 bp of random bases; of ten bound ones, nine hold a site of a weak motif near the middle, on either
strand. So the likelihood ratio, the best score that any method can have, is known exactly. Ten unbound windows per peak,
a fifth more for validation (10 peaks at least), 2,000 bound ones and ten times as many others for the test.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.architectures import build_network
from cisgrammar.engine import fit
from cisgrammar.model import score
from cisgrammar.training import cut_flanks, network_settings, set_up

ROOT = Path(__file__).resolve().parents[2]
WINDOW, FLANK, MOTIF, SPREAD, BOUND = 200, 10, 10, 25, 0.9
ENCODING = {"unknown": "zero", "centred": False, "position_channel": True}


def simulate(n_peaks, motif, rng):
    """Windows with flanks; each site starts at a place that is normally distributed around the middle."""
    n = 11 * n_peaks
    codes = rng.integers(0, 4, (n, WINDOW + 2 * FLANK)).astype(np.uint8)
    sites = (rng.random((n_peaks, MOTIF, 1)) > motif.cumsum(axis=1)).sum(axis=2).astype(np.uint8)
    turned = rng.random(n_peaks) < 0.5
    sites[turned] = 3 - sites[turned, ::-1]
    start = FLANK + rng.choice(len(PRIOR), n_peaks, p=PRIOR)
    for i in np.flatnonzero(rng.random(n_peaks) < BOUND):
        codes[i, start[i] : start[i] + MOTIF] = sites[i]
    return {
        "codes": codes,
        "label": (np.arange(n) < n_peaks).astype(np.uint8),
        "weight": np.ones(n, dtype=np.float32),
        "task": np.zeros(n, dtype=int),
        "channels": None,
        "length": np.full(n, WINDOW),
        "normalisation": [],
        "encoding": ENCODING,
        "window_bp": WINDOW,
        "flank_bp": FLANK,
    }


def likelihood_ratio(codes, motif):
    """Of windows without flanks: bound against not."""
    ratio = np.zeros((len(codes), len(PRIOR)))
    for matrix in (motif, motif[::-1, ::-1]):
        values = np.stack([4 * matrix[i][codes[:, i : i + len(PRIOR)]] for i in range(MOTIF)])
        ratio += values.prod(axis=0) / 2
    return (1 - BOUND) + BOUND * ratio @ PRIOR


places = np.arange(WINDOW - MOTIF + 1)
PRIOR = np.exp(-(((places - places.mean()) / SPREAD) ** 2) / 2)
PRIOR /= PRIOR.sum()
members, *sizes = map(int, sys.argv[1:] or [3])
settings = {**yaml.safe_load((ROOT / "config/config.yaml").read_text())["training"], "members": members}
fabric = set_up("auto", 1, 1)
motif = np.random.default_rng(5).dirichlet([0.25] * 4, MOTIF)
bits = (motif * np.log2(np.maximum(motif, 1e-12) / 0.25)).sum()
test = cut_flanks(simulate(2000, motif, np.random.default_rng(6)))
best = average_precision_score(test["label"], likelihood_ratio(test["codes"], motif))
print(f"motif of {bits:.1f} bits, {members} members; AUPRC of the likelihood ratio: {best:.3f}", flush=True)
print("| peaks | AUPRC | passes | seconds |\n| --- | --- | --- | --- |", flush=True)
for n in sizes or (100, 1000, 10_000, 100_000):
    rng = np.random.default_rng(n)
    train, validation = simulate(n, motif, rng), cut_flanks(simulate(min(2000, max(10, n // 5)), motif, rng))
    torch.manual_seed(1)
    network = build_network(**network_settings(settings, train))
    began = time.perf_counter()
    history = fit(network, train, validation, settings, fabric, np.random.default_rng(1), "train")
    seconds = time.perf_counter() - began
    found = average_precision_score(test["label"], score(network, test["codes"], None, ENCODING)[:, 0])
    print(f"| {n:,} | {found:.3f} | {history['epoch'].max()} | {seconds:.0f} |", flush=True)
