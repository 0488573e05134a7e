"""Masks, encodings, convolutions, tied strands, normalisation, downsampling: each against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from cisgrammar.blocks import (
    CentredConv,
    Chain,
    Exponential,
    FoldStrands,
    KmerProduct,
    Kmers,
    MemberConv,
    MemberNorm,
    Product,
    PWMConv,
    Residual,
    TiedCentredConv,
    TiedConv,
    TiedPWMConv,
    known_span,
    shift_left,
)
from cisgrammar.layers import one_hot, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.pooling import AverageDown, MaxDown
from torch import nn


def encoded(*sequences):
    return one_hot(np.array([["ACGTN".index(base) for base in sequence] for sequence in sequences], dtype=np.uint8))


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ones(values):
    return torch.ones(len(values), 1, values.shape[-1])


def half_masked():
    """Values (2, 6, 9) and a mask (2, 1, 9) of 9 and 5 positions."""
    mask = torch.ones(2, 1, 9)
    mask[1, :, 5:] = 0
    return random(2, 6, 9), mask


def test_known_span_by_hand():
    assert known_span(encoded("NACNGN", "ACGTAC", "NNNNNN", "NNNNNT", "GNNNNN")).tolist() == [
        [0, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 0],
    ]


def test_known_span_looks_at_bases_alone():
    """Whether they are centred (three quarters and minus a quarter) or not."""
    for bases in (encoded("NACN"), encoded("NACN") - torch.tensor([0, 0.25, 0.25, 0])):
        assert known_span(torch.cat([bases, torch.ones(1, 2, 4)], dim=1)).tolist() == [[0, 1, 1, 0]]


def test_shift_left_by_hand():
    values, mask = (
        torch.tensor([[[0, 0, 5, 6, 0]], [[1, 2, 3, 4, 5]]]),
        torch.tensor([[0, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    )
    shifted = shift_left(values, mask)
    assert shifted.tolist() == [[[5, 6, 0, 0, 0]], [[1, 2, 3, 4, 5]]]
    assert torch.equal(shift_left(shifted, mask, back=True), values)


def test_chain_by_hand():
    """3 positions, halved, then 3 of those: 3 + 1 + 2 * 2 = 8 bases; the plain module has no say in it."""
    chain = Chain(MemberConv(1, 2, 2, 3), nn.ReLU(), MaxDown(2), Residual(MemberConv(1, 2, 2, 3), nn.ReLU()))
    assert (chain.span, chain.stride) == (8, 2)
    values, mask = chain.run(random(1, 2, 7), torch.tensor([[[1.0, 1, 1, 0, 0, 0, 0]]]))
    assert values.shape == (1, 2, 4)
    assert mask.tolist() == [[[1, 1, 0, 0]]]
    assert torch.equal(mask, chain.shrink(torch.tensor([[[1.0, 1, 1, 0, 0, 0, 0]]])))


def test_the_span_of_a_chain_is_what_its_output_depends_on():
    torch.manual_seed(0)
    chain = Chain(MemberConv(1, 1, 1, 4), MaxDown(3), Residual(MemberConv(1, 1, 1, 3, dilation=2)), AverageDown(2))
    values = random(1, 1, 120).requires_grad_()
    chain(values, ones(values))[0, 0, 10].backward()
    touched = values.grad[0, 0].nonzero()
    # The maximum passes the gradient of one position in three.
    assert chain.span - 4 <= touched.max() - touched.min() + 1 <= chain.span == 4 + 2 + 12 + 3


def test_residual_adds():
    block = Residual(MemberConv(1, 2, 2, 1))
    with torch.no_grad():
        block[0].free.copy_(3 * torch.eye(2)[None, :, :, None])
        block[0].bias.zero_()
    values = random(1, 2, 5)
    assert torch.allclose(block(values, ones(values)), 4 * values)


def test_exponential_by_hand():
    found = Exponential()(torch.tensor([-1.0, 0.0, 2.0, 10.0, 12.0]))
    expected = [math.exp(-1), 1, math.exp(2), math.exp(10), 3 * math.exp(10)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_product_by_hand():
    assert Product()(torch.tensor([[2.0, 3.0], [-1.0, 4.0]])).tolist() == [6, -4]


def test_kmers_by_hand():
    """AC, CG, GN, then N beyond the end; AA AC AG AT CA CC CG CT ... are 0 1 2 3 4 5 6 7 ..."""
    kmers = KmerProduct(2)(encoded("ACGN"))
    assert kmers.shape == (1, 16, 4)
    assert kmers.nonzero()[:, 1:].tolist() == [[1, 0], [6, 1]]
    assert kmers.max() == 1
    assert KmerProduct(3)(encoded("TGA"))[0, :, 0].nonzero().tolist() == [[3 * 16 + 2 * 4]]
    assert torch.equal(KmerProduct(1)(encoded("ACGN")), encoded("ACGN"))
    assert not KmerProduct(3)(encoded("TG")).any()


def test_kmers_of_uniform_unknown_bases():
    """AN could be AA, AC, AG or AT; NN any of the 16."""
    bases = encoded("ANNC")
    bases[:, :, 1:3] = 0.25
    found = KmerProduct(2)(bases)[0].T
    assert found[0].tolist() == [0.25] * 4 + [0] * 12
    assert found[1].tolist() == [1 / 16] * 16
    assert found[2].tolist() == [0, 0.25, 0, 0] * 4


def test_kmers_keep_further_channels():
    more = torch.cat([encoded("ACC"), torch.tensor([[[5.0, 6, 7]]])], dim=1)
    found = Kmers(2)(more, torch.tensor([[[1.0, 1, 0]]]))
    assert found.shape == (1, 17, 3)
    assert found[0, 16].tolist() == [5, 6, 0]
    assert found[0, :16].nonzero().tolist() == [[1, 0]]


@pytest.mark.parametrize(("width", "dilation"), [(1, 1), (3, 1), (7, 1), (3, 4)])
def test_member_conv_is_a_convolution_for_each_member(width, dilation):
    torch.manual_seed(0)
    layer, values = MemberConv(3, 2, 5, width, dilation), random(4, 6, 20)
    found = layer(values, ones(values)).unflatten(1, (3, 5))
    for member, part in enumerate(values.unflatten(1, (3, 2)).unbind(dim=1)):
        expected = torch.nn.functional.conv1d(
            part, layer.weight[member], layer.bias[member], padding="same", dilation=dilation
        )
        assert torch.allclose(found[:, member], expected, atol=1e-5)
    shared = MemberConv(3, 6, 5, width, dilation, shared=True)
    found = shared(values, ones(values)).unflatten(1, (3, 5))
    expected = torch.nn.functional.conv1d(values, shared.weight[1], shared.bias[1], padding="same", dilation=dilation)
    assert torch.allclose(found[:, 1], expected, atol=1e-5)


def test_member_conv_by_hand():
    layer = MemberConv(1, 1, 1, 3, stride=2)
    with torch.no_grad():
        layer.free.copy_(torch.tensor([[[[1.0, 10, 100]]]]))
        layer.bias.fill_(0.5)
    found = layer(torch.tensor([[[1.0, 2, 3, 4, 5]]]), torch.tensor([[[1.0, 1, 1, 1, 0]]]))
    # centred on 1, 3 and 5, the last of which is padding: 010 + 2 * 100, 2 + 30 + 400, 4 + 0 + 0
    assert found.tolist() == [[[210.5, 432.5, 4.5]]]
    assert layer.span == 3


def test_centred_by_hand():
    """Of four letters and a channel, of two letters and three channels."""
    for letters, expected in ((4, [3, -1, 0, -2, 9]), (2, [2, -2, 2, 0, 9])):
        layer = CentredConv(1, 5, 1, 1, letters=letters, shared=True)
        with torch.no_grad():
            layer.free[0, 0, :, 0] = torch.tensor([5.0, 1, 2, 0, 9])
        assert layer.weight.flatten().tolist() == expected


def test_pwm_by_hand():
    """p = 1/2, 1/4, 1/8, 1/8 against a uniform background: ln 2, 0, -ln 2, -ln 2; against itself, zero."""
    p, free = (0.5, 0.25, 0.125, 0.125), torch.tensor([[0.5], [0.25], [0.125], [0.125]]).log()
    for background, expected in (((0.25,) * 4, [math.log(2), 0, -math.log(2), -math.log(2)]), (p, [0, 0, 0, 0])):
        layer = PWMConv(1, 5, 1, 1, background=background, shared=True)
        with torch.no_grad():
            layer.free[0, 0, :4] = free + 7
            layer.free[0, 0, 4] = 3
        assert layer.weight[0, 0, :, 0].tolist() == pytest.approx([*expected, 3], abs=1e-5)


def test_pwm_stays_one_after_a_step():
    torch.manual_seed(0)
    layer, values = PWMConv(2, 4, 3, 5, shared=True), encoded("GATTACA")
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5)
    before = layer.weight.detach().clone()
    layer(values, ones(values)).square().sum().backward()
    optimizer.step()
    assert (layer.weight - before).abs().max() > 0.1
    assert torch.allclose((layer.weight.exp() / 4).sum(dim=2), torch.ones(2, 3, 5), atol=1e-5)
    assert "log_background" not in layer.state_dict()


@pytest.mark.parametrize("kind", [TiedConv, TiedCentredConv, TiedPWMConv])
@pytest.mark.parametrize("members", [1, 3])
def test_tied_layers_commute_with_turning(kind, members):
    torch.manual_seed(0)
    first = kind(members, 4, 5, 7, shared=True)
    second, fold = TiedConv(members, 5, 2, 3, dilation=2), FoldStrands(members)
    sequences = encoded("GATTACANNCCGT", "NNACGTTTTTACG")

    def turn(values):
        """The order of channels of each member and of positions, turned round."""
        return values.unflatten(1, (members, -1)).flip(2, 3).flatten(1, 2)

    layers = []
    for given in (sequences, reverse_complement(sequences)):
        one = first(given, ones(given))
        two = second(one.relu(), ones(given))
        layers.append((one, two, fold(two)))
    for found, turned in zip(layers[0][:2], layers[1][:2], strict=True):
        assert found.std() > 0.1
        assert torch.allclose(found, turn(turned), atol=1e-5)
    assert layers[0][2].shape == (2, 2 * members, 13)
    assert torch.allclose(layers[0][2], layers[1][2].flip(-1), atol=1e-5)


def test_tied_conv_by_hand():
    """A filter for C in the middle of ACA: the partner channel finds G, in the middle of TGT on the other strand."""
    layer = TiedConv(1, 4, 1, 3, shared=True)
    with torch.no_grad():
        layer.free.copy_(encoded("ACA")[None])
        layer.bias.fill_(-2)
    found = layer(encoded("ACATGT"), torch.ones(1, 1, 6))
    assert found[0, :, [1, 4]].T.tolist() == [[1, -2], [-2, 1]]
    assert FoldStrands(1)(found)[0, 0, [1, 4]].tolist() == [1, 1]


def test_tied_layers_refuse_even_widths():
    with pytest.raises(InputError, match=r"odd width .* 8 bp"):
        TiedConv(1, 4, 2, 8, shared=True)
    with pytest.raises(InputError, match="stride of 2"):
        TiedConv(1, 4, 2, 7, stride=2)


def test_norm_is_batch_normalisation():
    """Without padding that of torch, in training and after it, for each member on its own."""
    layer, expected, values = MemberNorm(2, 3), nn.BatchNorm1d(6), random(5, 6, 8) * 3 + 1
    with torch.no_grad():
        layer.weight.copy_(random(2, 3, seed=1))
        layer.bias.copy_(random(2, 3, seed=2))
        expected.weight.copy_(layer.weight.flatten())
        expected.bias.copy_(layer.bias.flatten())
    for _ in range(3):
        assert torch.allclose(layer(values, ones(values)), expected(values), atol=1e-5)
    assert torch.allclose(layer.variance.flatten(), expected.running_var, atol=1e-5)
    assert torch.allclose(layer.eval()(values, ones(values)), expected.eval()(values), atol=1e-5)


def test_norm_does_not_count_padding():
    layer, (values, mask) = MemberNorm(2, 3), half_masked()
    found = layer(values, mask)
    other = MemberNorm(2, 3)(torch.where(mask > 0, values, 77.0), mask)
    assert torch.allclose(found * mask, other * mask, atol=1e-5)
    inside = found.movedim(1, -1)[mask[:, 0] > 0]
    assert inside.mean(dim=0).abs().max() < 1e-5
    assert torch.allclose(inside.var(dim=0, correction=0), torch.ones(6), atol=1e-3)
    assert MemberNorm(1, 6)(values, 0 * mask).isfinite().all()
