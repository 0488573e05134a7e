"""Building blocks of the networks."""

import torch
from torch import nn


def one_hot(codes):
    """One-hot float32 tensor (..., 4, bases), rows A C G T, of uint8 codes (..., bases); an unknown base is four zeros."""
    codes = torch.as_tensor(codes)
    return (codes.unsqueeze(-2) == torch.arange(4, dtype=codes.dtype, device=codes.device).unsqueeze(-1)).float()


def reverse_complement(sequences):
    """The other strand of one-hot sequences (..., 4, bases): rows A C G T and positions both turned round."""
    return sequences.flip(-2, -1)


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
    nothing, like a base that could be any of the four. Unknown bases also lie beyond both ends. The start is that of
    torch's Conv1d. Input (windows, 4, bases), output (windows, members, filters).
    """

    def __init__(self, members, filters, filter_bp):
        super().__init__()
        bound = (4 * filter_bp) ** -0.5
        self.free = nn.Parameter(torch.empty(members, filters, 4, filter_bp).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, filters).uniform_(-bound, bound))
        self.pool = GlobalMaxPool()

    @property
    def weight(self):
        """(members, filters, 4, filter_bp), rows A C G T."""
        return self.free - self.free.mean(dim=-2, keepdim=True)

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

    sequences: float (windows, 4, bases); weight: (filters, 4, filter_bp); most: values held at a time, by taking some of
    the filters at once. The same as a convolution of both strands and its maximum, but only the best stretches take part
    in the gradient, which is that of `weight` alone: exact, and the backward pass costs next to nothing.
    """
    # Bases before rows, so that a stretch is one run of numbers and, read backwards, the stretch on the other strand.
    stretches = sequences.transpose(1, 2).flatten(1).unfold(-1, 4 * weight.shape[-1], 4)
    filters = max(1, most // max(1, stretches[..., 0].numel()))
    return torch.cat([_best_match(stretches, part) for part in weight.transpose(1, 2).flatten(1).split(filters)], dim=1)


def _best_match(stretches, weight):
    """The same for stretches (windows, places, 4 filter_bp) and weight (filters, 4 filter_bp)."""
    with torch.no_grad():
        given, other = stretches @ weight.T, stretches @ weight.flip(-1).T
        either = torch.maximum(given, other)
        if not weight.requires_grad:
            return either.amax(dim=1)
        best, place = either.max(dim=1)
        chosen = stretches[torch.arange(len(stretches), device=place.device).unsqueeze(1), place]
        turned = given.gather(1, place.unsqueeze(1)).squeeze(1) < best
        chosen = torch.where(turned.unsqueeze(-1), chosen.flip(-1), chosen)
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
