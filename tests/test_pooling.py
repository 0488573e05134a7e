"""Downsampling and global pooling, against numbers worked out by hand, and that padding has no part in them."""

import math

import pytest
import torch
from cisgrammar.log import InputError
from cisgrammar.pooling import (
    AttentionPool,
    AverageDown,
    LogMeanExpPool,
    MaxDown,
    MaxPool,
    MeanPool,
    downsampling,
    pooling,
)

KINDS = ("max", "mean", "log_sum_exp", "attention")
VALUES = torch.tensor([[[1.0, -2, 4, 99], [-3, -1, -2, 99]]])
MASK = torch.tensor([[[1.0, 1, 1, 0]]])


def test_by_hand():
    assert MaxPool(1)(VALUES, MASK).tolist() == [[[4, -1]]]
    assert MeanPool(2)(VALUES, MASK).tolist() == [[[1], [-2]]]
    expected = math.log((math.exp(2) + math.exp(-4) + math.exp(8)) / 3) / 2
    assert LogMeanExpPool(1, sharpness=2)(VALUES, MASK)[0, 0, 0].item() == pytest.approx(expected, abs=1e-5)


def test_log_mean_exp_lies_between_mean_and_maximum():
    assert LogMeanExpPool(1, 1e-3)(VALUES, MASK)[0, 0].tolist() == pytest.approx([1, -2], abs=0.01)
    assert LogMeanExpPool(1, 1e3)(VALUES, MASK)[0, 0].tolist() == pytest.approx([4, -1], abs=0.01)


def attention_by_hand():
    """Scores tanh of the first channel times 2, for values of 0 or far above 1: 0 or 2."""
    pool = AttentionPool(1, 2, units=1)
    with torch.no_grad():
        pool.inner.free.copy_(torch.tensor([[[[100.0], [0.0]]]]))
        pool.inner.bias.zero_()
        pool.outer.free.fill_(2)
    return pool


def test_attention_by_hand():
    """Weights 1, e**2 and 1, over their sum."""
    values = torch.tensor([[[0.0, 5, 0, 99], [3, 1, 6, 99]]])
    pool, total = attention_by_hand(), 2 + math.exp(2)
    weights = pool.weights(values, MASK)
    assert weights[0, 0].tolist() == pytest.approx([1 / total, math.exp(2) / total, 1 / total, 0], abs=1e-6)
    expected = [5 * math.exp(2) / total, (9 + math.exp(2)) / total]
    assert pool(values, MASK)[0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_attention_weights_of_each_member():
    torch.manual_seed(0)
    pool, values = AttentionPool(3, 4), torch.randn(5, 12, 20)
    mask = torch.ones(5, 1, 20)
    mask[:, :, 13:] = 0
    weights = pool.weights(values, mask)
    assert weights.shape == (5, 3, 20)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(5, 3), atol=1e-5)
    assert not weights[..., 13:].any()
    alone = torch.einsum("nmp,nmcp->nmc", weights, values.unflatten(1, (3, 4)))
    assert torch.allclose(pool(values, mask), alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_part(kind):
    torch.manual_seed(0)
    pool, values = pooling(kind, 2, 3), torch.randn(4, 6, 10)
    mask = torch.ones(4, 1, 10)
    expected = pool(values, mask)
    assert expected.shape == (4, 2, 3)
    for fill in (0.0, 50.0, -50.0):
        wide = torch.nn.functional.pad(values, (3, 8), value=fill)
        assert torch.allclose(pool(wide, torch.nn.functional.pad(mask, (3, 8))), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_without_bases_gives_zeros(kind):
    values = torch.randn(2, 6, 10).requires_grad_()
    pooled = pooling(kind, 2, 3)(values, torch.zeros(2, 1, 10))
    assert not pooled.any()
    pooled.sum().backward()
    assert values.grad.isfinite().all()


def test_unknown_pooling():
    with pytest.raises(InputError, match=r"training\.pool: 'median' is not one of max, mean, log_sum_exp, attention"):
        pooling("median", 1, 1)


@pytest.mark.parametrize(("bases", "stride"), [(9, 2), (10, 3), (1, 4), (8, 4)])
def test_strided_lengths(bases, stride):
    values, mask = torch.randn(2, 3, bases), torch.ones(2, 1, bases)
    for kind in ("max", "average", "conv"):
        block = downsampling(kind, stride, 1, 3)
        found = block(values, mask)
        assert found.shape == (2, 3, math.ceil(bases / stride)) == (2, 3, block.shrink(mask).shape[-1])


def test_downsampling_by_hand():
    """Blocks 3 -1 -4, -2 -7 and padding, padding."""
    values = torch.tensor([[[3.0, -1, -4, -2, -7, 99, 99]]])
    mask = torch.tensor([[[1.0, 1, 1, 1, 1, 0, 0]]])
    assert MaxDown(3)(values, mask).tolist() == [[[3, -2, 0]]]
    assert AverageDown(3)(values, mask)[0, 0].tolist() == pytest.approx([-2 / 3, -4.5, 0])
    assert MaxDown(3).shrink(mask).tolist() == [[[1, 1, 0]]]


@pytest.mark.parametrize("kind", ["max", "average", "conv"])
def test_downsampling_ignores_padding(kind):
    torch.manual_seed(0)
    block, values, mask = downsampling(kind, 2, 2, 3), torch.randn(2, 6, 9), torch.ones(2, 1, 9)
    mask[1, :, 5:] = 0
    found, short = block(values, mask)[1:], block(values[1:, :, :5], mask[1:, :, :5])
    assert torch.allclose(found[..., :3], short, atol=1e-6)


def test_unknown_downsampling():
    with pytest.raises(InputError, match=r"training\.downsampling: 'min' is not one of max, average, conv"):
        downsampling("min", 2, 1, 1)
