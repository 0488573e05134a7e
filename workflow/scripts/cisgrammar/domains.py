"""Making features alike between domains (batches, cell types), so that a network does not learn what tells them apart."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cisgrammar.layers import MemberLinear


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, strength):
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


def reverse_gradient(values, strength=1.0):
    """The values as they are; their gradient is turned round and multiplied by `strength` (Ganin et al. 2016, JMLR 17:59)."""
    return _Reverse.apply(values, strength)


def reversal_strength(progress):
    """Strength of the reversal after a share `progress` of the training: 0 at first, then towards 1 (Ganin et al. 2016)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


class DomainHead(nn.Module):
    """Tells the domain from features behind a gradient reversal: it learns to, while the trunk learns to prevent it.

    Features (windows, members, features) to logits (windows, members, domains). Ganin et al. 2016, with one hidden layer.
    """

    def __init__(self, members, features, domains, hidden=32):
        super().__init__()
        self.layers = nn.Sequential(
            MemberLinear(members, features, hidden), nn.ReLU(), MemberLinear(members, hidden, domains)
        )

    def forward(self, features, strength=1.0):
        return self.layers(reverse_gradient(features, strength))


def domain_loss(logits, domains):
    """Cross-entropy of domain logits (windows, members, domains), the sum over members of their means.

    domains: int64 (windows,)
    """
    return sum(cross_entropy(member, domains) for member in logits.unbind(dim=1))


def coral(source, target):
    """Distance between the covariances of two sets of features: CORAL (Sun & Saenko 2016, ECCV Workshops).

    source, target: (windows, members, features), two windows or more of each. Squared Frobenius norm / (4 features**2),
    the sum over members.
    """
    difference = covariance(source) - covariance(target)
    return difference.square().sum() / (4 * source.shape[-1] ** 2)


def mean_distance(source, target):
    """Squared distance between the means of two sets of features / features, the sum over members: the first moment."""
    return (source.mean(dim=0) - target.mean(dim=0)).square().sum() / source.shape[-1]


def moment_distance(features, domains):
    """How far the features of each domain lie from those of the others, in means and covariances; the mean over domains.

    features: (windows, members, features); domains: int64 (windows,). A domain with fewer than two windows, or with fewer
    than two of the others beside it, takes no part.
    """
    parts = []
    for domain in domains.unique():
        own, others = features[domains == domain], features[domains != domain]
        if min(len(own), len(others)) >= 2:
            parts.append(mean_distance(own, others) + coral(own, others))
    return torch.stack(parts).mean() if parts else features.sum() * 0


def covariance(features):
    """Covariances (members, features, features) of (windows, members, features)."""
    centred = features - features.mean(dim=0)
    return torch.einsum("nmi,nmj->mij", centred, centred) / (len(features) - 1)
