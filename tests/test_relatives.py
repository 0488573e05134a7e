"""Relatives: sources are ranked and weighed, networks are cut down, put together and merged without a change."""

import numpy as np
import pytest
import torch
from cisgrammar.architectures import build_network
from cisgrammar.layers import encode, one_hot
from cisgrammar.log import InputError
from cisgrammar.relatives import (
    average,
    choose_relatives,
    cut_down,
    filter_effects,
    merge,
    pick_members,
    put_together,
    rank_sources,
    start_from_sources,
    weigh,
)
from training_data import MOTIF, planted

BUILT = {
    "architecture": "detectors",
    "filters": 6,
    "filter_bp": 9,
    "hidden": 5,
    "dropout": 0.2,
    "hidden_dropout": 0.1,
    "members": 2,
    "tasks": 1,
    "channels": 4,
}
WINDOWS = planted(30, 90, 1)
SETTINGS = {"most": 2, "floor": 2, "filters_per_source": 3, "own_filters": 4}


def source(seed, motif=0.0, **changes):
    """(Network, description) with random weights; `motif` is how much its detectors lean towards the motif."""
    torch.manual_seed(seed)
    built = {**BUILT, **changes}
    network = build_network(**built).eval()
    with torch.no_grad():
        if motif:
            network.trunk[0].free[:, 0, :4] = motif * one_hot(MOTIF)
            network.trunk[0].bias[:, 0] = -5 * motif
            network.trunk[3].weight[:, :, 0] = network.trunk[3].weight[:, :, 0].abs() + 0.1
            network.head.weight.abs_()
    return network, {"network": built}


def logits(network, windows=WINDOWS):
    with torch.no_grad():
        return network.eval()(encode(windows["codes"]))


def test_the_source_that_knows_the_motif_comes_first():
    networks = {"random": source(1)[0], "knows": source(2, motif=3.0)[0]}
    auprc, found, labels = rank_sources(networks, WINDOWS)
    assert list(auprc) == ["knows", "random"]
    assert auprc["knows"] > 0.95
    assert found["random"].shape == labels.shape == (120,)


def test_many_windows_are_thinned_evenly():
    _, found, labels = rank_sources({"one": source(1)[0]}, WINDOWS, most=50)
    assert labels.tolist() == WINDOWS["label"][::3].tolist()
    assert len(found["one"]) == 40


def test_choose_relatives():
    auprc = {"a": 0.9, "b": 0.5, "c": 0.3, "d": 0.1}
    assert choose_relatives(auprc, 0.25, 3, 1.2) == ["a", "b", "c"]
    assert choose_relatives(auprc, 0.25, 1, 1.2) == ["a"]
    assert choose_relatives(auprc, 0.25, 3, 2) == ["a", "b"]
    assert choose_relatives(auprc, 0.5, 3, 2) == []
    assert choose_relatives({}, 0.5, 3, 2) == []


def test_weigh_two_points_without_a_pull():
    """Half of the windows at logit x = 1 are bound, a tenth at x = -1: the best fit runs through both."""
    x = np.repeat([1.0, -1.0], 100)[:, None]
    y = np.concatenate([np.repeat([1, 0], 50), np.repeat([1, 0], [10, 90])])
    weights, bias = weigh(x, y, ridge=0.0)
    assert weights[0] + bias == pytest.approx(0, abs=1e-3)
    assert bias - weights[0] == pytest.approx(np.log(1 / 9), abs=1e-3)


def test_weigh_never_turns_a_source_round():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = np.stack([y + rng.normal(0, 0.5, 200), -y + rng.normal(0, 0.5, 200), np.zeros(200)], axis=1)
    weights, _ = weigh(x, y)
    assert weights[0] > 1
    assert weights[1] == 0
    assert np.isfinite(weights).all()


def test_a_pull_makes_weights_smaller():
    y = WINDOWS["label"]
    x = (2.0 * y - 1)[:, None] + np.random.default_rng(1).normal(0, 1, (len(y), 1))
    assert 0 < weigh(x, y, ridge=100)[0][0] < 0.5 * weigh(x, y, ridge=0.1)[0][0]


def test_a_filter_without_a_way_to_the_head_has_no_effect():
    network, _ = source(3)
    with torch.no_grad():
        network.trunk[3].weight[:, :, 4] = 0
    effects, mean = filter_effects(network, WINDOWS)
    assert effects.shape == mean.shape == (2, 6)
    assert (effects[:, 4] == 0).all()
    assert (effects[:, [0, 1, 2, 3, 5]] > 0).any()


def test_cut_to_all_filters_is_the_same():
    network, description = source(4, motif=1.0)
    same = cut_down(network, description["network"], WINDOWS, 100, 2)
    torch.testing.assert_close(logits(same), logits(network))


def test_cut_down_keeps_what_matters():
    """Filters that always have their mean activation are left out without a trace."""
    network, description = source(5, motif=1.0)
    with torch.no_grad():
        network.trunk[0].free[:, 3:] = 0
        network.trunk[0].bias[:, 3:] = torch.rand(2, 3)
    small = cut_down(network, description["network"], WINDOWS, 3, 2)
    assert small.trunk[0].free.shape == (2, 3, 4, 9)
    torch.testing.assert_close(logits(small), logits(network), atol=1e-5, rtol=1e-5)


def test_members_are_taken_in_turn():
    network, description = source(6)
    four = pick_members(network, description["network"], 4)
    assert torch.equal(four.head.weight[:2], four.head.weight[2:])
    torch.testing.assert_close(logits(four), logits(network))
    one = cut_down(network, description["network"], WINDOWS, 6, 1)
    assert torch.equal(one.head.weight[0], network.head.weight[0])


def test_side_by_side_starts_as_the_weighted_sum_and_merges_unchanged():
    parts = [source(7, motif=1.0)[0], source(8)[0]]
    own = source(9, filters=4)[0]
    network = put_together(parts, [0.5, 2.0], -0.3, own)
    expected = 0.5 * logits(parts[0]) + 2.0 * logits(parts[1]) - 0.3
    torch.testing.assert_close(logits(network), expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        network.head.weight.uniform_(-1, 1)
    merged, built = merge(network, {**BUILT, "filters": 4})
    assert (built["filters"], built["hidden"]) == (16, 15)
    torch.testing.assert_close(logits(merged), logits(network), atol=1e-5, rtol=1e-5)
    again = build_network(**built)
    again.load_state_dict(merged.state_dict())


def test_average_of_networks_of_other_size_and_members():
    one, other = source(10), source(11, filters=3, hidden=2, members=4)
    network, built = average((one[0], one[1]["network"]), (other[0], other[1]["network"]))
    assert built["members"] == 4
    torch.testing.assert_close(logits(network), (logits(one[0]) + logits(other[0])) / 2, atol=1e-5, rtol=1e-5)


def test_start_from_sources_takes_the_relative_alone():
    sources = {"x/random": source(1), "x/knows": source(2, motif=3.0)}
    network, relatives, ranking = start_from_sources(sources, WINDOWS, BUILT, {**SETTINGS, "floor": 3})
    assert list(relatives) == ["x/knows"]
    assert ranking["source"].tolist() == ["x/knows", "x/random"]
    assert ranking["weight"].notna().tolist() == [True, False]
    assert ranking["weight"][0] > 0
    assert network.trunk.trunks[0][0].free.shape[1] == 3
    assert network.trunk.trunks[1][0].free.shape[1] == 4
    assert rank_sources({"start": network}, WINDOWS)[0]["start"] > 0.95


def test_without_a_relative_there_is_no_network():
    network, relatives, ranking = start_from_sources({"x/a": source(1)}, WINDOWS, BUILT, {**SETTINGS, "floor": 100})
    assert network is None
    assert relatives == {}
    assert ranking["weight"].isna().all()
    assert start_from_sources({"x/a": source(1)}, WINDOWS, BUILT, {**SETTINGS, "floor": 100}, choose=False)[0]


def test_several_heads_give_their_trunk():
    pretrained = source(12, tasks=3)
    network, relatives, ranking = start_from_sources({"all_others": pretrained}, WINDOWS, BUILT, SETTINGS)
    assert torch.equal(network.trunk[0].free, pretrained[0].trunk[0].free)
    assert network.head.weight.shape == (2, 1, 5)
    assert relatives["all_others"].trunk is network.trunk
    assert ranking["train_auprc"].isna().all()


def test_other_architectures_take_the_trunk_of_the_best():
    shape = {key: value for key, value in BUILT.items() if key != "architecture"}
    built = {"architecture": "shallow", **shape}
    sources = {f"x/{seed}": (build_network(**built).eval(), {"network": built}) for seed in (1, 2)}
    network, relatives, ranking = start_from_sources(sources, WINDOWS, built, {**SETTINGS, "floor": 0})
    best = ranking["source"][0]
    assert list(relatives) == [best]
    assert torch.equal(network.trunk[0].free, sources[best][0].trunk[0].free)


def test_another_shape_is_refused_with_its_name():
    with pytest.raises(InputError, match="network of x/a has filter_bp 7, the target's 9"):
        start_from_sources({"x/a": source(1, filter_bp=7)}, WINDOWS, BUILT, SETTINGS)
    shallow = {"x/a": (None, {"network": {**BUILT, "architecture": "shallow"}})}
    with pytest.raises(InputError, match="architecture shallow"):
        start_from_sources(shallow, WINDOWS, BUILT, SETTINGS)
