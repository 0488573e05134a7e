"""One-hot coding, the other strand and the pooling, on sequences short enough to write out."""

import numpy as np
import pytest
import torch
from cisgrammar.layers import GlobalMaxPool, one_hot, reverse_complement


def codes_of(sequence):
    return np.array(["ACGTN".index(base) for base in sequence], dtype=np.uint8)


def test_one_hot_by_hand():
    expected = [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ]
    found = one_hot(codes_of("ACGTN"))
    assert found.dtype == torch.float32
    assert found.tolist() == expected


def test_one_hot_keeps_leading_axes():
    codes = np.array([codes_of("ACGT"), codes_of("NNNN")])
    assert one_hot(codes).shape == (2, 4, 4)
    assert one_hot(codes)[0].tolist() == np.eye(4).tolist()
    assert not one_hot(codes)[1].any()
    assert one_hot(torch.as_tensor(codes)[None]).shape == (1, 2, 4, 4)
    assert one_hot(codes[:0]).shape == (0, 4, 4)


@pytest.mark.parametrize(
    ("sequence", "other"), [("AACGT", "ACGTT"), ("GATTACA", "TGTAATC"), ("NAC", "GTN"), ("A", "T"), ("NNN", "NNN")]
)
def test_reverse_complement_by_hand(sequence, other):
    turned = reverse_complement(one_hot(codes_of(sequence)[None]))
    assert torch.equal(turned, one_hot(codes_of(other)[None]))
    assert torch.equal(reverse_complement(turned), one_hot(codes_of(sequence)[None]))


def test_global_max_pool_by_hand():
    pooled = GlobalMaxPool()(torch.tensor([[[1.0, 7.0, -2.0], [-3.0, -1.0, -5.0]]]))
    assert pooled.flatten(1).tolist() == [[7.0, -1.0]]


def test_global_max_pool_takes_any_length_in_turn():
    pool = GlobalMaxPool()
    for bases in (1, 2, 19, 500, 3):
        values = torch.randn(2, 3, bases, generator=torch.Generator().manual_seed(bases))
        assert torch.equal(pool(values).flatten(1), values.amax(dim=-1))


def test_global_max_pool_has_nothing_to_save():
    pool = GlobalMaxPool()
    pool(torch.zeros(1, 1, 9))
    assert not pool.state_dict()
