"""Ways to tell what single bases contribute to a logit, and the references that some of them compare a window with.

Every method gets a model (a function of one-hot bases and of further rows, see `interpretation.OfBases`), sequences (windows,
4, bases), more (windows, rows, bases) and references (windows, n, 4, bases), and returns a tensor (windows, 4, bases) that is
0 but at the observed bases.
"""

import numpy as np
import torch
from tangermeme.deep_lift_shap import deep_lift_shap
from tangermeme.ersatz import dinucleotide_shuffle
from tangermeme.saliency import saliency
from tangermeme.saturation_mutagenesis import saturation_mutagenesis

from cisgrammar.attribution import RULES

NODES = 32  # of the path of integrated gradients
COMPLETE = (
    "deeplift_shap",
    "integrated_gradients",
)  # their contributions add up to logit less mean logit of references


def references(sequences, kind, n, seed):
    """What windows are compared with, float tensor (windows, n or 1, 4, bases).

    sequences: one-hot float tensor (windows, 4, bases); kind: `shuffled` (n dinucleotide shuffles of each window), `zero` (no
    base at all) or `uniform` (a quarter of each base)
    """
    if kind == "shuffled":
        return dinucleotide_shuffle(sequences, n=n, random_state=seed).float()
    return torch.full_like(sequences, {"zero": 0.0, "uniform": 0.25}[kind]).unsqueeze(1)


def deeplift_shap(model, sequences, more, references, hypothetical=False):
    """DeepLIFT with many references (Lundberg & Lee 2017; Shrikumar et al. 2017; through tangermeme).

    hypothetical: whether the other bases get what they would contribute in place of the observed one
    """
    n = references.shape[1]

    def pairs(sequences, n):
        """The references of all pairs of the one batch; given as a tensor, they would have to be one-hot."""
        return references.flatten(0, 1).unsqueeze(1)

    return deep_lift_shap(
        model,
        sequences,
        args=(more,),
        references=pairs,
        n_shuffles=n,
        random_state=None,
        batch_size=len(sequences) * n,
        hypothetical=hypothetical,
        additional_nonlinear_ops=RULES,
        warning_threshold=np.inf,
        device="cpu",
    ).detach()


def integrated_gradients(model, sequences, more, references):
    """Integrated gradients (Sundararajan et al. 2017, PMLR 70:3319), mean over the references.

    The integral is taken with Gauss-Legendre nodes; one node of all references at a time is in memory.
    """
    n = references.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    difference = sequences.unsqueeze(1) - references
    repeated, total = more.repeat_interleave(n, dim=0), torch.zeros_like(references)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (references + float(node) * difference).flatten(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(model(point, repeated)[:, 0].sum(), point)
        total += float(weight) * gradient.view_as(total)
    return (total * difference).sum(dim=2, keepdim=True).mean(dim=1) * sequences


def input_x_gradient(model, sequences, more, references):
    """Gradient at the observed bases, less its mean over the four bases (Majdandzic et al. 2023, Genome Biology 24:109)."""
    return saliency(model, sequences, args=(more,), batch_size=len(sequences), device="cpu").detach()


def gradient_size(model, sequences, more, references):
    """Saliency: length of the corrected gradient at each position, without a sign (after Simonyan et al. 2013, who take the
    largest value)."""
    kept = {"hypothetical": True, "batch_size": len(sequences), "device": "cpu"}
    return saliency(model, sequences, args=(more,), **kept).detach().norm(dim=1, keepdim=True) * sequences


def mutagenesis(model, sequences, more, references):
    """Logit of the observed base less the mean of the four bases at its place, each tried (saturation mutagenesis)."""
    kept = {"batch_size": 256, "device": "cpu", "target": 0}
    return saturation_mutagenesis(model, sequences, args=(more,), **kept).float().detach()


METHODS = {
    "deeplift_shap": deeplift_shap,
    "integrated_gradients": integrated_gradients,
    "input_x_gradient": input_x_gradient,
    "saliency": gradient_size,
    "mutagenesis": mutagenesis,
}
