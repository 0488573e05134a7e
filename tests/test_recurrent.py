"""The recurrent block against torch's."""

import torch
from cisgrammar.recurrent import MemberLSTM


def copy_of(layer, member, inputs, units):
    """torch's LSTM with the weights of a member."""
    expected = torch.nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for direction, end in enumerate(("", "_reverse")):
            getattr(expected, f"weight_ih_l0{end}").copy_(layer.inward[member, direction])
            getattr(expected, f"weight_hh_l0{end}").copy_(layer.recurrent[member, direction])
            getattr(expected, f"bias_ih_l0{end}").copy_(layer.bias[member, direction])
            getattr(expected, f"bias_hh_l0{end}").zero_()
    return expected


def test_it_is_an_lstm_for_each_member():
    torch.manual_seed(0)
    layer, values = MemberLSTM(3, 5, 4), torch.randn(2, 15, 7)
    found = layer(values, torch.ones(2, 1, 7))
    assert found.shape == (2, 3 * 8, 7)
    for member, part in enumerate(values.unflatten(1, (3, 5)).unbind(dim=1)):
        expected, _ = copy_of(layer, member, 5, 4)(part.transpose(1, 2))
        assert torch.allclose(found.unflatten(1, (3, 8))[:, member], expected.transpose(1, 2), atol=1e-6)


def test_padding_has_no_part():
    torch.manual_seed(0)
    layer, values, mask = MemberLSTM(2, 3, 4), torch.randn(2, 6, 7), torch.ones(2, 1, 7)
    expected = layer(values, mask)
    wide = torch.nn.functional.pad(values, (2, 5), value=9.0)
    found = layer(wide, torch.nn.functional.pad(mask, (2, 5)))
    assert torch.allclose(found[..., 2:9], expected, atol=1e-6)


def test_start_is_that_of_torch():
    layer = MemberLSTM(2, 30, 25)
    assert 0.19 < layer.inward.abs().max() <= 0.2
    assert not torch.equal(layer.recurrent[0], layer.recurrent[1])
