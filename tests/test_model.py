"""Networks: both strands, members, sequences of any length, saving and loading."""

import json

import numpy as np
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.layers import encode, one_hot
from cisgrammar.model import (
    choose_device,
    join_members,
    load_model,
    probability,
    save_model,
    score,
    score_members,
    split_members,
    untrained_network,
)
from sequence_data import codes_of
from torch.nn.functional import binary_cross_entropy_with_logits

SHAPE = {"filters": 8, "filter_bp": 11, "hidden": 6, "dropout": 0.3, "hidden_dropout": 0.1}
BUILT = {"architecture": "detectors", **SHAPE}
MOTIF, OTHER = "TGACTCAGC", "CCACGTGAA"


def random_codes(n, bases, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, bases)).astype(np.uint8)


def random_network(seed=0, tasks=1, **shape):
    torch.manual_seed(seed)
    return detectors(**{**SHAPE, **shape}, tasks=tasks)


def trained_network(steps=60):
    """A network after some steps on windows of 60 bp, the first half of them with the motif in the middle."""
    network, codes = random_network(seed=3), random_codes(200, 60, seed=3)
    codes[:100, 25:34] = codes_of(MOTIF)
    labels = torch.cat([torch.ones(100), torch.zeros(100)])
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(network(one_hot(codes))[:, 0], labels).backward()
        optimizer.step()
    return network.eval()


def exact_network(*motifs):
    """A network with a filter of 0.5 on each very motif, below 0 on all else: logit -2, and 8 more for each motif."""
    bases = len(motifs[0])
    network = detectors(filters=len(motifs), filter_bp=bases, hidden=1, dropout=0.0, hidden_dropout=0.0)
    first, hidden, head = network.detectors, network.trunk[3], network.head
    with torch.no_grad():
        first.free.copy_(one_hot(np.array([[codes_of(motif) for motif in motifs]])))
        first.bias.fill_(0.5 - 0.75 * bases)
        hidden.weight.fill_(4)
        hidden.bias.fill_(0)
        head.weight.fill_(4)
        head.bias.fill_(-2)
    return network.eval()


def pad(codes, before, after):
    return np.pad(codes, ((0, 0), (before, after)), constant_values=4)


def test_shapes():
    network = random_network(tasks=3, members=2)
    assert network(one_hot(random_codes(5, 40))).shape == (5, 3)
    assert network.member_logits(one_hot(random_codes(5, 40))).shape == (5, 2, 3)
    assert network.detectors.weight.shape == (2, 8, 4, 11)
    logits = score(network, random_codes(5, 40))
    assert (logits.shape, logits.dtype) == ((5, 3), np.float32)


@pytest.mark.parametrize("filter_bp", [11, 12])
@pytest.mark.parametrize("bases", [1, 20, 21, 333])
def test_any_length_of_sequence(filter_bp, bases):
    assert np.isfinite(score(random_network(filter_bp=filter_bp), random_codes(2, bases))).all()


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("filter_bp", [11, 12])
def test_both_strands_score_alike_in_a_random_network(filter_bp, members):
    network, codes = random_network(filter_bp=filter_bp, tasks=2, members=members), random_codes(50, 61)
    codes[:10, :7] = 4
    assert np.abs(score(network, codes) - score(network, reverse_complement_codes(codes).copy())).max() <= 1e-5


@pytest.mark.parametrize("encoding", [{}, {"unknown": "uniform"}, {"centred": True}, {"position_channel": True}])
@pytest.mark.parametrize("bases", [61, 62])
def test_both_strands_score_alike_with_channels(bases, encoding):
    rows = 6 + encoding.get("position_channel", False)
    network, codes = random_network(members=2, channels=rows), random_codes(50, bases)
    codes[:10, :7], codes[10:20, -5:] = 4, 5
    channels = np.random.default_rng(1).normal(size=(50, 2, bases))
    turned = reverse_complement_codes(codes).copy(), channels[..., ::-1].copy()
    found = score(network, codes, channels, encoding)
    assert np.abs(found - score(network, *turned, encoding)).max() <= 1e-5
    assert np.abs(found - score(network, codes, turned[1], encoding)).max() > 1e-3


@pytest.mark.parametrize("attributed", [False, True])
def test_ways_to_write_unknown_bases_score_alike(attributed):
    """Centred filters see only differences between bases: zero, uniform and centred are one."""
    network, codes = trained_network(), random_codes(40, 60)
    codes[np.random.default_rng(2).random(codes.shape) < 0.2] = 4
    codes[:10, 50:] = 5
    found = [
        network(encode(codes, **encoding).requires_grad_(attributed)).detach().numpy()
        for encoding in ({}, {"unknown": "uniform"}, {"centred": True}, {"unknown": "uniform", "centred": True})
    ]
    assert found[0].std() > 0.1
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-5)


def test_batches_of_channels():
    network, codes = random_network(channels=5), random_codes(7, 30)
    channels = np.random.default_rng(1).normal(size=(7, 1, 30)).astype(np.float16)
    whole = score(network, codes, channels)
    assert score(network, codes, channels, batch_size=3) == pytest.approx(whole, abs=1e-6)
    assert whole.std() > 1e-3


def test_both_strands_score_alike_in_a_trained_network():
    network, codes = trained_network(), random_codes(50, 60, seed=8)
    codes[:25, 10:19] = codes_of(MOTIF)
    logits = score(network, codes)[:, 0]
    assert logits[:25].mean() > logits[25:].mean() + 1
    assert np.abs(logits - score(network, reverse_complement_codes(codes).copy())[:, 0]).max() <= 1e-5


def test_score_of_a_network_worked_out_by_hand():
    """The motif on the strand given, on the other one, on both, and on none."""
    codes = random_codes(4, 60, seed=1)
    codes[0, 20:29] = codes_of(MOTIF)
    codes[1, 50:59] = reverse_complement_codes(codes_of(MOTIF))
    codes[2, 5:14] = codes_of(MOTIF)
    codes[2, 40:49] = reverse_complement_codes(codes_of(MOTIF))
    assert score(exact_network(MOTIF), codes)[:, 0] == pytest.approx([6, 6, 6, -2], abs=1e-4)


def test_detectors_choose_their_strands_apart():
    """Both motifs count in full on whichever strands they lie: the first alone, then two on one strand, on two."""
    codes = random_codes(4, 60, seed=1)
    codes[:3, 20:29] = codes_of(MOTIF)
    codes[1, 40:49] = codes_of(OTHER)
    codes[2, 40:49] = reverse_complement_codes(codes_of(OTHER))
    assert score(exact_network(MOTIF, OTHER), codes)[:, 0] == pytest.approx([6, 14, 14, -2], abs=1e-4)


def member(network, place):
    """A network of its own with the weights of one member."""
    alone = random_network(seed=99, tasks=network.head.bias.shape[1])
    alone.load_state_dict({name: value[place : place + 1] for name, value in network.state_dict().items()})
    return alone.eval()


def test_a_network_is_the_mean_of_its_members():
    network, codes = random_network(tasks=2, members=3).eval(), random_codes(20, 50)
    alone = np.stack([score(member(network, place), codes) for place in range(3)])
    assert score(network, codes) == pytest.approx(alone.mean(axis=0), abs=1e-6)
    with torch.inference_mode():
        logits = network.member_logits(one_hot(codes))
        expected = torch.stack([member(network, place)(one_hot(codes)) for place in range(3)], dim=1)
        assert torch.allclose(logits, expected, atol=1e-6)
        assert torch.allclose(network(one_hot(codes)), logits.mean(dim=1), atol=1e-6)


def test_the_mean_of_members_worked_out_by_hand():
    """One member knows the motif, the other another one: 6 and -2, -2 and 6, 6 and 6, -2 and -2."""
    network = detectors(filters=1, filter_bp=9, hidden=1, dropout=0.0, hidden_dropout=0.0, members=2)
    one, other = (exact_network(motif).state_dict() for motif in (MOTIF, OTHER))
    network.load_state_dict({name: torch.cat([one[name], other[name]]) for name in one})
    codes = random_codes(4, 60, seed=1)
    codes[0, 20:29] = codes[2, 10:19] = codes_of(MOTIF)
    codes[1, 50:59] = codes[2, 30:39] = codes_of(OTHER)
    assert score(network, codes)[:, 0] == pytest.approx([2, 2, 6, -2], abs=1e-4)


def test_members_differ():
    network = random_network(members=3).eval()
    with torch.inference_mode():
        logits = network.member_logits(one_hot(random_codes(20, 50)))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        for name, value in network.state_dict().items():
            assert not torch.equal(value[one], value[other]), name
        assert (logits[:, one] - logits[:, other]).abs().max() > 1e-3


def test_dropout_is_drawn_for_each_member():
    """Two members with the same weights agree but for their dropout."""
    network, sequences = random_network(members=2, dropout=0.5), one_hot(random_codes(20, 50))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter[1] = parameter[0]
    for training in (True, False):
        network.train(training)
        one, other = network.member_logits(sequences).unbind(dim=1)
        assert torch.allclose(one, other, atol=1e-6) != training


def test_score_does_not_depend_on_batches_or_mode():
    network, codes = random_network(), random_codes(23, 50)
    network.train()
    whole = score(network, codes)
    assert not network.training
    assert np.allclose(whole, score(network, codes, batch_size=4), atol=1e-6)
    assert np.array_equal(whole, score(network, codes))


@pytest.mark.parametrize("filter_bp", [11, 12])
def test_unknown_bases_are_the_padding(filter_bp):
    """Unknown bases at the ends only add places for a filter, and from half a filter on they add nothing new."""
    network, codes = random_network(filter_bp=filter_bp).eval(), random_codes(60, 14)
    enough = filter_bp // 2 + 1
    with torch.inference_mode():
        pooled = [network.detectors(one_hot(pad(codes, n, n))) for n in (0, enough, 40)]
    assert (pooled[1] >= pooled[0] - 1e-6).all()
    assert (pooled[1] > pooled[0] + 1e-3).any()
    assert torch.allclose(pooled[1], pooled[2], atol=1e-6)
    expected = score(network, pad(codes, enough, enough))
    assert np.allclose(expected, score(network, pad(codes, 40, 60)), atol=1e-5)
    assert np.allclose(expected, score(network, pad(codes, enough, 200)), atol=1e-5)


def test_padding_changes_nothing_where_the_best_match_lies_inside():
    network, codes = exact_network(MOTIF), random_codes(3, 40, seed=2)
    codes[0, :9] = codes_of(MOTIF)
    codes[1, -9:] = reverse_complement_codes(codes_of(MOTIF))
    expected = score(network, codes)
    assert expected[:, 0] == pytest.approx([6, 6, -2], abs=1e-4)
    for before, after in ((1, 0), (0, 3), (7, 7), (60, 41)):
        assert np.allclose(score(network, pad(codes, before, after)), expected, atol=1e-6)


def test_all_unknown_sequences_score_alike():
    logits = score(random_network(), np.full((2, 30), 4, dtype=np.uint8))
    assert np.isfinite(logits).all()
    assert logits[0] == logits[1] == pytest.approx(score(random_network(), np.full((1, 90), 4, np.uint8))[0], abs=1e-6)


def test_probability_by_hand():
    assert probability([0, np.log(3), -np.log(3)]) == pytest.approx([0.5, 0.75, 0.25])
    assert probability(np.float32(-50)) == pytest.approx(np.exp(-50))


def test_save_and_load_round_trip(tmp_path):
    network, codes = trained_network(), random_codes(20, 60)
    weights, settings = tmp_path / "model.safetensors", tmp_path / "model.json"
    save_model(network, {"network": BUILT, "tf": "CTCF"}, weights, settings)
    loaded, description = load_model(weights, settings)
    assert np.array_equal(score(loaded, codes), score(network, codes))
    assert not loaded.training
    # detectors 8 x 4 x 11 and 8, hidden layer 8 x 6 + 6, head 6 + 1
    assert description == {"network": BUILT, "tf": "CTCF", "n_parameters": 352 + 8 + 54 + 7}


def test_all_members_are_saved(tmp_path):
    network, codes = random_network(members=3, tasks=2), random_codes(20, 60)
    shape = {**BUILT, "members": 3, "tasks": 2}
    save_model(network, {"network": shape}, tmp_path / "weights", tmp_path / "settings")
    loaded, description = load_model(tmp_path / "weights", tmp_path / "settings")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())
    assert np.array_equal(score(loaded, codes), score(network, codes))
    assert description == {"network": shape, "n_parameters": 3 * (352 + 8 + 54 + 14)}


def test_another_number_of_members_is_refused(tmp_path):
    save_model(random_network(), {"network": {**BUILT, "members": 2}}, tmp_path / "weights", tmp_path / "settings")
    with pytest.raises(RuntimeError, match=r"size mismatch for trunk\.0\.free"):
        load_model(tmp_path / "weights", tmp_path / "settings")


def test_saved_files_are_safetensors_and_json_only(tmp_path):
    save_model(random_network(), {"network": BUILT}, tmp_path / "model.safetensors", tmp_path / "model.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    content = (tmp_path / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["head.weight"]["shape"] == [1, 1, 6]
    assert json.loads((tmp_path / "model.json").read_text())["network"] == BUILT


def test_weights_of_another_shape_are_refused(tmp_path):
    save_model(random_network(), {"network": {**BUILT, "filters": 9}}, tmp_path / "weights", tmp_path / "settings")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_model(tmp_path / "weights", tmp_path / "settings")


def test_members_are_joined():
    """The joined network scores the mean of all members, in their order."""
    networks, codes = [random_network(members=2), random_network(members=2)], random_codes(20, 60)
    with torch.no_grad():
        networks[1].head.bias.add_(1)
    joined, built = join_members(networks, {**BUILT, "members": 2})
    assert built == {**BUILT, "members": 4}
    expected = np.mean([score(network, codes) for network in networks], axis=0)
    np.testing.assert_allclose(score(joined, codes), expected, atol=1e-5)
    assert torch.equal(joined.head.bias[2:], networks[1].head.bias)


def test_choose_device():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error():
    with pytest.raises(RuntimeError, match=r"device: cuda is set, but torch .* sees no GPU"):
        choose_device("cuda")


def test_members_are_what_the_score_is_the_mean_of():
    network, codes = random_network(seed=4, tasks=2, members=3), random_codes(9, 40)
    alone = score_members(network, codes, batch_size=4)
    assert alone.shape == (9, 3, 2)
    assert np.ptp(alone, axis=1).min() > 0
    np.testing.assert_allclose(alone.mean(axis=1), score(network, codes), atol=1e-6)


@pytest.mark.parametrize("name", ["detectors", "mil", "hybrid"])
def test_members_come_apart(name):
    """Their logits have the mean of the whole, and joined they are the whole."""
    built = {"architecture": name, "filters": 8, "filter_bp": 7, "members": 3}
    network, codes = untrained_network(built, 1), random_codes(4, 40)
    members = split_members(network, built)
    assert len(members) == 3
    single = np.stack([score(member, codes) for member in members])
    assert np.ptp(single, axis=0).max() > 0
    assert single.mean(axis=0) == pytest.approx(score(network, codes), abs=1e-5)
    joined, again = join_members(members, {**built, "members": 1})
    assert again == built
    assert score(joined, codes) == pytest.approx(score(network, codes), abs=1e-6)


def test_untrained_networks_follow_from_their_seed():
    """And leave torch's own random numbers as they were."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (score(untrained_network(BUILT, seed), random_codes(3, 40)) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(one, same) and not np.array_equal(one, other)
