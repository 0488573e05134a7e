"""Methods of attribution: all agree where they must, and add up where they promise to."""

import numpy as np
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.interpretation import contributions
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.methods import COMPLETE, METHODS, references
from cisgrammar.model import score


class Weights(torch.nn.Module):
    """A logit that is a sum of one weight per base and position."""

    def __init__(self, bases=12):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, bases, generator=torch.Generator().manual_seed(0)))

    def forward(self, sequences, mask=None):
        return (sequences[:, :4] * self.weight).sum(dim=(1, 2)).unsqueeze(1)


def random_codes(n, bases, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, bases)).astype(np.uint8)


def busy_network():
    torch.manual_seed(0)
    network = detectors(8, 11, hidden=6, dropout=0.3, hidden_dropout=0.1, members=2)
    with torch.no_grad():
        for layer in (network.detectors.bias, network.trunk[3].weight, network.head.weight):
            layer.normal_()
    return network.eval()


def explain(network, codes, method, reference="shuffled", n=4, largest_delta=1e-3, **more):
    return contributions(network, codes, n, 0, largest_delta, method=method, reference=reference, **more)


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_network_by_hand(method):
    """With the uniform reference, a base contributes its weight less the mean weight of its position."""
    network, codes = Weights(), random_codes(3, 12)
    values, deltas = explain(network, codes, method, "uniform")
    centred = (network.weight - network.weight.mean(dim=0)).detach().numpy()
    observed = one_hot(codes).numpy()
    expected = np.linalg.norm(centred, axis=0) * observed if method == "saliency" else centred * observed
    assert values == pytest.approx(expected, abs=1e-5)
    assert (values.shape, values.dtype) == ((3, 4, 12), np.float32)
    assert np.isnan(deltas).all() != (method in COMPLETE)


@pytest.mark.parametrize("method", COMPLETE)
@pytest.mark.parametrize("reference", ["zero", "uniform", "shuffled"])
def test_contributions_add_up(method, reference):
    network, codes = busy_network(), random_codes(4, 40)
    values, deltas = explain(network, codes, method, reference, largest_delta=np.inf, batch_size=3)
    assert deltas.max() < (1e-4 if method == "deeplift_shap" else 0.3)  # kinks of the path
    if reference == "zero":
        base = score(network, np.full((1, 40), 4, dtype=np.uint8))[0, 0]
        expected = score(network, codes)[:, 0] - base
        assert np.abs(values.sum(axis=(1, 2)) - expected) == pytest.approx(deltas, abs=1e-5)
    assert not values[one_hot(codes).numpy() == 0].any()


def test_mutagenesis_by_hand():
    network, codes = busy_network(), random_codes(1, 30)
    values, _ = explain(network, codes, "mutagenesis")
    changed = np.repeat(codes, 4, axis=0)
    changed[:, 7] = range(4)
    logits = score(network, changed)[:, 0]
    assert values[0, codes[0, 7], 7] == pytest.approx(logits[codes[0, 7]] - logits.mean(), abs=1e-5)


def test_large_deltas_stop_the_run():
    with pytest.raises(InputError, match="contributions miss up to"):
        explain(busy_network(), random_codes(4, 40), "integrated_gradients", largest_delta=1e-9)


def test_references_by_hand():
    sequences = one_hot(random_codes(2, 20))
    assert not references(sequences, "zero", 5, 0).any()
    assert (references(sequences, "uniform", 5, 0) == 0.25).all()
    shuffled = references(sequences, "shuffled", 5, 0)
    assert shuffled.shape == (2, 5, 4, 20)
    assert torch.equal(shuffled.sum(dim=-1), sequences.sum(dim=-1)[:, None].expand(-1, 5, -1))
