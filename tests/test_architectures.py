"""Every architecture: both strands, padding, members, attributions, what it sees, and that it learns."""

import math
import warnings

import numpy as np
import pytest
import torch
from cisgrammar.architectures import ARCHITECTURES, build_network, settings_of
from cisgrammar.attribution import RULES
from cisgrammar.blocks import ACTIVATIONS
from cisgrammar.layers import MotifDetectors, one_hot, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.networks import check_receptive_field, describe_network, receptive_field, receptive_fields
from tangermeme.deep_lift_shap import deep_lift_shap
from torch.nn.functional import binary_cross_entropy_with_logits, pad

POOLS = ("max", "mean", "log_sum_exp", "attention")
OTHERS = [name for name in ARCHITECTURES if name != "detectors"]
# Every architecture with its default pooling, then each pooling, activation, first layer, encoding and downsampling.
CASES = [
    *((name, {}) for name in ARCHITECTURES),
    *((name, {"pool": pool}) for name in OTHERS for pool in POOLS),
    *((name, {"activation": activation}) for name in ("dilated", "equivariant") for activation in ACTIVATIONS),
    *((name, {"first_layer": first}) for name in ("shallow", "equivariant") for first in ("free", "pwm")),
    *(("basset", {"kind": kind}) for kind in ("average", "conv")),
    ("shallow", {"encoding_k": 3}),
    ("shallow", {"encoding_k": 2, "embedding": 5}),
    ("shallow", {"filter_bp": 8, "hidden": 0}),
    ("dilated", {"bottleneck": 3, "strands": "conjoined"}),
    ("mil", {"hidden": 6, "strands": "augment"}),
    ("detectors", {"filter_bp": 8}),
]
SMALL = {"filters": 8, "filter_bp": 7, "hidden": 6}
SIZES = {
    "basset": {"later_filters": 6, "factors": (2, 3, 2)},
    "hybrid": {"factor": 3, "units": 5},
    "mil": {"instance": 5},
}
each_case = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=["-".join(map(str, (n, *s.values()))) for n, s in CASES]
)


def small(name, settings=None, seed=0, members=2, tasks=1):
    """A small network in evaluation whose logits have a standard deviation of about 1 over sequences."""
    torch.manual_seed(seed)
    start = {key: value for key, value in SMALL.items() if not (name == "mil" and key == "hidden")}
    settings = {**start, **SIZES.get(name, {}), **(settings or {})}
    network = build_network(name, **settings, members=members, tasks=tasks)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
        sequences = torch.cat([random_sequences(64, 60), torch.randn(64, network.channels - 4, 60)], dim=1)
        network.head.weight.div_(network.eval().member_logits(sequences).std(dim=0).mean())
    return network


def random_sequences(n, bases, unknown=0.1, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((n, bases)) < unknown, 4, rng.integers(0, 4, (n, bases))).astype(np.uint8)
    codes[:, [0, -1]] = rng.integers(0, 4, (n, 2))
    return one_hot(codes)


@each_case
@pytest.mark.parametrize("bases", [61, 64])
def test_both_strands_score_alike(name, settings, bases):
    network, sequences = small(name, settings, tasks=3), random_sequences(12, bases)
    with torch.inference_mode():
        logits, turned = network(sequences), network(reverse_complement(sequences))
        assert logits.shape == (12, 3)
        assert logits.std(dim=0).min() > 1e-2
        assert (logits - turned).abs().max() <= 1e-5
        members = network.member_logits(sequences)
    assert members.shape == (12, 2, 3)
    assert torch.allclose(members.mean(dim=1), logits, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "equivariant"])
def test_one_strand_alone_does_not_give_it(name):
    """Which is why the logits are averaged: in training, where they are not, the strands differ."""
    network, sequences = small(name, {"dropout": 0.0, "hidden_dropout": 0.0}), random_sequences(12, 60)
    mask = torch.ones(12, 60)
    difference = network.read(sequences, mask) - network.read(reverse_complement(sequences), mask)
    assert difference.abs().max() > 1e-2


@each_case
def test_padding_changes_nothing(name, settings):
    """Unknown bases beyond either end, found by the network or given as a mask, of one length or of many in a batch."""
    network, sequences = small(name, settings), random_sequences(6, 50)
    with torch.inference_mode():
        expected = network(sequences)
        for before, after in ((0, 1), (5, 0), (13, 30)):
            wide, mask = pad(sequences, (before, after)), pad(torch.ones(6, 50), (before, after))
            assert torch.allclose(network(wide), expected, atol=1e-5)
            junk = wide + (1 - mask[:, None]) * random_sequences(6, wide.shape[-1], seed=1)
            assert torch.allclose(network(junk, mask), expected, atol=1e-5)
        both = torch.cat([pad(sequences, (7, 2)), random_sequences(3, 59)])
        assert torch.allclose(network(both)[:6], expected, atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("settings", [{}, {"first_layer": "pwm"}])
def test_further_channels(name, settings):
    """They count, and neither the strand nor padding does."""
    network, sequences = small(name, {"channels": 6, **settings}), random_sequences(8, 50)
    sequences = torch.cat([sequences, torch.randn(8, 2, 50, generator=torch.Generator().manual_seed(0))], dim=1)
    with torch.inference_mode():
        logits = network(sequences)
        assert (network(torch.cat([sequences[:, :4], 0 * sequences[:, 4:]], dim=1)) - logits).abs().max() > 1e-3
        assert torch.allclose(network(reverse_complement(sequences)), logits, atol=1e-5)
        assert torch.allclose(network(pad(sequences, (3, 8))), logits, atol=1e-5)
    assert network.detectors.weight.shape == (2, 8, 6, 7)
    assert describe_network(network, 50)["shape"].iloc[-1] == "2 x 1"


@pytest.mark.parametrize("name", OTHERS)
def test_padding_changes_nothing_in_training(name):
    """With batch statistics, too, where there are any."""
    settings = {"dropout": 0.0, "hidden_dropout": 0.0}
    expected = small(name, settings).train()(random_sequences(6, 50))
    found = small(name, settings).train()(pad(random_sequences(6, 50), (4, 9)))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("bases", [1, 3, 20])
def test_short_and_unknown_sequences(name, bases):
    network, sequences = small(name), random_sequences(3, bases)
    sequences[1] = 0
    with torch.inference_mode():
        assert network(sequences).isfinite().all()
        assert network(sequences[:0]).shape == (0, 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_members_are_networks_of_their_own(name):
    """Every weight has the members first; one member's loss moves no other member."""
    network, sequences = small(name, members=3), random_sequences(5, 40)
    network.member_logits(sequences)[:, 1].sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.shape[0] == 3, key
        assert parameter.grad.flatten(1).abs().sum(dim=1).bool().tolist() in ([False, True, False], [False] * 3), key
    alone = small(name, members=1)
    alone.load_state_dict({key: value[1:2] for key, value in network.state_dict().items()})
    assert torch.allclose(alone(sequences), network.member_logits(sequences)[:, 1], atol=1e-5)


def test_strands_in_training():
    """`post_hoc` sees the strand given, `augment` either, `conjoined` both; evaluated they are the same."""
    sequences, still = random_sequences(64, 40), {"dropout": 0.0, "hidden_dropout": 0.0}
    networks = {
        strands: small("shallow", {"strands": strands, **still}) for strands in ("post_hoc", "augment", "conjoined")
    }
    given = networks["post_hoc"].train()(sequences)
    turned = networks["post_hoc"](reverse_complement(sequences))
    assert (given - turned).abs().min() > 0
    assert torch.allclose(networks["conjoined"].train()(sequences), (given + turned) / 2, atol=1e-5)
    torch.manual_seed(0)
    either = networks["augment"].train()(sequences)
    as_given, as_turned = torch.isclose(either, given, atol=1e-6), torch.isclose(either, turned, atol=1e-6)
    assert (as_given ^ as_turned).all()
    assert 16 < as_turned.sum() < 48
    evaluated = [network.eval()(sequences) for network in networks.values()]
    for logits in evaluated:
        assert torch.allclose(logits, (given + turned) / 2, atol=1e-5)


@each_case
def test_contributions_add_up(name, settings):
    """Attributions by DeepLIFT/SHAP sum to the difference from the references, for each pair of the two."""
    network, sequences = small(name, settings), random_sequences(3, 40, unknown=0)
    references = random_sequences(6, 40, unknown=0, seed=1).unflatten(0, (3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = deep_lift_shap(
            network,
            sequences,
            references=references,
            device="cpu",
            additional_nonlinear_ops=RULES,
            warning_threshold=math.inf,
        )
    with torch.inference_mode():
        expected = network(sequences)[:, 0] - network(references.flatten(0, 1)).view(3, 2).mean(dim=1)
    assert expected.abs().max() > 1e-2
    scale = max(1, expected.abs().max().item())
    assert found.sum(dim=(1, 2)).tolist() == pytest.approx(expected.tolist(), abs=2e-4 * scale)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mil", {}),
        ("mil", {"activation": "exponential"}),
        ("basset", {"pool": "attention"}),
        ("equivariant", {"pool": "attention"}),
    ],
)
def test_evidence(name, settings):
    """Weights over the bases of each sequence, the other strand's mirrored, padding without any."""
    network, sequences = small(name, settings), random_sequences(5, 47)
    with torch.inference_mode():
        found = network.evidence(sequences)
        assert found.shape == (5, 47)
        assert found.min() >= 0
        assert found.std(dim=1).min() > 1e-4
        assert torch.allclose(found.sum(dim=1), torch.ones(5), atol=1e-5)
        assert torch.allclose(network.evidence(reverse_complement(sequences)).flip(1), found, atol=1e-5)
        assert torch.allclose(network.evidence(pad(sequences, (6, 3))), pad(found, (6, 3)), atol=1e-5)
        assert not network.evidence(torch.zeros(1, 4, 9)).any()


def test_evidence_needs_attention():
    with pytest.raises(InputError, match="only a network with `attention`"):
        small("shallow").evidence(random_sequences(1, 20))


def test_evidence_lies_on_the_motif():
    """A filter for GATTACA that attention looks at, and nothing else."""
    network = build_network("mil", filters=1, filter_bp=7, instance=1, first_layer="free")
    conv, bottleneck, pool = network.trunk[0], network.trunk[3], network.trunk[5]
    with torch.no_grad():
        conv.free[0, 0] = one_hot(np.array([2, 0, 3, 3, 0, 1, 0], dtype=np.uint8))
        conv.bias.fill_(-6)
        bottleneck.free.fill_(1)
        bottleneck.bias.zero_()
        pool.inner.free.fill_(1)
        pool.inner.bias.zero_()
        pool.outer.free.fill_(1)
    sequences = torch.zeros(2, 4, 30)
    sequences[:, 1] = 1
    sequences[0, :, 10:17] = conv.weight[0, 0].detach()
    sequences[1, :, 10:17] = reverse_complement(conv.weight[0, 0].detach())
    found = network.eval().evidence(sequences)
    assert found.argmax(dim=1).tolist() == [13, 13]
    # Half of it is of the strand without the motif: the same on all 30 bases.
    weight = math.exp(16 * math.tanh(1))
    assert found.amax(dim=1).tolist() == pytest.approx([(weight / (weight + 29) + 1 / 30) / 2] * 2, abs=1e-4)


def test_receptive_fields_by_hand():
    """19, + 2 for 3 bases, + 6 positions of 3 bases, + 3 of 3, + 2 positions of 12 bases, + 3 of 12."""
    basset = build_network("basset")
    assert receptive_field(basset) == 19 + 2 + 18 + 9 + 24 + 36 == 108
    assert receptive_field(build_network("dilated")) == 19 + 2 * (2 + 4 + 8 + 16)
    assert receptive_field(build_network("dilated", bottleneck=4, depth=2, width=5)) == 19 + 4 * (2 + 4)
    assert receptive_field(build_network("equivariant", depth=2)) == 19 + 4 * (2 + 4)
    assert receptive_field(build_network("hybrid")) == math.inf
    assert receptive_field(build_network("shallow", encoding_k=3)) == 19 + 2
    for name in ("detectors", "shallow", "mil"):
        assert receptive_field(build_network(name, filter_bp=15)) == 15
    assert receptive_fields(basset)[:5] == [19, 19, 19, 21, 21]


@pytest.mark.parametrize("name", ["basset", "dilated", "equivariant"])
def test_the_receptive_field_is_what_a_position_depends_on(name):
    network, place = small(name, {"pool": "mean", "hidden": 0}), 150
    before = network.trunk[: [type(block).__name__ for block in network.trunk].index("MeanPool")]
    sequences = torch.rand(1, 4, 300).requires_grad_()
    values = before(sequences, torch.ones(1, 1, 300))
    values[0, :, place // before.stride].sum().backward()
    touched = sequences.grad[0].abs().sum(dim=0).nonzero()
    field = receptive_field(network)
    assert field / 2 < touched.max() - touched.min() + 1 <= field


def test_check_receptive_field():
    network = build_network("dilated")
    check_receptive_field(network, 79)
    check_receptive_field(build_network("hybrid"), 10_000)
    with pytest.raises(InputError, match="sees 79 bp, and the motif pair spans 80 bp"):
        check_receptive_field(network, 80)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_describe_network(name):
    network = small(name, members=2).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    table = describe_network(network, 60)
    assert table["parameters"].sum() == sum(parameter.numel() for parameter in network.parameters())
    assert table["layer"].tolist() == [*(f"trunk.{i}" for i in range(len(network.trunk))), "head"]
    assert table["receptive_field_bp"].iloc[-1] == 60
    assert table["shape"].iloc[-1] == "2 x 1"
    assert network.training
    assert not any(block._forward_hooks for block in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_describe_network_by_hand():
    table = describe_network(build_network("shallow", filters=8, filter_bp=5, hidden=0, members=2), 30)
    assert table.drop(columns="layer").values.tolist() == [
        ["CentredConv", "16 x 30", 2 * 8 * 21, 5],
        ["ReLU", "16 x 30", 0, 5],
        ["Dropout", "16 x 30", 0, 5],
        ["MaxPool", "2 x 8", 0, 30],
        ["MemberLinear", "2 x 1", 2 * 9, 30],
    ]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_first_layer_can_be_read(name):
    detectors = small(name).detectors
    assert detectors.weight.shape == (2, 8, 4, 7)
    assert detectors.bias.shape == (2, 8)
    assert isinstance(detectors, MotifDetectors) == (name == "detectors")


def test_filters_of_kmers_are_no_matrices():
    with pytest.raises(InputError, match=r"training\.encoding_k: filters of k-mers"):
        _ = small("shallow", {"encoding_k": 2}).detectors


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_learns_a_motif(name):
    """On either strand at any place, within some steps; random dropout and strands included."""
    network = build_network(name, filters=16, filter_bp=11, members=2, **SIZES.get(name, {}))
    torch.manual_seed(0)
    sequences = random_sequences(160, 60, unknown=0)
    for i in range(80):
        place = 5 + i % 40
        sequences[i, :, place : place + 9] = one_hot(np.array([3, 2, 0, 1, 3, 1, 0, 2, 1], dtype=np.uint8))
    sequences[:80:2] = reverse_complement(sequences[:80:2])
    labels = (torch.arange(160) < 80).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        logits = network.train().member_logits(sequences)[..., 0]
        loss = binary_cross_entropy_with_logits(logits, labels[:, None].expand_as(logits))
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        accuracy = ((network.eval()(sequences)[:, 0] > 0) == (labels > 0)).float().mean()
    assert accuracy > 0.9


def test_settings():
    assert settings_of("detectors") == [
        "filters",
        "filter_bp",
        "hidden",
        "dropout",
        "hidden_dropout",
        "members",
        "tasks",
        "channels",
    ]
    assert settings_of("mil")[-1] == "instance"
    assert {"filters", "pool", "members", "tasks", "channels"} < set(settings_of("mil"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "deep"}, r"training\.architecture: 'deep' is not one of detectors, shallow, "),
        ({"architecture": "shallow", "depth": 3}, r"training\.depth: the architecture shallow takes filters, "),
        ({"architecture": "detectors", "pool": "max"}, r"training\.pool: the architecture detectors takes filters, "),
        ({"architecture": "shallow", "pool": "min"}, r"training\.pool: 'min' is not one of max, "),
        ({"architecture": "shallow", "activation": "elu"}, r"training\.activation: 'elu' is not one of relu, "),
        (
            {"architecture": "shallow", "first_layer": "pfm"},
            r"training\.first_layer: 'pfm' is not one of centred, free, pwm",
        ),
        ({"architecture": "shallow", "strands": "both"}, r"training\.strands: 'both' is not one of post_hoc, "),
        (
            {"architecture": "shallow", "strands": "tied"},
            r"training\.strands: tied is for the architecture equivariant",
        ),
        (
            {"architecture": "equivariant", "strands": "augment"},
            r"training\.strands: the architecture equivariant is tied",
        ),
        ({"architecture": "equivariant", "filter_bp": 8}, r"odd width .* 8 bp"),
        ({"architecture": "equivariant", "encoding_k": 2}, r"training\.encoding_k: k-mers need"),
        ({"architecture": "mil", "embedding": 8}, r"training\.embedding: bases need no embedding"),
        ({"architecture": "basset", "factors": (2,)}, r"training\.factors: 1 for 3 convolutions"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(InputError, match=message):
        build_network(**settings)
