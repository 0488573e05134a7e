"""One-hot coding, the other strand, the pooling and the motif detectors, on sequences short enough to write out."""

import numpy as np
import pytest
import torch
from cisgrammar.layers import GlobalMaxPool, MotifDetectors, one_hot, reverse_complement


def codes_of(sequence):
    return np.array(["ACGTN".index(base) for base in sequence], dtype=np.uint8)


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
    ("sequence", "other"), [("AACGT", "ACGTT"), ("GATTACA", "TGTAATC"), ("NAC", "GTN"), ("A", "T"), ("NNN", "NNN")]
)
def test_reverse_complement_by_hand(sequence, other):
    turned = reverse_complement(one_hot(codes_of(sequence)[None]))
    assert torch.equal(turned, one_hot(codes_of(other)[None]))
    assert torch.equal(reverse_complement(turned), one_hot(codes_of(sequence)[None]))


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


def detectors_of(free, bias):
    """One detector with the given free weights, rows A C G T."""
    detectors = MotifDetectors(1, len(free[0]))
    with torch.no_grad():
        detectors.free[0] = torch.tensor(free)
        detectors.bias.fill_(bias)
    return detectors


def random_detectors(filters=6, filter_bp=9):
    torch.manual_seed(0)
    detectors = MotifDetectors(filters, filter_bp)
    with torch.no_grad():
        detectors.free.add_(torch.rand(filters, 1, filter_bp))
    return detectors


def test_new_detectors():
    detectors = MotifDetectors(5, 7)
    assert detectors.weight.shape == (5, 4, 7)
    assert detectors.free.abs().max() <= 28**-0.5
    assert sorted(name for name, _ in detectors.named_parameters()) == ["bias", "free"]
    assert not torch.equal(detectors.weight, MotifDetectors(5, 7).weight)


def test_the_columns_of_each_filter_sum_to_zero():
    detectors = random_detectors()
    assert detectors.free.sum(dim=1).abs().min() > 0.01
    assert detectors.weight.sum(dim=1).abs().max() < 1e-4


def test_column_means_of_the_free_weights_do_not_count():
    detectors = random_detectors()
    before = detectors.weight.detach().clone()
    with torch.no_grad():
        detectors.free.add_(torch.randn(6, 1, 9))
    assert torch.allclose(detectors.weight, before, atol=1e-5)


def test_columns_still_sum_to_zero_after_a_step():
    detectors = random_detectors()
    before = detectors.weight.detach().clone()
    optimizer = torch.optim.AdamW(detectors.parameters(), lr=0.1)
    detectors(one_hot(codes_of("GATTACACAT")[None])).square().sum().backward()
    optimizer.step()
    assert (detectors.weight - before).abs().max() > 0.01
    assert detectors.weight.sum(dim=1).abs().max() < 1e-4


# A, then T: without their means the columns are 6 -2 -2 -2 and -2 -2 -2 6
A_THEN_T = [[8.0, 2.0], [0.0, 2.0], [0.0, 2.0], [0.0, 10.0]]


def test_weight_by_hand():
    weight = detectors_of(A_THEN_T, bias=0).weight[0]
    expected = [[6, -2], [-2, -2], [-2, -2], [-2, 6]]
    assert weight.detach().numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_output_by_hand():
    """Unknown bases, in the sequence or beyond its ends, add nothing to the bias of 0.5."""
    found = detectors_of(A_THEN_T, bias=0.5)(one_hot(codes_of("ATAN")[None]))
    # -A, AT, TA, AN, N-
    assert found.shape == (1, 1, 5)
    assert found.flatten().tolist() == pytest.approx([-1.5, 12.5, -3.5, 6.5, 0.5], abs=1e-5)


@pytest.mark.parametrize(("filter_bp", "expected"), [(1, 10), (2, 11), (9, 10), (10, 11), (24, 11)])
def test_output_of_any_length(filter_bp, expected):
    detectors = MotifDetectors(3, filter_bp)
    assert detectors(torch.zeros(2, 4, 10)).shape == (2, 3, expected)


def test_weights_that_are_all_the_same_are_silent():
    detectors = detectors_of([[1.0, 2.0]] * 4, bias=-0.25)
    assert not detectors.weight.any()
    assert detectors(one_hot(codes_of("ACGTN")[None])).flatten().tolist() == [-0.25] * 6
