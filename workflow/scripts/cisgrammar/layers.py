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
    """A convolution whose filters are motifs: every column has mean zero over the four bases, as log-odds have.

    Only differences between bases count, so an unknown base adds nothing, like a base that could be any of the four. The
    start is that of torch's Conv1d. Input (windows, 4, bases), output (windows, filters, bases); beyond the ends lie
    unknown bases.
    """

    def __init__(self, filters, filter_bp):
        super().__init__()
        bound = (4 * filter_bp) ** -0.5
        self.free = nn.Parameter(torch.empty(filters, 4, filter_bp).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(filters).uniform_(-bound, bound))

    @property
    def weight(self):
        """(filters, 4, filter_bp), rows A C G T."""
        return self.free - self.free.mean(dim=1, keepdim=True)

    def forward(self, sequences):
        return nn.functional.conv1d(sequences, self.weight, self.bias, padding=self.free.shape[-1] // 2)
