"""Relatives: which experiments' networks tell a target's peaks, and a network that starts from their motif detectors.

A network of another experiment that ranks the target's training peaks above its negatives is a relative, whatever the
names of the two. The new network reads the hidden units of its relatives, cut down to the filters that matter, beside a
trunk of its own that starts from nothing, so that motifs which no relative has can still be learned.
"""

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score
from torch import nn

from cisgrammar.architectures import build_network
from cisgrammar.blocks import Masked
from cisgrammar.layers import MemberLinear, encode
from cisgrammar.log import InputError
from cisgrammar.model import score
from cisgrammar.networks import Network

RANKED = 2000  # training windows that sources are judged by


class Parallel(Masked):
    """Trunks side by side: their features one after the other, (windows, members, features)."""

    def __init__(self, *trunks):
        super().__init__()
        self.trunks = nn.ModuleList(trunks)

    def forward(self, values, mask):
        return torch.cat([trunk(values, mask) for trunk in self.trunks], dim=-1)


def rank_sources(networks, windows, most=RANKED):
    """How well the network of each source tells the target's training windows apart.

    networks: dict of a source to a Network whose first head is the source's; windows: dict of `read_sequences`, of which
    some are looked at, evenly spread, where there are more than `most`
    Returns (dict of a source to its AUPRC, best first; dict of a source to its logits; labels), of these windows.
    """
    step = max(1, -(-len(windows["label"]) // most))
    channels = windows.get("channels")
    some = windows["codes"][::step], None if channels is None else channels[::step]
    labels = windows["label"][::step]
    logits = {name: score(network, *some, windows.get("encoding"))[:, 0] for name, network in networks.items()}
    auprc = {name: float(average_precision_score(labels, values)) for name, values in logits.items()}
    return {name: auprc[name] for name in sorted(auprc, key=auprc.get, reverse=True)}, logits, labels


def choose_relatives(auprc, prevalence, most, floor):
    """The best sources, at most `most`, of those whose AUPRC is `floor` times what chance gives or more."""
    return [name for name, value in auprc.items() if value >= floor * prevalence][:most]


def weigh(logits, labels, ridge=1.0):
    """(weights (sources,), bias) of logits (windows, sources) that make the likeliest sum, no weight below zero.

    labels: 0 or 1; ridge: pull of each weight to 0 (of logits scaled to a standard deviation of 1), in nats per weight
    squared. A logistic regression, as in stacked generalisation (Wolpert 1992, Neural Networks 5:241; non-negative after
    Breiman 1996, Machine Learning 24:49).
    """
    x, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    sd = np.maximum(x.std(axis=0), 1e-9)
    mean = x.mean(axis=0)
    x = (x - mean) / sd

    def cost(parameters):
        weights, bias = parameters[:-1], parameters[-1]
        z = x @ weights + bias
        residual = 1 / (1 + np.exp(-z)) - y
        value = np.sum(np.logaddexp(0, z) - y * z) + ridge * np.sum(weights**2)
        return value, np.append(x.T @ residual + 2 * ridge * weights, residual.sum())

    n = x.shape[1]
    share = np.clip(y.mean(), 1e-6, 1 - 1e-6)
    start = np.append(np.full(n, 0.1), np.log(share / (1 - share)))
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * n + [(None, None)]).x
    weights = found[:-1] / sd
    return weights, float(found[-1] - weights @ mean)


def filter_effects(network, data, most=2000):
    """How much each filter moves the logit: mean absolute change when it always has its mean activation.

    network: of the architecture `detectors`; data: dict of `read_sequences`, of which `most` windows are looked at
    Returns (effects, mean activations), float32 tensors (members, filters).
    """
    first, activation, _, hidden, later, _ = network.trunk
    step = max(1, -(-len(data["codes"]) // most))
    with torch.no_grad():
        values = []
        for i in range(0, len(data["codes"]), 512 * step):
            rows = slice(i, i + 512 * step, step)
            channels = data.get("channels")
            channels = None if channels is None else channels[rows]
            values.append(activation(first(encode(data["codes"][rows], channels, **data.get("encoding", {})))))
        values = torch.cat(values)
        mean, before = values.mean(dim=0), hidden(values)
        given, effects = network.head(later(before))[..., :1], []
        for f in range(values.shape[-1]):
            change = (mean[:, f] - values[..., f]).unsqueeze(-1) * hidden.weight[:, :, f]
            effects.append((network.head(later(before + change))[..., :1] - given).abs().mean(dim=(0, 2)))
    return torch.stack(effects, dim=1), mean


def cut_down(network, built, data, filters, members):
    """The network with those `filters` alone that move its logit most on these windows; the others keep their mean.

    built: what `build_network` was told of the network; members: of the new one, which takes those of the network in turn
    The architecture is `detectors`.
    """
    filters = min(filters, built["filters"])
    effects, mean = filter_effects(network, data)
    built = {**built, "filters": filters, "members": members, "tasks": 1}
    smaller = build_network(**built)
    member = torch.arange(members) % len(effects)
    kept = effects.argsort(dim=1, descending=True, stable=True)[:, :filters].sort(dim=1).values[member]
    first, _, _, hidden, _, _ = network.trunk
    new_first, _, _, new_hidden, _, _ = smaller.trunk
    rows = member.unsqueeze(1)
    with torch.no_grad():
        new_first.free.copy_(first.free[rows, kept])
        new_first.bias.copy_(first.bias[rows, kept])
        new_hidden.weight.copy_(hidden.weight.transpose(1, 2)[rows, kept].transpose(1, 2))
        rest = mean.clone()[member].scatter(1, kept, 0)
        new_hidden.bias.copy_(hidden.bias[member] + torch.einsum("mof,mf->mo", hidden.weight[member], rest))
        smaller.head.weight.copy_(network.head.weight[member, :1])
        smaller.head.bias.copy_(network.head.bias[member, :1])
    return smaller.eval()


def put_together(networks, weights, bias=0.0, own=None):
    """One network with the trunks of several side by side; its logit starts as their weighted sum.

    networks: list of Network with one head and as many members; weights, bias: see `weigh`; own: Network with a new trunk,
    whose head counts for nothing at the start, or none. The trunks are not copied.
    """
    with torch.no_grad():
        parts = [weight * network.head.weight for weight, network in zip(weights, networks, strict=True)]
        offset = sum(weight * network.head.bias for weight, network in zip(weights, networks, strict=True)) + bias
        trunks = [network.trunk for network in networks]
        if own is not None:
            parts.append(torch.zeros_like(own.head.weight))
            trunks.append(own.trunk)
        joined = torch.cat(parts, dim=-1)
        head = MemberLinear(len(joined), joined.shape[-1], 1)
        head.weight.copy_(joined)
        head.bias.copy_(offset)
    return Network(Parallel(*trunks), head, networks[0].strands, networks[0].channels)


def merge(network, built):
    """The same function as a plain network `detectors`: one bank of filters, hidden units that see their own filters.

    network: of `put_together`; built: what `build_network` was told of one of its parts
    Returns (Network, what `build_network` was told of it). What a trunk does not read has weight 0, and can be learned.
    """
    trunks = list(network.trunk.trunks)
    first, hidden = [trunk[0] for trunk in trunks], [trunk[3] for trunk in trunks]
    n_filters = sum(layer.free.shape[1] for layer in first)
    n_hidden = sum(layer.weight.shape[1] for layer in hidden)
    built = {**built, "filters": n_filters, "hidden": n_hidden, "tasks": network.head.weight.shape[1]}
    merged = build_network(**built)
    with torch.no_grad():
        merged.trunk[0].free.copy_(torch.cat([layer.free for layer in first], dim=1))
        merged.trunk[0].bias.copy_(torch.cat([layer.bias for layer in first], dim=1))
        blocks = [torch.block_diag(*(layer.weight[m] for layer in hidden)) for m in range(built["members"])]
        merged.trunk[3].weight.copy_(torch.stack(blocks))
        merged.trunk[3].bias.copy_(torch.cat([layer.bias for layer in hidden], dim=1))
        merged.head.load_state_dict(network.head.state_dict())
    return merged.eval(), built


def average(one, other):
    """The mean of the logits of two models as one network `detectors`.

    one, other: (Network, what `build_network` was told of it), of the same filter_bp and channels
    Returns (Network, what `build_network` was told of it).
    """
    members = max(built["members"] for _, built in (one, other))
    both = [pick_members(*model, members) for model in (one, other)]
    return merge(put_together(both, [0.5, 0.5]), {**one[1], "members": members})


def pick_members(network, built, members):
    """The network with that many members, its own ones in turn; their mean is the same where they come out even."""
    picked = build_network(**{**built, "members": members, "tasks": network.head.weight.shape[1]})
    turn = torch.arange(members) % built["members"]
    picked.load_state_dict({name: value[turn] for name, value in network.state_dict().items()})
    return picked.eval()


def start_from_sources(sources, windows, built, settings, choose=True):
    """A network that starts from those of a target's sources, with room for motifs of its own where that can be.

    sources: dict of a source to (Network, description), or a single one with several heads; windows: the target's training
    windows, dict of `read_sequences` without flanks; built: what `build_network` is to be told of the target's network
    settings: section `transfer`, of which most, floor, filters_per_source and own_filters are used; choose: whether relatives
    are chosen by `most` and `floor`, or all sources are taken
    Of `detectors`, the trunks of several relatives stand beside a new one; of others, the trunk of the best one is taken.
    Returns (Network or None where there is no relative; dict of a relative to a Network with its heads, whose trunk is part
    of the new one; table source, train_auprc, weight, nan where it was not measured or is no relative).
    Raises InputError when a source is of another shape than the target.
    """
    shapes = {name: description["network"] for name, (_, description) in sources.items()}
    check_shapes(shapes, built)
    members, detectors = built["members"], built["architecture"] == "detectors"
    several = [name for name, shape in shapes.items() if shape["tasks"] > 1]
    if several:
        relative = pick_members(sources[several[0]][0], shapes[several[0]], members)
        ranking = pd.DataFrame({"source": several[:1], "train_auprc": np.nan, "weight": np.nan})
        return copy_trunk(relative, built), {several[0]: relative}, ranking
    auprc, logits, labels = rank_sources({name: network for name, (network, _) in sources.items()}, windows)
    chosen = choose_relatives(auprc, labels.mean(), settings["most"], settings["floor"]) if choose else list(auprc)
    chosen = chosen if detectors else chosen[:1]
    weights, bias = weigh(np.stack([logits[name] for name in chosen], axis=1), labels) if chosen else ([], 0.0)
    ranking = pd.DataFrame({"source": list(auprc), "train_auprc": list(auprc.values())})
    ranking["weight"] = ranking["source"].map(dict(zip(chosen, weights, strict=True))).astype(float)
    if not chosen:
        return None, {}, ranking
    if not detectors:
        relative = pick_members(sources[chosen[0]][0], shapes[chosen[0]], members)
        return copy_trunk(relative, built), {chosen[0]: relative}, ranking
    few = settings["filters_per_source"]
    relatives = {name: cut_down(sources[name][0], shapes[name], windows, few, members) for name in chosen}
    own = build_network(**{**built, "filters": settings["own_filters"]})
    return put_together(list(relatives.values()), weights, bias, own), relatives, ranking


def copy_trunk(source, built):
    """A new network of that shape with one head, whose trunk is that of the source itself."""
    network = build_network(**{**built, "tasks": 1})
    network.trunk = source.trunk
    return network


def check_shapes(shapes, built):
    """Raise InputError where the network of a source cannot stand beside the target's.

    shapes: dict of a source to what `build_network` was told of it
    """
    free = {"members", "tasks", "dropout", "hidden_dropout"}
    free |= {"filters", "hidden"} if built["architecture"] == "detectors" else set()
    for name, shape in shapes.items():
        differ = [key for key in built if key not in free and shape.get(key) != built[key]]
        if differ:
            key = differ[0]
            raise InputError(
                f"transfer: the network of {name} has {key} {shape.get(key)}, the target's {built[key]}; train it again "
                "with the settings of this run"
            )
