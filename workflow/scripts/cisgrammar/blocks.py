"""Blocks that networks are composed of.

Between blocks, values are (windows, members * channels, positions), member by member; every parameter has the members as
its first axis, so that members train side by side as if alone. A mask (windows, 1, positions) is 1 at the bases of the
sequence and 0 in the padding. Blocks that read more than one position are `Masked`: they clear what lies beyond the mask
before they read, so that padding equals the end of the sequence. All other blocks are plain torch modules.
"""

import math

import torch
from torch import nn
from torch.nn.functional import conv1d, pad

from cisgrammar.layers import reverse_complement
from cisgrammar.log import InputError


def choose(options, name, setting):
    """options[name]; raises InputError that names the setting and what it can be."""
    if name not in options:
        raise InputError(f"training.{setting}: '{name}' is not one of {', '.join(options)}")
    return options[name]


def known_span(sequences):
    """Mask (windows, bases) of encoded sequences (windows, channels, bases): 1 from the first to the last known base.

    A column whose rows A C G T are zero is padding, or an unknown base that counts as such at either end.
    """
    known = (sequences.detach()[:, :4] != 0).any(dim=1)
    place = torch.arange(known.shape[1], device=known.device)
    first = known.int().argmax(dim=1, keepdim=True)
    last = known.shape[1] - 1 - known.flip(1).int().argmax(dim=1, keepdim=True)
    return ((place >= first) & (place <= last) & known.any(dim=1, keepdim=True)).to(sequences.dtype)


def shift_left(values, mask, back=False):
    """Values (windows, channels, bases) turned round until the mask (windows, bases) starts at 0; `back` undoes it."""
    place = torch.arange(mask.shape[1], device=mask.device)
    start = (mask > 0).int().argmax(dim=1, keepdim=True)
    source = (place + (-start if back else start)) % mask.shape[1]
    return values.gather(-1, source.unsqueeze(1).expand_as(values))


def lowest(values):
    """The lowest number that values of this dtype can hold."""
    return torch.finfo(values.dtype).min


class Masked(nn.Module):
    """A block that reads `span` positions and keeps every `stride`-th; forward takes values and their mask."""

    span, stride = 1, 1

    def shrink(self, mask):
        """The mask of the values it returns; the masked stretch starts at position 0 where the stride is above 1."""
        return mask[..., :: self.stride]


class Chain(nn.Sequential, Masked):
    """Blocks one after the other."""

    def run(self, values, mask):
        """(values, mask) after the last block."""
        for block in self:
            values = block(values, mask) if isinstance(block, Masked) else block(values)
            mask = block.shrink(mask) if isinstance(block, Masked) else mask
        return values, mask

    def forward(self, values, mask):
        return self.run(values, mask)[0]

    @property
    def stride(self):
        return math.prod(getattr(block, "stride", 1) for block in self if isinstance(block, Masked))

    @property
    def span(self):
        """Positions of the input that one position of the output depends on."""
        span, jump = 1, 1
        for block in self:
            if isinstance(block, Masked):
                span, jump = span + (block.span - 1) * jump, jump * block.stride
        return span


class Residual(Chain):
    """What its blocks make of the values, added to the values (He et al. 2016, CVPR)."""

    def forward(self, values, mask):
        return values + super().forward(values, mask)


class Exponential(nn.Module):
    """exp(x), for a first layer whose filters are to look like motifs (Koo & Ploenzke 2021, Nat. Mach. Intell. 3:258).

    Above `most` it goes on as a straight line with the same slope, so that a large step in training cannot overflow.
    """

    most = 10.0

    def forward(self, values):
        below = values.clamp(max=self.most)
        return below.exp() * (1 + values - below)


ACTIVATIONS = {"relu": nn.ReLU, "exponential": Exponential, "gelu": nn.GELU}


class Product(nn.Module):
    """The product of two tensors that are stacked along a last axis, (..., 2) to (...): one input, for DeepLIFT's rule."""

    def forward(self, pair):
        return pair.prod(dim=-1)


class KmerProduct(nn.Module):
    """K-mer one-hot (windows, 4**k, bases) of base one-hot (windows, 4, bases): AA..A, AA..C, ..., the last base fastest.

    Position i holds the k-mer from i on, as the product of its bases; so a k-mer with an unknown base is zero where that
    base is zero, and spread evenly over the k-mers it could be where it is uniform. K-mers beyond the end are zero.
    """

    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, bases):
        kmers = bases
        for i in range(1, self.k):
            later = pad(bases[..., i:], (0, min(i, bases.shape[-1])))
            kmers = (kmers.unsqueeze(2) * later.unsqueeze(1)).flatten(1, 2)
        return kmers


class Kmers(Masked):
    """One-hot k-mers in place of one-hot bases (not centred ones); further channels stay as they are."""

    def __init__(self, k):
        super().__init__()
        self.product = KmerProduct(k)
        self.span = k

    def forward(self, values, mask):
        values = values * mask
        return torch.cat([self.product(values[:, :4]), values[:, 4:]], dim=1)


class MemberConv(Masked):
    """A convolution for each member, which keeps the length (divided by the stride); starts as Conv1d does.

    inputs, outputs: channels of one member; width: positions; shared: all members read the same values, the sequences.
    A width of 1 is a bottleneck. Position i of the output is centred on position i * stride of the input, for an even
    width on the gap after it.
    """

    def __init__(self, members, inputs, outputs, width, dilation=1, stride=1, shared=False, bias=True):
        super().__init__()
        bound = (inputs * width) ** -0.5
        self.free = nn.Parameter(torch.empty(members, outputs, inputs, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound)) if bias else None
        self.groups, self.dilation, self.stride = 1 if shared else members, dilation, stride
        self.span = (width - 1) * dilation + 1

    @property
    def weight(self):
        """(members, outputs, inputs, width)."""
        return self.free

    def filters(self):
        """Weight and bias as they slide along the values."""
        return self.weight, self.bias

    def forward(self, values, mask):
        weight, bias = self.filters()
        values = pad(values * mask, ((self.span - 1) // 2, self.span // 2))
        bias = None if bias is None else bias.flatten()
        return conv1d(values, weight.flatten(0, 1), bias, self.stride, 0, self.dilation, self.groups)


class CentredConv(MemberConv):
    """A first layer whose filters have mean zero over the letters of each position, as log-odds have.

    Only differences between letters count, so that training does not spend its steps on what all sequences share.
    letters: 4 for bases, 4**k for k-mers; channels after these are free
    """

    def __init__(self, members, inputs, outputs, width, letters=4, **more):
        super().__init__(members, inputs, outputs, width, **more)
        self.letters = letters

    @property
    def weight(self):
        letters, free = self.free[:, :, : self.letters], self.free[:, :, self.letters :]
        return torch.cat([letters - letters.mean(dim=2, keepdim=True), free], dim=2)


class PWMConv(MemberConv):
    """A first layer whose filters are position weight matrices: ln(p/q), p by softmax over the bases of each position.

    q: background A C G T. So a score is a log-likelihood ratio, and an unknown base adds nothing. The idea is that of
    motif-constrained first layers (Ploenzke & Irizarry 2018, bioRxiv 411934, who constrain by penalties; here it holds by
    construction). Channels after the first four are free.
    """

    def __init__(self, members, inputs, outputs, width, background=(0.25,) * 4, **more):
        super().__init__(members, inputs, outputs, width, **more)
        self.register_buffer("log_background", torch.tensor(background).log()[:, None], persistent=False)

    @property
    def weight(self):
        odds = self.free[:, :, :4].log_softmax(dim=2) - self.log_background
        return torch.cat([odds, self.free[:, :, 4:]], dim=2)


class TiedConv(MemberConv):
    """A convolution that commutes with turning the sequence: each filter comes with its reverse complement.

    RCPS layers (Shrikumar et al. 2017, bioRxiv 103663; Zhou et al. 2022, PMLR 165:1), in the order in which turning the
    sequence turns round channels and positions: channel j and channel -1 - j are a pair. `outputs` counts pairs, and so do
    `inputs` where the values are not shared; the width is odd, so that both directions have the same centre.
    """

    def __init__(self, members, inputs, outputs, width, shared=False, **more):
        super().__init__(members, inputs if shared else 2 * inputs, outputs, width, shared=shared, **more)
        if width % 2 == 0 or self.stride > 1:
            raise InputError(
                f"training.strands: tied needs filters of odd width and no downsampling, not a width of {width} bp with a "
                f"stride of {self.stride}; change one of them"
            )
        self.shared = shared

    def filters(self):
        weight = self.weight
        turned = reverse_complement(weight) if self.shared else weight.flip(-2, -1)
        return torch.cat([weight, turned.flip(1)], dim=1), torch.cat([self.bias, self.bias.flip(1)], dim=1)


class TiedCentredConv(TiedConv, CentredConv):
    """Centred filters on both strands."""


class TiedPWMConv(TiedConv, PWMConv):
    """Position weight matrices on both strands."""


class FoldStrands(nn.Module):
    """The larger of the two values of each pair of channels that `TiedConv` gives; positions stay where they are.

    After it the channels no longer know the strand, and any pooling over positions is invariant.
    """

    def __init__(self, members):
        super().__init__()
        self.members = members
        self.pool = nn.MaxPool1d(2)

    def forward(self, values):
        given, other = values.unflatten(1, (self.members, -1)).chunk(2, dim=2)
        return self.pool(torch.stack([given, other.flip(2)], dim=-1).flatten(-2).flatten(1, 2))


class MemberNorm(Masked):
    """Batch normalisation (Ioffe & Szegedy 2015, ICML) that counts the positions of the sequences and not the padding."""

    def __init__(self, members, channels, momentum=0.1, epsilon=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, channels))
        self.bias = nn.Parameter(torch.zeros(members, channels))
        self.register_buffer("mean", torch.zeros(members, channels))
        self.register_buffer("variance", torch.ones(members, channels))
        self.momentum, self.epsilon = momentum, epsilon

    def forward(self, values, mask):
        mean, variance = self.mean, self.variance
        if self.training:
            count = mask.sum().clamp(min=1)
            mean = (values * mask).sum(dim=(0, 2)) / count
            variance = ((values - mean[:, None]).square() * mask).sum(dim=(0, 2)) / count
            mean, variance = mean.view_as(self.mean), variance.view_as(self.mean)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * (variance + self.epsilon).rsqrt()
        return values * scale.view(-1, 1) + (self.bias - mean * scale).view(-1, 1)
