"""Gradient reversal and the alignment of moments."""

import math

import numpy as np
import pytest
import torch
from cisgrammar.domains import (
    DomainHead,
    coral,
    covariance,
    domain_loss,
    mean_distance,
    reversal_strength,
    reverse_gradient,
)


def test_reverse_gradient_by_hand():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    turned = reverse_gradient(values, 0.5)
    assert torch.equal(turned, values)
    (turned * torch.tensor([3.0, -4.0])).sum().backward()
    assert values.grad.tolist() == [-1.5, 2]


def test_reversal_strength_by_hand():
    assert reversal_strength(0) == 0
    assert reversal_strength(0.5) == pytest.approx((1 - math.exp(-5)) / (1 + math.exp(-5)))
    assert 0.9999 < reversal_strength(1) < 1


def test_domain_head_pulls_both_ways():
    """The same gradient for the head, the opposite one for the features, as without the reversal."""
    torch.manual_seed(0)
    head, features = DomainHead(2, 5, 3), torch.randn(8, 2, 5, requires_grad=True)
    domains = torch.arange(8) % 3
    logits = head(features, strength=0.5)
    assert logits.shape == (8, 2, 3)
    found = torch.autograd.grad(domain_loss(logits, domains), [features, *head.parameters()])
    plain = torch.autograd.grad(domain_loss(head.layers(features), domains), [features, *head.parameters()])
    assert torch.allclose(found[0], -0.5 * plain[0], atol=1e-7)
    for one, other in zip(found[1:], plain[1:], strict=True):
        assert torch.allclose(one, other)


def test_domain_loss_by_hand():
    logits = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0]]])
    assert domain_loss(logits, torch.tensor([0])).item() == pytest.approx(math.log(4 / 3) + math.log(2))


def test_a_step_pulls_both_ways():
    """Of the same loss: the head tells domains better after its step, and worse after that of the features."""
    torch.manual_seed(0)
    domains, head = torch.arange(60) % 3, DomainHead(1, 4, 3)
    features = (torch.randn(60, 1, 4) + torch.eye(4)[domains][:, None]).requires_grad_()
    loss = domain_loss(head(features), domains)
    loss.backward()
    with torch.no_grad():
        assert domain_loss(head(features - 5 * features.grad), domains) > loss + 1e-3
        for parameter in head.parameters():
            parameter -= 0.1 * parameter.grad
        assert domain_loss(head(features), domains) < loss - 1e-3


def test_covariance_is_that_of_numpy():
    features = torch.randn(10, 2, 4, generator=torch.Generator().manual_seed(0))
    for member in range(2):
        expected = np.cov(features[:, member].numpy(), rowvar=False)
        assert covariance(features)[member].numpy() == pytest.approx(expected, abs=1e-5)


def test_coral_by_hand():
    """Variances 2 and 0 against 0 and 0.5, covariances 0: (4 + 0.25) / (4 * 4)."""
    source = torch.tensor([[[1.0, 3.0]], [[-1.0, 3.0]]])
    target = torch.tensor([[[7.0, 0.5]], [[7.0, -0.5]]])
    assert coral(source, target).item() == pytest.approx(4.25 / 16)
    assert coral(source, source + 5).item() == pytest.approx(0, abs=1e-6)
    both = coral(torch.cat([source, source], dim=1), torch.cat([target, source], dim=1))
    assert both.item() == pytest.approx(4.25 / 16)


def test_mean_distance_by_hand():
    source, target = torch.tensor([[[1.0, 3.0]], [[-1.0, 3.0]]]), torch.tensor([[[2.0, 0.0]]])
    assert mean_distance(source, target).item() == pytest.approx((4 + 9) / 2)
