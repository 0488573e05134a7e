"""A recurrent block."""

import math

import torch
from torch import nn

from cisgrammar.blocks import Masked, Product


class MemberLSTM(Masked):
    """A bidirectional LSTM for each member (Hochreiter & Schmidhuber 1997; gates and start as torch's LSTM).

    (windows, members * inputs, positions) to (windows, members * 2 * units, positions), forward units first. Padding
    passes the state on unchanged, so each direction starts at an end of the sequence. Written out step by step, so that
    DeepLIFT's rules reach its gates and products.
    """

    span = math.inf

    def __init__(self, members, inputs, units):
        super().__init__()
        bound = units**-0.5
        for name, size in {"inward": inputs, "recurrent": units}.items():
            setattr(self, name, nn.Parameter(torch.empty(members, 2, 4 * units, size).uniform_(-bound, bound)))
        self.bias = nn.Parameter(torch.empty(members, 2, 4 * units).uniform_(-bound, bound))
        self.sigmoid, self.tanh, self.product = nn.Sigmoid(), nn.Tanh(), Product()

    def multiply(self, left, right):
        return self.product(torch.stack([left, right], dim=-1))

    def step(self, inward, hidden, cell):
        """(hidden, cell) after one position, each (windows, members, 2, units)."""
        gates = inward + torch.einsum("nmdh,mdgh->nmdg", hidden, self.recurrent)
        take, keep, new, show = gates.chunk(4, dim=-1)
        cell = self.multiply(self.sigmoid(keep), cell) + self.multiply(self.sigmoid(take), self.tanh(new))
        return self.multiply(self.sigmoid(show), self.tanh(cell)), cell

    def forward(self, values, mask):
        both = torch.stack([values * mask, (values * mask).flip(-1)], dim=1)
        both = both.unflatten(2, (len(self.bias), -1))
        inward = torch.einsum("ndmcp,mdgc->pnmdg", both, self.inward) + self.bias
        steps = torch.stack([mask, mask.flip(-1)], dim=1)[:, None]
        hidden = cell = inward.new_zeros(*inward.shape[1:-1], self.recurrent.shape[-1])
        states = []
        for i, here in enumerate(inward):
            new, new_cell = self.step(here, hidden, cell)
            inside = steps[..., i] > 0
            hidden, cell = torch.where(inside, new, hidden), torch.where(inside, new_cell, cell)
            states.append(hidden)
        forward, backward = torch.stack(states, dim=-1).unbind(dim=2)
        return torch.cat([forward, backward.flip(-1)], dim=2).flatten(1, 2)
