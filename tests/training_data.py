"""Small windows with a planted motif and the shipped settings of training, for the tests that train."""

import numpy as np
import torch
import yaml
from conftest import ROOT

MOTIF = np.array(["ACGT".index(base) for base in "TGACTCAGC"], dtype=np.uint8)
TRAINING = yaml.safe_load((ROOT / "config/config.yaml").read_text())["training"]


def planted(n_positives, n_negatives, seed, flank_bp=0):
    """Random windows of 50 bp; the positives hold the motif at one place."""
    rng, n = np.random.default_rng(seed), n_positives + n_negatives
    codes = rng.integers(0, 4, (n, 50 + 2 * flank_bp)).astype(np.uint8)
    codes[:n_positives, 20:29] = MOTIF
    return {
        "codes": codes,
        "label": np.repeat([1, 0], [n_positives, n_negatives]).astype(np.uint8),
        "weight": np.ones(n, dtype=np.float32),
        "task": np.zeros(n, dtype=int),
        "window_bp": 50,
        "flank_bp": flank_bp,
    }


def copy_state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal_states(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())
