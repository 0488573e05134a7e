"""Filters by their weights and their importance, by hand."""

import numpy as np
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.filters import filter_importance, weight_matrices
from cisgrammar.layers import one_hot

MOTIF = np.array([3, 2, 0, 1, 3, 1, 0], dtype=np.uint8)


def test_weights_by_hand():
    """Weights ln 2 for one base and 0 for the others: 2/5 and 1/5; with a background of 0.4 for it, 4/7."""
    network = detectors(2, 3, hidden=1, dropout=0.0, hidden_dropout=0.0, members=2)
    with torch.no_grad():
        network.detectors.free.zero_()
        network.detectors.free[1, 0, 2, 1] = np.log(2)
    found = weight_matrices(network)
    assert [motif["id"] for motif in found] == [f"member_{m}_filter_{i}" for m in (1, 2) for i in (1, 2)]
    assert found[0]["matrix"] == pytest.approx(0.25)
    assert found[2]["matrix"][:, 1] == pytest.approx([0.2, 0.2, 0.4, 0.2])
    weighted = weight_matrices(network, (0.2, 0.2, 0.4, 0.2))
    assert weighted[2]["matrix"][:, 1] == pytest.approx([1 / 7, 1 / 7, 4 / 7, 1 / 7])
    assert weighted[0]["matrix"][:, 0] == pytest.approx([0.2, 0.2, 0.4, 0.2])


def test_importance_by_hand():
    """Of two filters one makes the whole logit, 4 in windows with its motif."""
    network = detectors(2, len(MOTIF), hidden=1, dropout=0.0, hidden_dropout=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.detectors.free[0, 1] = one_hot(MOTIF)
        network.detectors.bias.fill_(0.5 - 0.75 * len(MOTIF))
        network.trunk[3].weight[0, 0, 1] = 8
        network.head.weight.fill_(1)
    network.eval()
    codes = np.zeros((4, 30), dtype=np.uint8)
    codes[:2, 5:12] = MOTIF
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = filter_importance(network, codes)
    assert found == {"member_1_filter_1": 0, "member_1_filter_2": pytest.approx(2)}
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
