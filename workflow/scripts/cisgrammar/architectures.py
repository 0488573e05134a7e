"""Networks by name. A new architecture is one function in this file and its name in the configuration.

An architecture function adds its own blocks between the shared beginning and end of `Common`, and returns a `Network`.
"""

import inspect
from dataclasses import dataclass, fields

from torch import nn

from cisgrammar.blocks import (
    ACTIVATIONS,
    CentredConv,
    Chain,
    FoldStrands,
    Kmers,
    MemberConv,
    MemberNorm,
    PWMConv,
    Residual,
    TiedCentredConv,
    TiedConv,
    TiedPWMConv,
    choose,
)
from cisgrammar.layers import MemberLinear, MotifDetectors
from cisgrammar.log import InputError
from cisgrammar.networks import Network
from cisgrammar.pooling import downsampling, pooling
from cisgrammar.recurrent import MemberLSTM

# Each for strands that are not tied, and tied.
FIRST_LAYERS = {
    "centred": (CentredConv, TiedCentredConv),
    "free": (MemberConv, TiedConv),
    "pwm": (PWMConv, TiedPWMConv),
}


@dataclass(frozen=True)
class Common:
    """What architectures share: the settings of the first layer and of what follows the pooling.

    filters, filter_bp: number and width of the filters of the first layer; first_layer: `centred`, `free` or `pwm` (position
    weight matrices); activation: of the first layer, `relu`, `exponential` or `gelu`; later layers have relu in place of
    exponential. encoding_k: 1 for bases, more for k-mers; embedding: size of learned embeddings of k-mers, 0 for none;
    pool: see `pooling`; hidden: units after pooling, 0 for none; dropout, hidden_dropout:
    share of channels dropped after the first layer and of hidden units; strands: see `Network`; channels: of the input
    """

    filters: int = 64
    filter_bp: int = 19
    first_layer: str = "centred"
    activation: str = "relu"
    encoding_k: int = 1
    embedding: int = 0
    pool: str = "max"
    hidden: int = 32
    dropout: float = 0.1
    hidden_dropout: float = 0.3
    strands: str = "post_hoc"
    members: int = 1
    tasks: int = 1
    channels: int = 4

    def activate(self):
        """The activation of layers after the first."""
        return ACTIVATIONS["relu" if self.activation == "exponential" else self.activation]()

    def stem(self):
        """Blocks from the sequences to the activated first layer, `filters` channels (pairs where strands are tied)."""
        kind = choose(FIRST_LAYERS, self.first_layer, "first_layer")[self.strands == "tied"]
        if self.encoding_k > 1 and (self.strands == "tied" or self.first_layer == "pwm"):
            raise InputError(
                "training.encoding_k: k-mers need filters that are no matrices, and strands that are not tied"
            )
        if self.embedding and self.encoding_k == 1:
            raise InputError(
                "training.embedding: bases need no embedding; set encoding_k to 2 or more, or embedding to 0"
            )
        blocks, letters = [Kmers(self.encoding_k)] if self.encoding_k > 1 else [], 4**self.encoding_k
        inputs, more = letters + self.channels - 4, {"letters": letters} if issubclass(kind, CentredConv) else {}
        if self.embedding:
            # The same as a table with one row per k-mer, as a product with their one-hot codes.
            blocks.append(MemberConv(self.members, inputs, self.embedding, 1, shared=True, bias=False))
            kind, inputs, more = MemberConv, self.embedding, {}
        blocks.append(kind(self.members, inputs, self.filters, self.filter_bp, shared=not self.embedding, **more))
        return [*blocks, choose(ACTIVATIONS, self.activation, "activation")(), nn.Dropout(self.dropout)]

    def network(self, blocks, channels):
        """Network of these blocks, then pooling of their channels, hidden units and head."""
        blocks = [*blocks, pooling(self.pool, self.members, channels)]
        if self.hidden:
            blocks += [
                MemberLinear(self.members, channels, self.hidden),
                self.activate(),
                nn.Dropout(self.hidden_dropout),
            ]
        head = MemberLinear(self.members, self.hidden or channels, self.tasks)
        return Network(Chain(*blocks), head, self.strands, self.channels)


def untied(settings):
    """Common settings for an architecture whose layers cannot be tied."""
    common = Common(**settings)
    if common.strands == "tied":
        raise InputError("training.strands: tied is for the architecture equivariant; take another one or post_hoc")
    return common


def detectors(filters=128, filter_bp=19, hidden=32, dropout=0.1, hidden_dropout=0.3, members=1, tasks=1, channels=4):
    """Centred filters with their best match on either strand, one hidden layer (see `MotifDetectors`)."""
    trunk = Chain(
        MotifDetectors(members, filters, filter_bp, channels),
        nn.ReLU(),
        nn.Dropout(dropout),
        MemberLinear(members, filters, hidden),
        nn.ReLU(),
        nn.Dropout(hidden_dropout),
    )
    return Network(trunk, MemberLinear(members, hidden, tasks), "tied", channels)


def shallow(**common):
    """One convolution, pooling, one hidden layer: DeepBind (Alipanahi et al. 2015, Nature Biotechnology 33:831)."""
    common = untied(common)
    return common.network(common.stem(), common.filters)


def basset(widths=(7, 3), later_filters=64, factors=(3, 4, 4), kind="max", **common):
    """Three convolutions with batch normalisation and downsampling: Basset (Kelley et al. 2016, Genome Research 26:990).

    widths, later_filters: of the convolutions after the first; factors: by which each is downsampled; kind: `max`,
    `average` or `conv`. Global pooling and one hidden layer in place of flattening and two, so that any length fits; 64
    filters in place of 200 to 300.
    """
    common = untied(common)
    if len(factors) != len(widths) + 1:
        raise InputError(f"training.factors: {len(factors)} for {len(widths) + 1} convolutions; give one for each")
    *encoded, activation, dropout = common.stem()
    members, inputs = common.members, common.filters
    blocks = [
        *encoded,
        MemberNorm(members, inputs),
        activation,
        downsampling(kind, factors[0], members, inputs),
        dropout,
    ]
    for width, factor in zip(widths, factors[1:], strict=True):
        blocks += [
            MemberConv(members, inputs, later_filters, width),
            MemberNorm(members, later_filters),
            common.activate(),
        ]
        blocks += [downsampling(kind, factor, members, later_filters), nn.Dropout(common.dropout)]
        inputs = later_filters
    return common.network(blocks, inputs)


def dilated(depth=4, width=3, bottleneck=0, **common):
    """A tower of residual convolutions, dilated 2, 4, 8, ...: BPNet's body (Avsec et al. 2021, Nature Genetics 53:354).

    depth: convolutions after the first; width: of each; bottleneck: channels inside each residual block between two
    convolutions of width 1 (He et al. 2016), 0 for a plain block. Global pooling and a hidden layer in place of profiles.
    """
    common = untied(common)
    members, filters = common.members, common.filters
    blocks = common.stem()
    for i in range(1, depth + 1):
        inside = bottleneck or filters
        steps = [MemberConv(members, inside, inside, width, 2**i), common.activate()]
        if bottleneck:
            steps = [MemberConv(members, filters, inside, 1), common.activate(), *steps]
            steps.append(MemberConv(members, inside, filters, 1))
        blocks.append(Residual(*steps))
    return common.network(blocks, filters)


def hybrid(factor=8, kind="max", units=32, **common):
    """Convolution, downsampling, bidirectional LSTM: DanQ (Quang & Xie 2016, Nucleic Acids Research 44:e107).

    factor, kind: of the downsampling; units: of each direction. Global pooling of the states in place of flattening.
    """
    common = untied(common)
    members, filters = common.members, common.filters
    blocks = [*common.stem(), downsampling(kind, factor, members, filters), MemberLSTM(members, filters, units)]
    return common.network(blocks, 2 * units)


def equivariant(depth=1, width=5, **common):
    """Layers tied between the strands, dilated residual ones after the first, then the better strand at each position.

    After Shrikumar et al. 2017 (bioRxiv 103663) and Zhou et al. 2022 (PMLR 165:1), who sum over the strands or
    concatenate them. depth: residual layers, dilated 2, 4, ...; width: of each, odd. `filters` counts pairs.
    """
    common = Common(**{"strands": "tied", **common})
    if common.strands != "tied":
        raise InputError(f"training.strands: the architecture equivariant is tied, not {common.strands}")
    members, filters = common.members, common.filters
    blocks = common.stem()
    for i in range(1, depth + 1):
        blocks.append(Residual(TiedConv(members, filters, filters, width, dilation=2**i), common.activate()))
    return common.network([*blocks, FoldStrands(members)], filters)


def mil(instance=32, **common):
    """Multiple-instance learning (Ilse et al. 2018, ICML): each position is an instance, attention weighs them.

    instance: channels of an instance, by a 1x1 convolution of the first layer. The head reads the pooled instances
    without a hidden layer, so that a window's logit is the weighted mean of what its positions say.
    """
    common = untied({"pool": "attention", "hidden": 0, **common})
    bottleneck = MemberConv(common.members, common.filters, instance, 1)
    return common.network([*common.stem(), bottleneck, common.activate()], instance)


ARCHITECTURES = {build.__name__: build for build in (detectors, shallow, basset, dilated, hybrid, equivariant, mil)}


def settings_of(architecture):
    """Names of the settings that an architecture takes, its own ones last."""
    parameters = inspect.signature(choose(ARCHITECTURES, architecture, "architecture")).parameters
    shared = [field.name for field in fields(Common)] if "common" in parameters else []
    return [*shared, *(name for name in parameters if name != "common")]


def build_network(architecture, **settings):
    """The network of a name and its settings.

    Raises InputError when the architecture is unknown or does not take a setting.
    """
    known = settings_of(architecture)
    for name in settings:
        if name not in known:
            raise InputError(
                f"training.{name}: the architecture {architecture} takes {', '.join(known)}; remove {name}"
            )
    return ARCHITECTURES[architecture](**settings)
