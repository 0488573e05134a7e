"""Transfer: no leak of chromosomes, the trunk is copied, and stays frozen in the first phase."""

import numpy as np
import pytest
import torch
from cisgrammar import transfer
from cisgrammar.architectures import detectors
from cisgrammar.engine import fit
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.training import set_up
from cisgrammar.transfer import check_chromosomes, fine_tune, take_trunk
from training_data import MOTIF, TRAINING, copy_state, equal_states, planted

SHAPE = {"filters": 12, "filter_bp": 9, "hidden": 8, "dropout": 0.2, "hidden_dropout": 0.1, "members": 2}
SETTINGS = {
    **TRAINING,
    "batch_size": 32,
    "learning_rate": 0.02,
    "weight_decay": 1e-4,
    "epochs": 2,
    "patience": 5,
    "negatives_per_positive": 2,
}
TARGET = {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3", "chr4"]}


@pytest.fixture
def pretrained():
    """A random network of which some detectors lean towards the motif."""
    torch.manual_seed(1)
    network = detectors(**SHAPE, tasks=3)
    with torch.no_grad():
        network.detectors.free[:, :4].add_(0.1 * one_hot(MOTIF))
    return network.eval()


def test_no_leak_passes():
    check_chromosomes({"chromosomes": {"train": ["chr1", "chr5"]}}, TARGET)
    check_chromosomes({"chromosomes": {"train": []}}, TARGET)
    check_chromosomes({"chromosomes": {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3"]}}, TARGET)


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (["chr1", "chr2"], "trained on chr2, validation chromosomes of the target"),
        (["chr4", "chr1", "chr3"], "trained on chr3, chr4, test chromosomes of the target"),
    ],
)
def test_a_leak_stops(seen, message):
    with pytest.raises(InputError, match=message):
        check_chromosomes({"chromosomes": {"train": seen}}, TARGET)


def test_the_trunk_is_copied_and_the_head_is_new(pretrained):
    network = take_trunk(pretrained, {"architecture": "detectors", **SHAPE})
    assert equal_states(pretrained.trunk.state_dict(), network.trunk.state_dict())
    assert network.detectors.free.shape == (2, 12, 4, 9)
    assert network.head.weight.shape == (2, 1, 8)
    assert not torch.equal(network.head.weight[0], network.head.weight[1])
    with torch.no_grad():
        network.detectors.free.zero_()
    assert pretrained.detectors.free.all()


def test_another_number_of_members_is_refused(pretrained):
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.free"):
        take_trunk(pretrained, {"architecture": "detectors", **SHAPE, "members": 3})


def test_phases(pretrained, monkeypatch):
    """The trunk is bit for bit the same until the second phase, and all weights change in it."""
    states = []

    def watched(network, *arguments):
        states.append(copy_state(network))
        history = fit(network, *arguments)
        states.append(copy_state(network))
        return history

    monkeypatch.setattr(transfer, "fit", watched)
    fabric = set_up("cpu", 1, 7)
    network = take_trunk(pretrained, {"architecture": "detectors", **SHAPE})
    history = fine_tune(
        network, planted(80, 160, 1), planted(40, 80, 2), SETTINGS, 3, 0.5, fabric, np.random.default_rng(7)
    )

    assert history["phase"].tolist() == ["head"] * 4 + ["all"] * 3
    assert history["epoch"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert history.groupby("phase")["kept"].sum().tolist() == [1, 1]
    assert history["learning_rate"][0] == pytest.approx(0.02 / 25)
    assert history["learning_rate"][4] == pytest.approx(0.5 * 0.02 / 25)

    start, after_head, before_all, end = states
    head = {"head.weight", "head.bias"}
    assert {name for name in start if not torch.equal(start[name], after_head[name])} == head
    assert equal_states(after_head, before_all)
    assert equal_states(end, network.state_dict())
    assert {name for name in start if torch.equal(start[name], end[name])} == set()


def test_the_second_phase_never_makes_it_worse(pretrained):
    network = take_trunk(pretrained, {"architecture": "detectors", **SHAPE})
    arguments = planted(60, 120, 3), planted(40, 80, 4), SETTINGS
    history = fine_tune(network, *arguments, 2, 500, set_up("cpu", 1, 7), np.random.default_rng(7))
    best = history.groupby("phase")["validation_auprc"].max()
    kept = history[history["kept"] == 1].set_index("phase")["validation_auprc"]
    assert best.to_dict() == kept.to_dict()
    assert best["all"] >= best["head"]
