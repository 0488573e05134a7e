"""Building blocks of the networks."""

import torch
from torch import nn

from cisgrammar.dna import UNKNOWN


def one_hot(codes, unknown="zero", centred=False):
    """One-hot float32 tensor (..., 4, bases), rows A C G T, of uint8 codes (..., bases).

    unknown: an unknown base (code 4) is four zeros (`zero`) or four times 0.25 (`uniform`); padding (5) is four zeros
    centred: 0.25 is taken off every base, after which an unknown one is four zeros in either way
    """
    codes = torch.as_tensor(codes)
    sequences = (codes.unsqueeze(-2) == torch.arange(4, dtype=codes.dtype, device=codes.device).unsqueeze(-1)).float()
    if centred:
        sequences -= 0.25 * (codes < UNKNOWN).unsqueeze(-2)
    elif unknown == "uniform":
        sequences += 0.25 * (codes == UNKNOWN).unsqueeze(-2)
    return sequences


def encode(codes, channels=None, device=None, unknown="zero", centred=False, position_channel=False):
    """What networks read: float32 tensor (windows, rows, bases) on `device`.

    codes: uint8 (windows, bases); channels: float (windows, channels, bases) or None; unknown, centred: see `one_hot`
    The rows are A C G T, the channels in their order, and, with position_channel, the distance from the middle of the
    window: from -1 in the middle (between two bases, a little more) to 1 at both ends, so that strands read alike.
    """
    codes = torch.as_tensor(codes).to(device)
    rows = [one_hot(codes, unknown, centred)]
    if channels is not None:
        rows.append(torch.as_tensor(channels).to(device).float())
    if position_channel:
        last = codes.shape[-1] - 1
        distance = (2 * torch.arange(last + 1, device=codes.device) - last).abs() / max(1, last)
        rows.append((2 * distance - 1).expand(len(codes), 1, -1))
    return torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]


def reverse_complement(sequences):
    """The other strand of sequences (..., rows, bases): positions turned round, and so are the rows A C G T.

    Further rows, the channels, keep their places, since what is measured at a base pair holds for both its bases.
    """
    if sequences.shape[-2] == 4:
        return sequences.flip(-2, -1)
    turned = sequences.flip(-1)
    return torch.cat([turned[..., :4, :].flip(-2), turned[..., 4:, :]], dim=-2)


class GlobalMaxPool(nn.Module):
    """The largest value over all positions, (windows, channels, bases) to (windows, channels, 1).

    Through a MaxPool1d as wide as its input, so that DeepLIFT's rule for max pooling applies to sequences of any length.
    """

    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool1d(1)

    def forward(self, values):
        self.pool.kernel_size = self.pool.stride = values.shape[-1]
        return self.pool(values)


class MotifDetectors(nn.Module):
    """Motif detectors, each with its best match at any place and on either strand.

    A filter slides along both strands, and the largest value counts (Alipanahi et al. 2015, Nature Biotechnology 33:831,
    who take the better strand of the whole prediction; here each detector takes its own, as the sites of a pair may lie
    on different strands). So a sequence and its reverse complement give the same values. Every column of a filter has
    mean zero over the four bases, as log-odds have: only differences between bases count, and an unknown base adds
    nothing, like a base that could be any of the four. Unknown bases also lie beyond both ends. Channels, the rows after
    the first four, have weights of their own, and beyond the ends the value 0, their mean. The start is that of torch's
    Conv1d. Input (windows, channels, bases), output (windows, members, filters).

    channels: rows of the input, 4 for the bases alone
    """

    def __init__(self, members, filters, filter_bp, channels=4):
        super().__init__()
        bound = (channels * filter_bp) ** -0.5
        self.free = nn.Parameter(torch.empty(members, filters, channels, filter_bp).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, filters).uniform_(-bound, bound))
        self.pool = GlobalMaxPool()

    @property
    def weight(self):
        """(members, filters, channels, filter_bp), first the rows A C G T."""
        bases, more = self.free[..., :4, :], self.free[..., 4:, :]
        return torch.cat([bases - bases.mean(dim=-2, keepdim=True), more], dim=-2)

    def forward(self, sequences):
        weight = self.weight.flatten(0, 1)
        sequences = nn.functional.pad(sequences, (weight.shape[-1] // 2,) * 2)
        # Attributions pass through modules that they know; training needs the gradient of the weights alone.
        best = self.slide(sequences, weight) if sequences.requires_grad else best_match(sequences, weight)
        return best.unflatten(1, self.bias.shape) + self.bias

    def slide(self, sequences, weight):
        """Best matches (windows, filters) by a convolution and a pooling module."""
        values = nn.functional.conv1d(sequences, torch.cat([weight, reverse_complement(weight)]))
        strands = values.unflatten(1, (2, len(weight))).movedim(1, -1).flatten(2)
        return self.pool(strands).squeeze(-1)


def best_match(sequences, weight, most=1 << 22):
    """Largest sum of products of each filter with a stretch of either strand, (windows, filters).

    sequences: float (windows, rows, bases); weight: (filters, rows, filter_bp); the first four rows are A C G T
    most: values held at a time, by taking some of the filters at once
    The same as a convolution of both strands and its maximum, but only the best stretches take part in the gradient, which
    is that of `weight` alone: exact, and the backward pass costs next to nothing.
    """
    # Bases before rows, so that a stretch is one run of numbers.
    _, rows, filter_bp = weight.shape
    stretches = sequences.transpose(1, 2).flatten(1).unfold(-1, rows * filter_bp, rows)
    filters = max(1, most // max(1, stretches[..., 0].numel()))
    weights = weight.transpose(1, 2).flatten(1).split(filters)
    return torch.cat([_best_match(stretches, part, rows) for part in weights], dim=1)


def turn(stretches, rows):
    """The other strand of stretches (..., bases * rows): of four rows, the numbers read backwards."""
    if rows == 4:
        return stretches.flip(-1)
    return reverse_complement(stretches.unflatten(-1, (-1, rows)).transpose(-1, -2)).transpose(-1, -2).flatten(-2)


def _best_match(stretches, weight, rows):
    """The same for stretches (windows, places, filter_bp * rows) and weight (filters, filter_bp * rows)."""
    with torch.no_grad():
        given, other = stretches @ weight.T, stretches @ turn(weight, rows).T
        either = torch.maximum(given, other)
        if not weight.requires_grad:
            return either.amax(dim=1)
        best, place = either.max(dim=1)
        chosen = stretches[torch.arange(len(stretches), device=place.device).unsqueeze(1), place]
        turned = given.gather(1, place.unsqueeze(1)).squeeze(1) < best
        chosen = torch.where(turned.unsqueeze(-1), turn(chosen, rows), chosen)
    return torch.einsum("nfk,fk->nf", chosen, weight)


class MemberLinear(nn.Module):
    """A linear layer for each member, (windows, members, inputs) to (windows, members, outputs); starts as Linear does."""

    def __init__(self, members, inputs, outputs):
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, values):
        return torch.einsum("nmi,moi->nmo", values, self.weight) + self.bias

    def chosen(self, values, outputs):
        """One output of each window, (windows, members); outputs: int64 (windows,), which. The others are not computed."""
        return torch.einsum("nmi,mni->nm", values, self.weight[:, outputs]) + self.bias[:, outputs].T
