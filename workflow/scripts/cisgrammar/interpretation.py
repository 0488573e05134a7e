"""What single bases contribute to the prediction, and what the filters of the first layer look for."""

import logging

import h5py
import numpy as np
import torch

from cisgrammar.files import atomic
from cisgrammar.layers import encode, one_hot, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.methods import COMPLETE, METHODS, references
from cisgrammar.model import score

AT_ONCE = 20_000  # bases of windows and references that a network sees at a time


def choose_windows(network, data, most, negatives=None):
    """Rows of the best scored windows without unknown bases or padding, at most `most`, in the order of their place.

    negatives: the set that they are from, None for bound windows
    Returns (rows, logits of these rows).
    """
    wanted = data["label"] == 1 if negatives is None else data["negatives"] == negatives
    rows = np.flatnonzero(wanted & (data["codes"] < 4).all(axis=1))
    if not len(rows):
        raise InputError(
            f"no {'bound' if negatives is None else negatives} test window without unknown bases; lower "
            "peaks.unknown_share or use other chromosomes"
        )
    channels = data.get("channels")
    channels = None if channels is None else channels[rows]
    logits = score(network, data["codes"][rows], channels, data.get("encoding"))[:, 0]
    best = np.sort(np.argsort(-logits, kind="stable")[:most])
    return rows[best], logits[best]


class OfBases(torch.nn.Module):
    """A network as a function of one-hot bases (windows, 4, bases), all known, and of what its other rows hold."""

    def __init__(self, network, centred):
        super().__init__()
        self.network, self.shift = network, 0.25 * centred

    def forward(self, sequences, more):
        sequences = torch.cat([sequences - self.shift, more], dim=1)
        # A reference without any base is no padding.
        return self.network(sequences, torch.ones_like(sequences[:, 0]))


def contributions(
    network,
    codes,
    n_shuffles,
    seed,
    largest_delta,
    batch_size=None,
    channels=None,
    encoding=None,
    method="deeplift_shap",
    reference="shuffled",
    hypothetical=False,
):
    """Contributions of the observed bases to the logit.

    network: Network with one task; codes: uint8 (windows, bases) without unknown bases; n_shuffles: references of each
    window, where these are `shuffled`; channels: float (windows, channels, bases) or None; encoding: settings of
    `layers.encode`; method: of `methods.METHODS`; reference: kind of `methods.references`
    hypothetical: whether all bases at all places get a value, which `deeplift_shap` alone can give; batch_size: windows at a
    time, by default so many that with their references they have AT_ONCE bases
    Channels keep their values in the references, so what is explained is what the bases add to the channels.
    One batch of windows is in memory at a time, and the result: 16 bytes per base.
    Returns (contributions float32 (windows, 4, bases), deltas float64 (windows,)): a delta is what the contributions
    miss of the difference between the logit and the mean logit of the references; nan for methods that promise none.
    Raises InputError when a delta is larger than `largest_delta`.
    """
    batch_size = batch_size or max(1, AT_ONCE // (n_shuffles * max(1, codes.shape[1])))
    of_bases = OfBases(network, (encoding or {}).get("centred", False)).eval()
    values, deltas = np.empty((len(codes), 4, codes.shape[1]), dtype=np.float32), np.full(len(codes), np.nan)
    for i in range(0, len(codes), batch_size):
        rows = slice(i, i + batch_size)
        sequences = one_hot(codes[rows])
        more = encode(codes[rows], None if channels is None else channels[rows], **encoding or {})[:, 4:]
        compared = references(sequences, reference, n_shuffles, seed + i)
        options = {"hypothetical": True} if hypothetical else {}
        part = METHODS[method](of_bases, sequences, more, compared, **options)
        values[rows] = part.numpy()
        if method not in COMPLETE:
            continue
        with torch.inference_mode():
            repeated = more.repeat_interleave(compared.shape[1], dim=0)
            base = of_bases(compared.flatten(0, 1), repeated).view(len(sequences), -1).mean(dim=1)
            gain = of_bases(sequences, more)[:, 0] - base
        deltas[rows] = np.abs(((part * sequences).sum(dim=(1, 2)) - gain).double().numpy())
    if method in COMPLETE:
        logging.info("convergence deltas: median %.2g, largest %.2g", np.median(deltas), deltas.max())
    if (deltas > largest_delta).any():
        raise InputError(
            f"contributions miss up to {deltas.max():.3g} of the logit in {np.sum(deltas > largest_delta)} of {len(codes)} "
            f"windows (interpretation.largest_delta: {largest_delta:g}), so they cannot be trusted for this network"
        )
    return values, deltas


def write_controls(path, maps):
    """Write contributions of other networks in the same windows, one float32 dataset (windows, 4, bases) of each.

    maps: iterable of (name, contributions); one is in memory at a time
    """
    with atomic(path) as temporary, h5py.File(temporary, "w") as store:
        for name, values in maps:
            store.create_dataset(name, data=values, compression="gzip", shuffle=True)


def evidence(network, codes, channels=None, encoding=None, batch_size=256):
    """Where in each window a network with attention finds its evidence: float32 (windows, bases), 1 in sum per window."""
    found = []
    with torch.inference_mode():
        for i in range(0, len(codes), batch_size):
            rows = slice(i, i + batch_size)
            more = None if channels is None else channels[rows]
            found.append(network.evidence(encode(codes[rows], more, **encoding or {})).numpy())
    return np.concatenate(found)


def filter_matrices(network, codes, threshold=0.5, channels=None, encoding=None):
    """What each filter of the first layer looks for: base frequencies of the stretches that excite it.

    network: Network; codes: uint8 (windows, bases), bound windows; channels, encoding: as for `contributions`
    Stretches are all those on either strand whose activation exceeds `threshold` times the filter's largest one (after
    Kelley et al. 2016, Genome Research 26:990).
    Returns a list of dicts id, matrix (counts, (4, filter_bp)), n_sites; filters that nothing excites are left out.
    """
    bases, sequences = one_hot(codes), encode(codes, channels, **encoding or {})
    bases, sequences = (torch.cat([strand, reverse_complement(strand)]) for strand in (bases, sequences))
    found = []
    with torch.inference_mode():
        weight, bias = network.detectors.weight, network.detectors.bias
        stretches = bases.unfold(-1, weight.shape[-1], 1).permute(0, 2, 1, 3)
        for member, i in np.ndindex(bias.shape):
            activation = torch.relu(
                torch.nn.functional.conv1d(sequences, weight[member, i, None])[:, 0] + bias[member, i]
            )
            excited = activation > threshold * activation.max()
            if excited.any():
                counts = stretches[excited].sum(dim=0).numpy()
                name = f"member_{member + 1}_filter_{i + 1}"
                found.append({"id": name, "matrix": counts + 0.01, "n_sites": int(excited.sum())})
    return found


def write_contributions(
    path, values, deltas, codes, windows, logits, places=None, method="deeplift_shap", reference="shuffled"
):
    """Write contributions.h5: contributions float32 (windows, 4, bases), codes uint8, chrom, start, end, score, delta.

    values: contributions, also hypothetical ones, which are written as hypothetical beside those of the observed bases
    places: what `evidence` gives, written as evidence float32 (windows, bases), or None
    """
    observed = values * one_hot(codes).numpy()
    with atomic(path) as temporary, h5py.File(temporary, "w") as store:
        store.attrs.update(method=method, reference=reference, unit="logit")
        store.create_dataset("contributions", data=observed, compression="gzip", shuffle=True)
        if (values != observed).any():
            store.create_dataset("hypothetical", data=values, compression="gzip", shuffle=True)
        store.create_dataset("codes", data=codes, compression="gzip")
        if places is not None:
            store.create_dataset("evidence", data=places, compression="gzip", shuffle=True)
        store["chrom"] = windows["chrom"].astype(h5py.string_dtype())
        store["start"], store["end"] = windows["start"], windows["end"]
        store["score"], store["delta"] = logits, deltas
