"""Losses against numbers worked out by hand."""

import math

import pytest
import torch
from cisgrammar.log import InputError
from cisgrammar.losses import (
    balance,
    cross_entropy,
    focal,
    loss_by_name,
    masked_mean,
    smooth,
    task_loss,
    weighted_cross_entropy,
)

# Probabilities 3/4, 1/2 and 1/4.
LOGITS = torch.tensor([[math.log(3)], [0.0], [-math.log(3)]])
LABELS = torch.tensor([[1.0], [0.0], [1.0]])


def test_cross_entropy_by_hand():
    expected = [math.log(4 / 3), math.log(2), math.log(4)]
    assert cross_entropy(LOGITS, LABELS).flatten().tolist() == pytest.approx(expected)


def test_weighted_cross_entropy_by_hand():
    expected = [3 * math.log(4 / 3), math.log(2), 3 * math.log(4)]
    assert weighted_cross_entropy(LOGITS, LABELS, 3).flatten().tolist() == pytest.approx(expected)
    both = weighted_cross_entropy(LOGITS.expand(3, 2), LABELS.expand(3, 2), torch.tensor([3.0, 1.0]))
    assert both[0].tolist() == pytest.approx([3 * math.log(4 / 3), math.log(4 / 3)])


def test_focal_by_hand():
    """Times the square of what is missing: 1/16, 1/4, 9/16."""
    expected = [math.log(4 / 3) / 16, math.log(2) / 4, math.log(4) * 9 / 16]
    assert focal(LOGITS, LABELS).flatten().tolist() == pytest.approx(expected)
    weighted = [0.3 * expected[0], 0.7 * expected[1], 0.3 * expected[2]]
    assert focal(LOGITS, LABELS, alpha=0.3).flatten().tolist() == pytest.approx(weighted)


def test_focal_without_gamma_is_cross_entropy():
    soft = smooth(LABELS, 0.2)
    assert torch.allclose(focal(LOGITS, soft, gamma=0.0), cross_entropy(LOGITS, soft))


def test_focal_of_far_logits():
    logits = torch.tensor([200.0, -200.0]).requires_grad_()
    loss = focal(logits, torch.tensor([0.0, 1.0]))
    assert loss.tolist() == pytest.approx([200, 200])
    loss.sum().backward()
    assert logits.grad.tolist() == pytest.approx([1, -1])


def test_smooth_by_hand():
    assert smooth(torch.tensor([0.0, 1.0]), 0.1).tolist() == pytest.approx([0.05, 0.95])
    assert smooth(LABELS, 0.0).tolist() == LABELS.tolist()


def test_balance_by_hand():
    labels = torch.tensor([[1.0, 0], [0, 0], [0, 1], [0, 1]])
    assert balance(labels).tolist() == [3, 1]
    known = torch.tensor([[1.0, 1], [1, 1], [0, 1], [0, 0]])
    assert balance(labels, known).tolist() == [1, 2]
    assert balance(torch.zeros(3, 1)).tolist() == [1]


def test_masked_mean_by_hand():
    losses, known = torch.tensor([[1.0, 2], [4, math.nan]]), torch.tensor([[1.0, 1], [1, 0]])
    assert masked_mean(losses, known).item() == pytest.approx(7 / 3)
    assert masked_mean(losses, known, torch.tensor([1.0, 2])).item() == pytest.approx((1 + 2 + 8) / 4)
    weights = torch.tensor([[1.0, 0], [3, 5]])
    assert masked_mean(losses, known, weights).item() == pytest.approx(13 / 4)
    assert masked_mean(losses, 0 * known).item() == 0
    assert masked_mean(torch.ones(0, 2)).item() == 0


def test_unknown_labels_have_no_gradient():
    logits = LOGITS.expand(3, 2).clone().requires_grad_()
    labels = torch.tensor([[1.0, math.nan], [0, 1], [math.nan, 0]])
    loss = task_loss("cross_entropy", logits, labels, known=(~labels.isnan()).float())
    expected = (math.log(4 / 3) + 2 * math.log(2) + math.log(4 / 3)) / 4
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert logits.grad.flatten().tolist() == pytest.approx([-1 / 16, 0, 1 / 8, -1 / 8, 0, 1 / 16])


def test_members_learn_as_if_alone():
    """The sum over members, each the mean of its own logits."""
    logits = torch.stack([LOGITS, 2 * LOGITS], dim=1)
    alone = [task_loss("focal", part, LABELS, smoothing=0.1, gamma=1.0).item() for part in (LOGITS, 2 * LOGITS)]
    assert task_loss("focal", logits, LABELS, smoothing=0.1, gamma=1.0).item() == pytest.approx(sum(alone))


def test_sample_weights():
    """A window of weight 2 counts as two; a weight of 0 leaves it out."""
    twice = torch.tensor([0, 0, 1])
    found = task_loss("cross_entropy", LOGITS, LABELS, weights=torch.tensor([2.0, 1, 0]))
    assert found.item() == pytest.approx(task_loss("cross_entropy", LOGITS[twice], LABELS[twice]).item())


def test_whole_number_labels():
    assert task_loss("cross_entropy", LOGITS, LABELS.long()).item() == pytest.approx(
        cross_entropy(LOGITS, LABELS).mean().item()
    )


def test_unknown_loss():
    with pytest.raises(
        InputError, match=r"training\.loss: 'hinge' is not one of cross_entropy, weighted_cross_entropy, "
    ):
        loss_by_name("hinge")
