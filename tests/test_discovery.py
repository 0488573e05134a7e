"""The whole way from windows to matches: a network that learned a planted motif, and one that had nothing to learn."""

import numpy as np
import pytest
from cisgrammar.comparison import add_evidence, match_runs
from cisgrammar.engine import fit
from cisgrammar.interpretation import choose_windows, contributions
from cisgrammar.layers import one_hot
from cisgrammar.model import untrained_network
from cisgrammar.motifs import compare_motifs, find_motifs
from cisgrammar.training import set_up
from training_data import MOTIF, TRAINING

BUILT = {"architecture": "detectors", "filters": 16, "filter_bp": 11, "hidden": 8, "members": 2}
SETTINGS = {**TRAINING, "learning_rate": 0.01, "epochs": 6, "patience": 6, "negatives_per_positive": 2}
RUNS = 2


def windows(n, seed, share):
    """Random windows of 60 bp, a third of them called bound, of which a share holds the motif on either strand."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (3 * n, 60)).astype(np.uint8)
    for row in range(round(share * n)):
        at = rng.integers(0, 60 - len(MOTIF))
        codes[row, at : at + len(MOTIF)] = MOTIF if rng.random() < 0.5 else 3 - MOTIF[::-1]
    label = np.repeat([1, 0], [n, 2 * n]).astype(np.uint8)
    known = {"weight": np.ones(3 * n, dtype=np.float32), "task": np.zeros(3 * n, dtype=int)}
    return {"codes": codes, "label": label, "window_bp": 60, "flank_bp": 0, **known}


@pytest.fixture(scope="module")
def known():
    """The planted motif among random matrices."""
    rng = np.random.default_rng(4)
    matrices = [rng.dirichlet(np.full(4, 0.3), rng.integers(8, 14)).T for _ in range(60)]
    planted = 0.9 * one_hot(MOTIF).numpy() + 0.025
    return {f"M{i}": (f"TF{i}", matrix) for i, matrix in enumerate([planted, *matrices])}


def matches_after_training(share, known, seed):
    """What `find_motifs` and its nulls say of a network trained on windows with that share of motifs."""
    network = untrained_network(BUILT, seed)
    fabric = set_up("cpu", 1, seed)
    parts = windows(300, seed, share), windows(100, seed + 100, share)
    fit(network, *parts, SETTINGS, fabric, np.random.default_rng(seed), "train")
    test = windows(100, seed + 200, share)
    codes = test["codes"][choose_windows(network.eval(), test, 100)[0]]
    runs = [network, *(untrained_network(BUILT, seed + i) for i in range(1, RUNS + 1))]
    found = [find_motifs(contributions(run, codes, 5, seed, np.inf)[0], codes, 0.01, 10, 10) for run in runs]
    untrained = match_runs([[motif["matrix"] for motif in run] for run in found[1:]], known)
    matches = compare_motifs(found[0], known, 3)
    return add_evidence(matches, found[0], known, {"M0": "name"}, 99, np.random.default_rng(seed), untrained)


def test_a_planted_motif_is_found(known):
    top = matches_after_training(0.9, known, seed=1).iloc[0]
    assert (top["jaspar_id"], top["own"], top["better"]) == ("M0", "name", 1)
    assert top["p"] < 1e-6 and top["q"] < 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_without_signal_no_match_is_significant(known, seed):
    found = matches_after_training(0, known, seed)
    assert not ((found["better"] == 1) & (found["q"] < 0.01)).any(), found.to_string()
