"""Gates: maps that tell the truth pass, maps of noise do not."""

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.faithfulness import (
    deletion_curve,
    judge,
    planted_bases,
    randomisation,
    randomise_layers,
    site_auroc,
)
from cisgrammar.interpretation import contributions
from cisgrammar.layers import one_hot
from sequence_data import codes_of

MOTIF = "TGACTCAGC"


def graded_network():
    """A network whose logit grows with every base of the motif that is there."""
    network = detectors(1, len(MOTIF), hidden=1, dropout=0.0, hidden_dropout=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.detectors.free[0, 0] = one_hot(codes_of(MOTIF))
        network.trunk[3].weight[0, 0, 0] = 1
        network.head.weight.fill_(1)
    return network.eval()


def planted(n=12, bases=80):
    codes = np.random.default_rng(0).integers(0, 4, (n, bases)).astype(np.uint8)
    codes[:, 30:39] = codes_of(MOTIF)
    return codes


def explain(network, codes=None):
    return contributions(network, planted() if codes is None else codes, 5, 0, np.inf)[0]


def test_true_contributions_pass_the_deletion():
    codes, network = planted(), graded_network()
    curve, share = deletion_curve(network, codes, explain(network), np.random.default_rng(0))
    assert curve["n_bases"].tolist() == [1, 2, 4, 8, 16]
    assert share == 1
    assert (curve["top"] > curve["random"]).all()
    assert curve["top"].iloc[3] > 2 * curve["random"].iloc[3] > 0


def test_noise_does_not():
    codes, rng = planted(60), np.random.default_rng(1)
    noise = one_hot(codes).numpy() * rng.normal(size=(60, 1, 80))
    _, share = deletion_curve(graded_network(), codes, noise, rng)
    assert share < 0.75


def test_layers_are_randomised_from_the_output_on():
    torch.manual_seed(0)
    network = detectors(4, 5, hidden=3, dropout=0.1, hidden_dropout=0.1, members=2).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen = []
    for name, changed in randomise_layers(network, 1):
        seen.append(name)
        now = changed.state_dict()
        same = {key for key, value in before.items() if torch.equal(value, now[key])}
        assert all(not key.startswith(tuple(seen)) for key in same if before[key].numel() > 6)
        assert all(key in same for key in before if not key.startswith(tuple(seen)))
        for key, value in before.items():
            assert torch.equal(value.flatten().sort().values, now[key].flatten().sort().values)
    assert seen == ["head", "trunk.3", "trunk.0"]
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())


def test_randomised_weights_change_the_map():
    found = randomisation(graded_network(), explain, 0)
    assert found["layer"].tolist() == ["none", "head", "trunk.3", "trunk.0"]
    assert found["correlation"].tolist()[:3] == pytest.approx(
        [1, 1, 1]
    )  # one unit per layer: nothing to put in another order
    assert found["correlation"].iloc[-1] < 0.5
    constant = randomisation(graded_network(), lambda network: np.zeros((2, 4, 10)), 0)
    assert constant["correlation"].tolist() == [1, 0, 0, 0]


def test_planted_bases_by_hand():
    windows = {"chrom": np.array(["a", "a", "b"], dtype=object), "start": [0, 10, 0], "end": [20, 30, 20]}
    columns = ["chrom", "start", "end", "strand", "partner_id", "spacing"]
    truth = pd.DataFrame([("a", 12, 15, "+", "P", 2), ("a", 25, 27, "-", "P", 1)], columns=columns)
    found = planted_bases(windows, truth, {"P": 4})
    assert np.flatnonzero(found[0]).tolist() == [12, 13, 14, 17, 18, 19]
    assert np.flatnonzero(found[1]).tolist() == [2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 16]
    assert not found[2].any()
    alone = truth.assign(partner_id=np.nan, spacing=np.nan)
    assert planted_bases(windows, alone, {}).sum() == 3 + 5


def test_site_auroc_by_hand():
    sites = np.zeros((3, 4), dtype=bool)
    sites[0, 1] = sites[1, 0] = True
    values = np.zeros((3, 4, 4))
    values[0, 0] = [0, -3, 1, 2]
    values[1, 0] = [1, 2, 0, 0]
    assert site_auroc(values, sites) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(site_auroc(values[2:], sites[2:]))


def test_gates_by_hand():
    found = {"deletion": 0.9, "randomisation": 0.6, "sites": np.nan}
    table = judge(found, {"deletion": 0.9, "randomisation": 0.6, "sites": 0.8})
    assert table["passed"].tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert judge({"randomisation": 0.59}, {"randomisation": 0.6})["passed"].tolist() == [1]
