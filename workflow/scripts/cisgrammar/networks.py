"""The network that trunk and head make, and what it looks like layer by layer."""

import math

import pandas as pd
import torch
from torch import nn

from cisgrammar.blocks import Kmers, Masked, MemberConv, choose, known_span, shift_left
from cisgrammar.layers import MotifDetectors, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.pooling import AttentionPool, Pool

STRANDS = ("post_hoc", "augment", "conjoined", "tied")


class Network(nn.Module):
    """A trunk that turns sequences into features and a head with one output per task, for several members, averaged.

    trunk: Chain, its output (windows, members, features); head: MemberLinear; channels: of the input, A C G T first
    strands: how the two strands come to score alike (after Zhou et al. 2022, PMLR 165:1). `tied`: the trunk sees to it.
    Else logits are the mean over both strands whenever the network is evaluated, and training sees the strand given
    (`post_hoc`), either one by chance (`augment`), or the mean (`conjoined`).
    Padding at either end, columns of zeros, never changes the output.
    """

    def __init__(self, trunk, head, strands="post_hoc", channels=4):
        super().__init__()
        self.trunk, self.head = trunk, head
        self.strands, self.channels = choose({name: name for name in STRANDS}, strands, "strands"), channels

    @property
    def detectors(self):
        """The first layer with filters: `weight` (members, filters, channels, filter_bp), `bias` (members, filters).

        Raises InputError when the network reads k-mers, as its filters are then no matrices of bases.
        """
        if not self.reads_bases:
            raise InputError(
                "training.encoding_k: filters of k-mers are no matrices of bases; set it to 1 to see filters"
            )
        return next(block for block in self.trunk.modules() if isinstance(block, MemberConv | MotifDetectors))

    def read(self, sequences, mask):
        """Features (windows, members, features) of one strand."""
        return self.trunk(*self.prepare(sequences, mask))

    def prepare(self, sequences, mask):
        """Sequences and mask (windows, 1, bases) as the trunk takes them."""
        sequences, mask = sequences * mask.unsqueeze(1), mask.unsqueeze(1)
        # Blocks that downsample count from the first base, wherever it lies.
        return (sequences, mask) if self.strands == "tied" else align(sequences, mask)

    def features(self, sequences, mask=None):
        """What the head reads, (windows, members, features), of encoded sequences (windows, channels, bases).

        mask: float (windows, bases), one run of 1 in each row; default see `known_span`
        Both strands are averaged here, which equals the mean of their logits, as the head is linear.
        """
        mask = known_span(sequences) if mask is None else mask.to(sequences.dtype)
        if self.strands == "tied" or (self.training and self.strands == "post_hoc"):
            return self.read(sequences, mask)
        turned, turned_mask = reverse_complement(sequences), mask.flip(-1)
        if self.training and self.strands == "augment":
            turn = torch.rand(len(mask), 1, device=mask.device) < 0.5
            return self.read(torch.where(turn[..., None], turned, sequences), torch.where(turn, turned_mask, mask))
        # Side by side, as DeepLIFT takes the second half of a batch for references.
        both, masks = torch.stack([sequences, turned], dim=1), torch.stack([mask, turned_mask], dim=1)
        features = self.read(both.flatten(0, 1), masks.flatten(0, 1))
        return features.unflatten(0, (len(mask), 2)).mean(dim=1)

    def member_logits(self, sequences, mask=None):
        """Logits (windows, members, tasks) of encoded sequences (windows, channels, bases), see `features`."""
        return self.head(self.features(sequences, mask))

    def forward(self, sequences, mask=None):
        """Mean logits of the members, (windows, tasks)."""
        return self.member_logits(sequences, mask).mean(dim=1)

    @property
    def reads_bases(self):
        """Whether its filters are matrices of bases, and not of k-mers."""
        return not any(isinstance(block, Kmers) for block in self.trunk)

    @property
    def has_evidence(self):
        """Whether `evidence` can tell where in a window the evidence lies."""
        return any(isinstance(block, AttentionPool) for block in self.trunk)

    def evidence(self, sequences, mask=None):
        """Where a window's evidence lies: attention weights (windows, bases), averaged over members and strands.

        They are at least 0 and sum to 1 over each window; a downsampled position shares its weight among its bases.
        Raises InputError when the pooling is not attention.
        """
        mask = known_span(sequences) if mask is None else mask.to(sequences.dtype)
        given = self.strand_evidence(sequences, mask)
        if self.strands == "tied":
            return given
        return (given + self.strand_evidence(reverse_complement(sequences), mask.flip(-1)).flip(-1)) / 2

    def strand_evidence(self, sequences, mask):
        place = next((i for i, block in enumerate(self.trunk) if isinstance(block, AttentionPool)), None)
        if place is None:
            raise InputError(
                "training.pool: only a network with `attention` says where its evidence lies; set it to that"
            )
        inputs, before = self.prepare(sequences, mask), self.trunk[:place]
        weights = self.trunk[place].weights(*before.run(*inputs)).mean(dim=1, keepdim=True)
        wide = weights.repeat_interleave(before.stride, dim=-1)[..., : mask.shape[1]] * inputs[1]
        share = wide / wide.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(wide.dtype).tiny)
        return (share if self.strands == "tied" else shift_left(share, mask, back=True)).squeeze(1)


def align(sequences, mask):
    """Sequences and mask (windows, 1, bases) turned round so that every sequence starts at position 0."""
    return shift_left(sequences, mask.squeeze(1)), shift_left(mask, mask.squeeze(1))


def receptive_fields(network):
    """Bases that one value depends on after each block of the trunk, a list; infinite where that is the whole window."""
    found, span, jump = [], 1, 1
    for block in network.trunk:
        if isinstance(block, MotifDetectors):
            found.append(block.weight.shape[-1])
            span = math.inf
            continue
        if isinstance(block, Pool):
            span = math.inf
        elif isinstance(block, Masked):
            span, jump = span + (block.span - 1) * jump, jump * block.stride
        found.append(span)
    return found


def receptive_field(network):
    """Bases that one position sees just before the pooling, int, or infinity for a recurrent network."""
    pooled = [isinstance(block, Pool | MotifDetectors) for block in network.trunk].index(True)
    return receptive_fields(network)[pooled - isinstance(network.trunk[pooled], Pool)]


def check_receptive_field(network, pair_bp):
    """Raise InputError when no position of the network sees `pair_bp`, the length of two motifs with what lies between.

    A shorter receptive field can still tell that both motifs are there, not how they lie to each other.
    """
    field = receptive_field(network)
    if field < pair_bp:
        raise InputError(
            f"training: a position of this network sees {field} bp, and the motif pair spans {pair_bp} bp; raise "
            "training.filter_bp or training.depth, or take an architecture that sees further (dilated, hybrid)"
        )


def describe_network(network, window_bp):
    """What each layer gives for windows of `window_bp`, and how much there is to learn.

    Returns a data frame layer, kind, shape (without the windows), parameters, receptive_field_bp: one row for each block
    of the trunk and the head. Shapes are channels of all members x positions, after the pooling members x features.
    """
    layers = [(f"trunk.{i}", block) for i, block in enumerate(network.trunk)] + [("head", network.head)]
    shapes = {}

    def keep(name):
        return lambda block, inputs, output: shapes.update({name: " x ".join(map(str, output.shape[1:]))})

    hooks = [block.register_forward_hook(keep(name)) for name, block in layers]
    training, device = network.training, next(network.parameters()).device
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, network.channels, window_bp, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(
        {
            "layer": name,
            "kind": type(block).__name__,
            "shape": shapes[name],
            "parameters": sum(parameter.numel() for parameter in block.parameters()),
            "receptive_field_bp": window_bp if math.isinf(field) else field,
        }
        for (name, block), field in zip(layers, [*receptive_fields(network), math.inf], strict=True)
    )
