"""Downsampling, which keeps some positions, and pooling over all of them.

Padding takes no part in either. Pooling turns (windows, members * channels, positions) into (windows, members, channels);
a window without any known base gives zeros.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from cisgrammar.blocks import Masked, MemberConv, Product, choose, lowest
from cisgrammar.layers import GlobalMaxPool


class MaxDown(Masked):
    """The largest of every `factor` positions; the last block may hold fewer."""

    def __init__(self, factor):
        super().__init__()
        self.span = self.stride = factor
        self.pool = nn.MaxPool1d(factor)

    def forward(self, values, mask):
        values = values.masked_fill(mask == 0, lowest(values))
        values = self.pool(pad(values, (0, -values.shape[-1] % self.stride), value=lowest(values)))
        return values.masked_fill(self.shrink(mask) == 0, 0)


class AverageDown(Masked):
    """The mean of every `factor` positions, in the last block of those that lie in the sequence."""

    def __init__(self, factor):
        super().__init__()
        self.span = self.stride = factor

    def forward(self, values, mask):
        missing = (0, -values.shape[-1] % self.stride)
        total, count = (pad(x, missing).unflatten(-1, (-1, self.stride)).sum(dim=-1) for x in (values * mask, mask))
        return total / count.clamp(min=1)


def downsampling(kind, factor, members, channels):
    """A block that keeps one of `factor` positions, by `max`, `average` or strided `conv`olution."""
    blocks = {
        "max": lambda: MaxDown(factor),
        "average": lambda: AverageDown(factor),
        "conv": lambda: MemberConv(members, channels, channels, factor, stride=factor),
    }
    return choose(blocks, kind, "downsampling")()


class Pool(Masked):
    """A pooling; its mask becomes the mask of windows without any base."""

    def __init__(self, members):
        super().__init__()
        self.members = members

    def forward(self, values, mask):
        pooled = self.pooled(values, mask) * (mask.amax(dim=-1) > 0)
        return pooled.unflatten(1, (self.members, -1))


class MaxPool(Pool):
    """The largest value."""

    def __init__(self, members):
        super().__init__(members)
        self.pool = GlobalMaxPool()

    def pooled(self, values, mask):
        return self.pool(values.masked_fill(mask == 0, lowest(values))).squeeze(-1)


class MeanPool(Pool):
    """The mean."""

    def pooled(self, values, mask):
        return (values * mask).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


class LogSumExp(nn.Module):
    """ln of the sum of exp over the last axis, as a module, so that DeepLIFT can have a rule for it."""

    def forward(self, values):
        return values.logsumexp(dim=-1)


class LogMeanExpPool(Pool):
    """ln(mean(exp(r x))) / r: the mean for a small r, the maximum for a large one (Pinheiro & Collobert 2015, CVPR)."""

    def __init__(self, members, sharpness=4.0):
        super().__init__(members)
        self.sharpness = sharpness
        self.total = LogSumExp()

    def pooled(self, values, mask):
        # Not the lowest number there is, which would be infinite after a difference.
        total = self.total((self.sharpness * values).masked_fill(mask == 0, lowest(values) / 2))
        return (total - mask.sum(dim=-1).clamp(min=1).log()) / self.sharpness


class AttentionPool(Pool):
    """A weighted mean; the weights are learned from the values, softmax over positions of w tanh(V x).

    Multiple-instance pooling (Ilse, Tomczak & Welling 2018, ICML): positions are the instances, the window is the bag. The
    weights tell where in a window the evidence lies. Without the gate that the paper offers as an option.
    """

    def __init__(self, members, channels, units=16):
        super().__init__(members)
        self.inner, self.tanh = MemberConv(members, channels, units, 1), nn.Tanh()
        self.outer, self.softmax = MemberConv(members, units, 1, 1, bias=False), nn.Softmax(dim=-1)
        self.product = Product()

    def weights(self, values, mask):
        """Weights (windows, members, positions), at least 0, 1 in sum over the positions of each window."""
        scores = self.outer(self.tanh(self.inner(values, mask)), mask)
        return self.softmax(scores.masked_fill(mask == 0, lowest(scores) / 2)) * mask

    def pooled(self, values, mask):
        values = (values * mask).unflatten(1, (self.members, -1))
        weights = self.weights(values.flatten(1, 2), mask).unsqueeze(2).expand_as(values)
        return self.product(torch.stack([values, weights], dim=-1)).sum(dim=-1).flatten(1, 2)


def pooling(kind, members, channels):
    """A pooling by name: `max`, `mean`, `log_sum_exp` or `attention`."""
    pools = {
        "max": lambda: MaxPool(members),
        "mean": lambda: MeanPool(members),
        "log_sum_exp": lambda: LogMeanExpPool(members),
        "attention": lambda: AttentionPool(members, channels),
    }
    return choose(pools, kind, "pool")()
