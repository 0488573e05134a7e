"""Rules with which DeepLIFT (through tangermeme) passes the blocks that it does not know."""

import torch
from tangermeme.deep_lift_shap import _nonlinear, integrated_gradients_op

from cisgrammar.blocks import Exponential, KmerProduct, Product
from cisgrammar.pooling import LogSumExp


def log_sum_exp(module, grad_input, grad_output):
    """Rescale rule for y = ln(s), s = sum of exp(x): the slopes of the logarithm and of each exp, between the two inputs.

    The chain rule of multipliers (Shrikumar et al. 2017, ICML, eq. 3) over the two steps; contributions add up exactly.
    """
    x, reference = module.input.chunk(2)
    largest = torch.maximum(x, reference).amax(dim=-1, keepdim=True)
    a, a_reference = (x - largest).exp(), (reference - largest).exp()
    s, s_reference = a.sum(dim=-1, keepdim=True), a_reference.sum(dim=-1, keepdim=True)
    dx, ds = x - reference, s - s_reference
    inner = torch.where(dx.abs() > 1e-6, (a - a_reference) / dx, a)
    outer = torch.where(ds.abs() > 1e-6 * s, (s.log() - s_reference.log()) / ds, 1 / s)
    return (torch.cat([gradient.unsqueeze(-1) * inner * outer for gradient in grad_output[0].chunk(2)]),)


# Integrated gradients with n nodes are exact for polynomials of a degree up to 2n: products of two, k-mers up to 16.
RULES = {
    Exponential: _nonlinear,
    Product: integrated_gradients_op(1),
    KmerProduct: integrated_gradients_op(8),
    LogSumExp: log_sum_exp,
}
