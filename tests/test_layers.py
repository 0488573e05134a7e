"""One-hot coding, the other strand, the pooling, the motif detectors and the layers of members."""

import numpy as np
import pytest
import torch
from cisgrammar.layers import (
    GlobalMaxPool,
    MemberLinear,
    MotifDetectors,
    best_match,
    encode,
    one_hot,
    reverse_complement,
    turn,
)
from torch.nn.functional import conv1d, linear


def codes_of(sequence):
    return np.array(["ACGTN-".index(base) for base in sequence], dtype=np.uint8)


def random_sequences(n, bases, seed=0, channels=4):
    """One-hot sequences of which about a tenth of the bases are unknown, the last sequence all of them.

    channels: rows; those beyond the four bases are random numbers
    """
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((n, bases)) < 0.1, 4, rng.integers(0, 4, (n, bases))).astype(np.uint8)
    codes[-1] = 4
    return encode(codes, rng.normal(size=(n, channels - 4, bases)) if channels > 4 else None)


def test_one_hot_by_hand():
    expected = [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ]
    found = one_hot(codes_of("ACGTN"))
    assert found.dtype == torch.float32
    assert found.tolist() == expected


def test_one_hot_keeps_leading_axes():
    codes = np.array([codes_of("ACGT"), codes_of("NNNN")])
    assert one_hot(codes).shape == (2, 4, 4)
    assert one_hot(codes)[0].tolist() == np.eye(4).tolist()
    assert not one_hot(codes)[1].any()
    assert one_hot(torch.as_tensor(codes)[None]).shape == (1, 2, 4, 4)
    assert one_hot(codes[:0]).shape == (0, 4, 4)


@pytest.mark.parametrize(
    ("settings", "base", "unknown"),
    [
        ({}, [0, 1, 0, 0], [0] * 4),
        ({"unknown": "uniform"}, [0, 1, 0, 0], [0.25] * 4),
        ({"centred": True}, [-0.25, 0.75, -0.25, -0.25], [0] * 4),
        ({"centred": True, "unknown": "uniform"}, [-0.25, 0.75, -0.25, -0.25], [0] * 4),
    ],
)
def test_unknown_bases_and_padding(settings, base, unknown):
    """Padding is zero in every way of writing bases down."""
    found = one_hot(codes_of("CN-"), **settings)
    assert found.T.tolist() == [base, unknown, [0] * 4]
    assert torch.equal(encode(codes_of("CN-")[None], **settings), found[None])


def test_encode_by_hand():
    codes, channels = codes_of("ACGT-")[None], np.array([[[1, 2, 3, 4, 0], [5, 6, 7, 8, 0]]], dtype=np.float16)
    found = encode(codes, channels, position_channel=True)
    assert found.dtype == torch.float32
    assert found[0, :4].tolist() == one_hot(codes[0]).tolist()
    assert found[0, 4:].tolist() == [[1, 2, 3, 4, 0], [5, 6, 7, 8, 0], [1, 0, -1, 0, 1]]
    assert torch.equal(encode(codes, channels), found[:, :6])
    assert torch.equal(encode(codes), found[:, :4])


@pytest.mark.parametrize(("bases", "expected"), [(1, [-1]), (2, [1, 1]), (3, [1, -1, 1]), (4, [1, -1 / 3, -1 / 3, 1])])
def test_position_by_hand(bases, expected):
    found = encode(np.zeros((2, bases), dtype=np.uint8), position_channel=True)
    assert found.shape == (2, 5, bases)
    assert found[1, 4].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("bases", [1, 7, 8])
def test_encoding_the_other_strand_is_turning_the_encoding(bases):
    rng = np.random.default_rng(bases)
    codes, channels = rng.integers(0, 6, (9, bases)).astype(np.uint8), rng.normal(size=(9, 2, bases))
    turned = np.where(codes < 4, 3 - codes, codes)[:, ::-1].copy(), channels[..., ::-1].copy()
    for settings in ({}, {"unknown": "uniform"}, {"centred": True}, {"position_channel": True}):
        assert torch.equal(encode(*turned, **settings), reverse_complement(encode(codes, channels, **settings)))


@pytest.mark.parametrize(
    ("sequence", "other"), [("AACGT", "ACGTT"), ("GATTACA", "TGTAATC"), ("NAC", "GTN"), ("A", "T"), ("NNN", "NNN")]
)
def test_reverse_complement_by_hand(sequence, other):
    turned = reverse_complement(one_hot(codes_of(sequence)[None]))
    assert torch.equal(turned, one_hot(codes_of(other)[None]))
    assert torch.equal(reverse_complement(turned), one_hot(codes_of(sequence)[None]))


def test_channels_of_the_other_strand_by_hand():
    sequences = encode(codes_of("AAC")[None], np.array([[[1, 2, 3], [4, 5, 6]]]))
    turned = reverse_complement(sequences)
    assert torch.equal(turned[:, :4], one_hot(codes_of("GTT")[None]))
    assert turned[0, 4:].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert torch.equal(reverse_complement(turned), sequences)


@pytest.mark.parametrize("rows", [4, 5, 6])
def test_stretches_are_turned_as_sequences_are(rows):
    sequences = random_sequences(6, 11, channels=rows)
    flat, turned = (x.transpose(1, 2).flatten(1) for x in (sequences, reverse_complement(sequences)))
    assert torch.equal(turn(flat, rows), turned)


def test_global_max_pool_by_hand():
    pooled = GlobalMaxPool()(torch.tensor([[[1.0, 7.0, -2.0], [-3.0, -1.0, -5.0]]]))
    assert pooled.flatten(1).tolist() == [[7.0, -1.0]]


def test_global_max_pool_takes_any_length_in_turn():
    pool = GlobalMaxPool()
    for bases in (1, 2, 19, 500, 3):
        values = torch.randn(2, 3, bases, generator=torch.Generator().manual_seed(bases))
        assert torch.equal(pool(values).flatten(1), values.amax(dim=-1))


def test_global_max_pool_has_nothing_to_save():
    pool = GlobalMaxPool()
    pool(torch.zeros(1, 1, 9))
    assert not pool.state_dict()


def plain_best_match(sequences, weight):
    """The best match as it is defined: every filter along both strands, and the maximum."""
    return torch.cat([conv1d(strand, weight) for strand in (sequences, reverse_complement(sequences))], dim=2).amax(
        dim=2
    )


@pytest.mark.parametrize("channels", [4, 5, 7])
@pytest.mark.parametrize("filter_bp", [1, 8, 11])
@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_best_match_is_that_of_a_convolution_of_both_strands(filter_bp, blocks, channels):
    """In value and in the gradient of the weight; seven filters at once, three at a time, one by one."""
    sequences, draw = random_sequences(12, 40, channels=channels), torch.Generator().manual_seed(filter_bp)
    free = torch.randn(7, channels, filter_bp, generator=draw)
    upstream = torch.randn(12, 7, generator=draw)
    most = {1: 1 << 22, 3: 3 * 12 * (41 - filter_bp), 7: 1}[blocks]
    found = []
    for function, more in ((best_match, {"most": most}), (plain_best_match, {})):
        weight = free.clone().requires_grad_()
        best = function(sequences, weight, **more)
        best.backward(upstream)
        with torch.no_grad():
            assert torch.allclose(function(sequences, weight, **more), best, atol=1e-5)
        found.append((best.detach(), weight.grad))
    for one, other in zip(*found, strict=True):
        assert other.abs().max() > 1
        assert torch.allclose(one, other, atol=1e-5)


def test_best_match_by_hand():
    """GA, on the other strand of the second sequence as TC; the gradient counts the bases of the best stretch."""
    weight = one_hot(codes_of("GA")[None]).requires_grad_()
    best = best_match(one_hot(np.array([codes_of("CGAC"), codes_of("CTCC"), codes_of("NNNN")])), weight)
    assert best.tolist() == [[2], [2], [0]]
    best.sum().backward()
    assert torch.equal(weight.grad, 2 * one_hot(codes_of("GA")[None]))


def test_best_match_keeps_unknown_bases_out_of_the_gradient():
    """The best stretch of ANC is A and an unknown base: only the row of A gets a gradient, in the first column."""
    weight = torch.tensor([[[2.0, 1.0], [0.5, -3.0], [-3.0, -3.0], [-3.0, -3.0]]], requires_grad=True)
    best_match(one_hot(codes_of("ANC")[None]), weight).sum().backward()
    assert weight.grad.tolist() == [[[1, 0], [0, 0], [0, 0], [0, 0]]]


def detectors_of(free, bias):
    """One detector with the given free weights, rows A C G T."""
    detectors = MotifDetectors(1, 1, len(free[0]))
    with torch.no_grad():
        detectors.free[0, 0] = torch.tensor(free)
        detectors.bias.fill_(bias)
    return detectors


def random_detectors(members=2, filters=6, filter_bp=9, channels=4):
    torch.manual_seed(0)
    detectors = MotifDetectors(members, filters, filter_bp, channels)
    with torch.no_grad():
        detectors.free.add_(torch.rand(members, filters, 1, filter_bp))
    return detectors


def test_new_detectors():
    detectors = MotifDetectors(3, 5, 7)
    assert detectors.weight.shape == (3, 5, 4, 7)
    assert 0.9 * 28**-0.5 < detectors.free.abs().max() <= 28**-0.5
    assert detectors.bias.abs().max() <= 28**-0.5
    assert {name: tuple(value.shape) for name, value in detectors.state_dict().items()} == {
        "free": (3, 5, 4, 7),
        "bias": (3, 5),
    }
    assert not torch.equal(detectors.weight[0], detectors.weight[1])
    assert not torch.equal(detectors.weight, MotifDetectors(3, 5, 7).weight)


def test_the_columns_of_each_filter_sum_to_zero():
    detectors = random_detectors()
    assert detectors.free.sum(dim=2).abs().min() > 0.01
    assert detectors.weight.sum(dim=2).abs().max() < 1e-4


def test_weights_of_channels_are_free():
    """Only the four bases of a column sum to zero, and the other rows are what they were set to."""
    detectors = random_detectors(channels=6)
    assert detectors.weight.shape == (2, 6, 6, 9)
    assert 0.9 * 54**-0.5 < (MotifDetectors(3, 5, 9, 6).free.abs().max()) <= 54**-0.5
    assert detectors.weight[..., :4, :].sum(dim=2).abs().max() < 1e-4
    assert torch.equal(detectors.weight[..., 4:, :], detectors.free[..., 4:, :])


def test_a_channel_counts_where_its_bases_match():
    """A then C beside a channel: 12 for the bases, and 1 and 10 times what the channel holds there, on either strand."""
    detectors = MotifDetectors(1, 1, 2, channels=5)
    with torch.no_grad():
        detectors.free[0, 0] = torch.tensor([*A_THEN_C, [1.0, 10.0]])
        detectors.bias.fill_(0.5)
    channel = np.array([[[-9.0, 0.0, 0.2, 0.3, 0.0, 0.0]]])
    for attributed in (False, True):
        sequences = encode(codes_of("GGACTT")[None], channel).requires_grad_(attributed)
        assert detectors(sequences).item() == pytest.approx(0.5 + 12 + 0.2 + 3, abs=1e-5)
        turned = encode(codes_of("AAGTCC")[None], channel[..., ::-1].copy()).requires_grad_(attributed)
        assert detectors(turned).item() == pytest.approx(0.5 + 12 + 0.2 + 3, abs=1e-5)


def test_column_means_of_the_free_weights_do_not_count():
    detectors = random_detectors()
    before = detectors.weight.detach().clone()
    with torch.no_grad():
        detectors.free.add_(torch.randn(2, 6, 1, 9))
    assert torch.allclose(detectors.weight, before, atol=1e-5)


def test_columns_still_sum_to_zero_after_a_step():
    detectors = random_detectors()
    before = detectors.weight.detach().clone()
    optimizer = torch.optim.AdamW(detectors.parameters(), lr=0.1)
    detectors(one_hot(codes_of("GATTACACAT")[None])).square().sum().backward()
    optimizer.step()
    assert (detectors.weight - before).abs().max() > 0.01
    assert detectors.weight.sum(dim=2).abs().max() < 1e-4


# A, then C: without their means the columns are 6 -2 -2 -2 and -2 6 -2 -2
A_THEN_C = [[8.0, 2.0], [0.0, 10.0], [0.0, 2.0], [0.0, 2.0]]


def test_weight_by_hand():
    weight = detectors_of(A_THEN_C, bias=0).weight[0, 0]
    expected = [[6, -2], [-2, 6], [-2, -2], [-2, -2]]
    assert weight.detach().numpy() == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("attributed", [False, True])
@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("GGACTT", 12),  # on the strand given
        ("CCGTCC", 12),  # on the other one, where it reads GGACGG
        ("ACGT", 12),  # on both
        ("AGCT", 4),  # on neither: half of it, as in GC
        ("AT", 4),
        ("ANT", 6),  # an unknown base adds nothing to A
        ("C", 6),  # nor do those beyond the ends
        ("G", 6),
        ("NNN", 0),
    ],
)
def test_output_by_hand(sequence, expected, attributed):
    sequences = one_hot(codes_of(sequence)[None]).requires_grad_(attributed)
    found = detectors_of(A_THEN_C, bias=0.5)(sequences)
    assert found.shape == (1, 1, 1)
    assert found.item() == pytest.approx(expected + 0.5, abs=1e-5)


def test_gradient_of_the_sequence_by_hand():
    """The columns of the filter where it matches best, turned round where that is on the other strand."""
    detectors = detectors_of(A_THEN_C, bias=0.5)
    for sequence, row in (("GGACGG", [-2, 6, -2, -2]), ("CCGTCC", [-2, -2, -2, 6])):
        sequences = one_hot(codes_of(sequence)[None]).requires_grad_()
        detectors(sequences).sum().backward()
        found = sequences.grad[0].numpy()
        assert found[:, 3] == pytest.approx(row, abs=1e-5)
        assert np.flatnonzero(np.abs(found).sum(axis=0)).tolist() == [2, 3]


@pytest.mark.parametrize("filter_bp", [1, 2, 9, 10, 24])
@pytest.mark.parametrize("bases", [1, 10, 61])
def test_output_of_any_length(filter_bp, bases):
    detectors, sequences = MotifDetectors(2, 3, filter_bp), random_sequences(5, bases)
    for attributed in (False, True):
        values = detectors(sequences.requires_grad_(attributed))
        assert values.shape == (5, 2, 3)
        assert values.isfinite().all()


def test_each_detector_has_its_own_place_in_the_output():
    detectors, sequences = random_detectors(), random_sequences(10, 30)
    values = detectors(sequences)
    for member, i in np.ndindex(2, 6):
        alone = detectors_of(detectors.free[member, i].tolist(), detectors.bias[member, i].item())
        assert torch.allclose(alone(sequences)[:, 0, 0], values[:, member, i], atol=1e-5)


@pytest.mark.parametrize("channels", [4, 5, 6])
@pytest.mark.parametrize("filter_bp", [9, 10])
@pytest.mark.parametrize("attributed", [False, True])
def test_both_strands_give_the_same_values(filter_bp, attributed, channels):
    detectors = random_detectors(filter_bp=filter_bp, channels=channels)
    sequences = random_sequences(20, 61, channels=channels)
    values, turned = (detectors(x.requires_grad_(attributed)) for x in (sequences, reverse_complement(sequences)))
    assert values[:-1].std(dim=0).min() > 0.05
    assert torch.allclose(values, turned, atol=1e-5)


@pytest.mark.parametrize("channels", [4, 6])
@pytest.mark.parametrize("filter_bp", [9, 10])
def test_both_ways_to_the_best_match_agree(filter_bp, channels):
    """With a gradient of the sequences, by a convolution and pooling; without one, by `best_match`."""
    sequences = random_sequences(20, 61, channels=channels)
    upstream = torch.randn(20, 2, 6, generator=torch.Generator().manual_seed(1))
    found = []
    for attributed in (False, True):
        detectors = random_detectors(filter_bp=filter_bp, channels=channels)
        values = detectors(sequences.clone().requires_grad_(attributed))
        values.backward(upstream)
        found.append((values.detach(), detectors.free.grad, detectors.bias.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_weights_that_are_all_the_same_are_silent():
    detectors = detectors_of([[1.0, 2.0]] * 4, bias=-0.25)
    assert not detectors.weight.any()
    assert detectors(one_hot(codes_of("ACGTN")[None])).flatten().tolist() == [-0.25]


def test_member_linear_by_hand():
    layer = MemberLinear(2, 2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0, 2], [0, -1], [1, 1]], [[3, 0], [1, 1], [0, 0]]]))
        layer.bias.copy_(torch.tensor([[0.5, 0, 0], [0, 0, -1]]))
    assert layer(torch.tensor([[[1.0, 10], [2, 20]]])).tolist() == [[[21.5, -10, 11], [6, 22, -1]]]


def test_member_linear_is_a_linear_layer_for_each_member():
    """The gradient of a member, too, is that of its own outputs alone."""
    layer, values = MemberLinear(3, 4, 5), torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    found = layer(values)
    assert found.shape == (6, 3, 5)
    for member in range(3):
        expected = linear(values[:, member], layer.weight[member], layer.bias[member])
        assert torch.allclose(found[:, member], expected, atol=1e-6)
    found[:, 1].sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad.flatten(1).abs().sum(dim=1).bool().tolist() == [False, True, False]


def test_new_member_linear():
    layer = MemberLinear(3, 25, 10)
    assert 0.19 < layer.weight.abs().max() <= 0.2
    assert layer.bias.abs().max() <= 0.2
    assert not torch.equal(layer.weight[0], layer.weight[1])
