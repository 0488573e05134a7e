"""Losses of logits, one per window and task; all of them can be weighted, smoothed and masked alike."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from cisgrammar.blocks import choose


def smooth(labels, share):
    """Labels moved towards 1/2: 1 becomes 1 - share/2 and 0 becomes share/2 (Szegedy et al. 2016, CVPR, for two classes)."""
    return labels * (1 - share) + share / 2


def balance(labels, known=None):
    """Weight of a positive that makes positives and negatives count alike: negatives / positives of each task.

    labels: 0 or 1, (windows, tasks); known: the same shape, 1 where there is a label. Returns (tasks,), 1 for a task that
    lacks either class.
    """
    known = torch.ones_like(labels) if known is None else known
    positives, negatives = (labels * known).sum(dim=0), ((1 - labels) * known).sum(dim=0)
    return torch.where((positives > 0) & (negatives > 0), negatives / positives.clamp(min=1), 1.0)


def cross_entropy(logits, labels):
    """Binary cross-entropy of each logit."""
    return binary_cross_entropy_with_logits(logits, labels, reduction="none")


def weighted_cross_entropy(logits, labels, positive_weight):
    """Binary cross-entropy with the part of the positive class times `positive_weight`, a number or (tasks,)."""
    weight = torch.as_tensor(positive_weight, dtype=logits.dtype, device=logits.device)
    return binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")


def focal(logits, labels, gamma=2.0, alpha=None):
    """Focal loss: cross-entropy times (1 - p)**gamma, p the probability of the true class (Lin et al. 2017, ICCV).

    gamma: 0 gives cross-entropy, more lets easy windows count less; alpha: weight of positives, 1 - alpha that of
    negatives, default no weights. Soft labels mix the two classes' losses, which the paper does not treat.
    """
    positive = -logsigmoid(logits) * torch.sigmoid(-logits) ** gamma
    negative = -logsigmoid(-logits) * torch.sigmoid(logits) ** gamma
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return labels * positive + (1 - labels) * negative


LOSSES = {"cross_entropy": cross_entropy, "weighted_cross_entropy": weighted_cross_entropy, "focal": focal}


def loss_by_name(name):
    """A loss of LOSSES; raises InputError when there is none of that name."""
    return choose(LOSSES, name, "loss")


def masked_mean(losses, known=None, weights=None):
    """Mean over the windows and tasks whose label is known, weighted where weights are given.

    losses: (windows, tasks); known: the same shape, 1 or 0; weights: (windows,) or (windows, tasks), peak strength or
    importance. Divided by the weights' sum, so that a batch of heavy windows takes no larger step; 0 when none is known.
    """
    share = torch.ones_like(losses) if known is None else known.to(losses.dtype)
    if weights is not None:
        share = share * weights.view(len(weights), -1)
    # An unknown label may be nan, and nan times 0 is nan.
    total = torch.where(share > 0, losses, 0).mul(share).sum()
    return total / share.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def task_loss(name, logits, labels, known=None, weights=None, smoothing=0.0, **settings):
    """Mean loss over windows, members and tasks.

    name: of LOSSES, `settings` its own; logits: (windows, tasks) or (windows, members, tasks); labels, known:
    (windows, tasks), known is 0 where a task has no label for a window; weights: (windows,) or (windows, tasks)
    With several members it is the sum over them of their mean losses, so that each learns as if it were alone.
    """
    labels = labels.to(logits.dtype)
    labels = smooth(labels if known is None else torch.where(known > 0, labels, 0), smoothing)
    members = logits.unsqueeze(1) if logits.dim() == 2 else logits
    loss = loss_by_name(name)
    return sum(masked_mean(loss(member, labels, **settings), known, weights) for member in members.unbind(dim=1))
