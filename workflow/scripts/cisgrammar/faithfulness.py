"""Gates: whether contributions tell what the network does, what it learned, and where the known sites are."""

import copy

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score
from tangermeme.ersatz import dinucleotide_shuffle

from cisgrammar.layers import one_hot
from cisgrammar.model import score

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of the bases of a window that are deleted


def deletion_curve(network, codes, values, rng, repeats=3, shares=SHARES, channels=None, encoding=None):
    """How much logits fall when the bases with the largest contributions are replaced, against as many bases at random.

    codes: uint8 (windows, bases), all known; values: float (windows, 4, bases), contributions; repeats: of both
    Bases are replaced by those of a dinucleotide shuffle of the window at their places (after the deletion tests of Petsiuk
    et al. 2018, BMVC, who blank pixels); the largest are those by absolute value.
    Returns (curve, share): a data frame n_bases, top, random (mean fall of the logit), and the share of
    windows whose fall, averaged over the curve, is larger for the top bases than for random ones.
    """
    n, bases = codes.shape
    size = np.abs(values.sum(axis=1))
    shuffled = dinucleotide_shuffle(one_hot(codes), n=repeats, random_state=int(rng.integers(2**31 - 1)))
    shuffled = shuffled.argmax(dim=2).numpy().astype(np.uint8)
    start = score(network, codes, channels, encoding)[:, 0]
    numbers = sorted({max(1, round(share * bases)) for share in shares})
    falls = np.zeros((2, len(numbers), n))
    for repeat in range(repeats):
        for kind, order in enumerate(
            (rankdata(-size, method="ordinal", axis=1), rng.random((n, bases)).argsort().argsort() + 1)
        ):
            for i, number in enumerate(numbers):
                deleted = np.where(order <= number, shuffled[:, repeat], codes)
                falls[kind, i] += (start - score(network, deleted, channels, encoding)[:, 0]) / repeats
    curve = pd.DataFrame({"n_bases": numbers, "top": falls[0].mean(axis=1), "random": falls[1].mean(axis=1)})
    return curve, float(np.mean(falls[0].mean(axis=0) > falls[1].mean(axis=0)))


def randomise_layers(network, seed):
    """Copies of a network with ever more layers randomised, from the output to the input (Adebayo et al. 2018, NeurIPS).

    The numbers of each parameter are put into another order, so that their sizes stay.
    Yields (name of the layer that was randomised last, network).
    """
    network, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    for name, layer in reversed(list(network.named_modules())):
        own = list(layer.parameters(recurse=False))
        if not own:
            continue
        with torch.no_grad():
            for parameter in own:
                order = torch.randperm(parameter.numel(), generator=generator)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
        yield name, network


def randomisation(network, explain, seed):
    """How alike maps stay when layers are randomised, one after the other from the output on.

    explain: function of a network that returns contributions, float array (windows, 4, bases)
    Returns a data frame layer (name; `none` first), correlation: mean over windows of Spearman's correlation of the absolute
    contributions with those of the network itself; 0 where a map is constant.
    """
    first = np.abs(explain(network).sum(axis=1))
    rows = [("none", 1.0)]
    for name, changed in randomise_layers(network, seed):
        found = np.abs(explain(changed).sum(axis=1))
        flat = (np.ptp(found, axis=1) == 0) | (np.ptp(first, axis=1) == 0)
        alike = [0.0 if out else spearmanr(a, b).statistic for a, b, out in zip(first, found, flat, strict=True)]
        rows.append((name, float(np.mean(alike))))
    return pd.DataFrame(rows, columns=["layer", "correlation"])


def planted_bases(windows, truth, widths):
    """Which bases of windows belong to bound sites, those of the partner too: bool array (windows, bases).

    windows: dict chrom, start, end, all of one width; truth: data frame of the simulation's truth.tsv, for one experiment;
    widths: dict of JASPAR id to columns
    """
    start, end = np.asarray(windows["start"]), np.asarray(windows["end"])
    found = np.zeros((len(start), int(end[0] - start[0]) if len(start) else 0), dtype=bool)
    chroms = np.asarray(windows["chrom"]).astype(str)
    for site in truth.itertuples():
        spans = [(site.start, site.end)]
        if isinstance(site.partner_id, str) and site.partner_id:
            gap, width = int(site.spacing), widths[site.partner_id]
            spans.append(
                (site.end + gap, site.end + gap + width)
                if site.strand == "+"
                else (site.start - gap - width, site.start - gap)
            )
        for row in np.flatnonzero((chroms == site.chrom) & (start < site.end) & (end > site.start)):
            for first, last in spans:
                found[row, max(0, first - start[row]) : max(0, last - start[row])] = True
    return found


def site_auroc(values, sites):
    """How well absolute contributions tell bases of known sites from the others: AUROC within each window, their mean.

    values: float (windows, 4, bases); sites: bool (windows, bases). Windows without a site are left out; nan without any.
    """
    size = np.abs(values.sum(axis=1))
    rows = np.flatnonzero(sites.any(axis=1) & ~sites.all(axis=1))
    return float(np.mean([roc_auc_score(sites[row], size[row]) for row in rows])) if len(rows) else np.nan


def judge(found, limits):
    """Table of the gates: gate, value, limit, passed (1 or 0, nan where there is no value).

    found: dict deletion (share), randomisation (correlation after the last layer), sites (AUROC, nan where nothing is known);
    limits: dict of the same; a correlation must stay below its limit, the others must reach theirs
    """
    rows = []
    for gate, value in found.items():
        passed = value < limits[gate] if gate == "randomisation" else value >= limits[gate]
        rows.append((gate, value, limits[gate], np.nan if np.isnan(value) else int(passed)))
    return pd.DataFrame(rows, columns=["gate", "value", "limit", "passed"])
