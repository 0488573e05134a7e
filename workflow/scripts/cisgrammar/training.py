"""Training data: what is read, drawn and described; the steps are taken by `engine`."""

import logging
import math

import numpy as np
import torch
from lightning_fabric import Fabric

from cisgrammar.architectures import build_network, settings_of
from cisgrammar.initialisation import start_from_motifs
from cisgrammar.layers import encode, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.model import choose_device, use_threads
from cisgrammar.networks import check_receptive_field, describe_network
from cisgrammar.sequences import hide_padding, inside, read_sequences
from cisgrammar.splits import SPLITS

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}
SHARED = ("members", "filters", "filter_bp", "hidden", "dropout", "hidden_dropout")
TOLERATED_STRANDS = 1e-5


def set_up(device, threads, seed, precision="32"):
    """Fix seeds, threads and deterministic algorithms of this process; returns a Fabric on the wanted device.

    precision: `32`, or `bf16` for products of half the precision with weights of the full one (on a GPU or a CPU that has
    instructions for it)
    """
    use_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of the time; nothing reads such memory
    try:
        return Fabric(accelerator=choose_device(device), devices=1, precision=PRECISIONS[precision])
    except RuntimeError as error:
        raise InputError(str(error)) from error


def draw_epoch(labels, tasks, negatives_per_positive, rng):
    """Rows of one epoch in random order: all positives, and of each task as many negatives per positive as wanted.

    labels, tasks: int arrays (windows,). Returns an int array of row numbers.
    """
    rows = [np.flatnonzero(labels == 1)]
    for own in rows_by_task(tasks):
        negatives = own[labels[own] == 0]
        n = min(len(negatives), math.ceil(negatives_per_positive * np.sum(labels[own])))
        rows.append(rng.choice(negatives, n, replace=False))
    return rng.permutation(np.concatenate(rows))


def rows_by_task(tasks):
    """The rows of each task that has any, a list of int arrays; time grows with rows and tasks, not with their product."""
    order = np.argsort(tasks, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tasks[order])) + 1)


def draw_windows(data, rows, rng):
    """Windows, each shifted by a random number of bases within its flanks.

    data: dict of `read_sequences` with flanks; `channels` and `length` may be absent; with `window` a row is a label, and
    its window is another (`join_tasks`)
    Returns (codes (len(rows), window_bp), channels (len(rows), channels, window_bp) or None).
    """
    width, flank = data["window_bp"], data["flank_bp"]
    shifts = rng.integers(0, 2 * flank + 1, len(rows))
    rows = data["window"][rows] if "window" in data else rows
    codes = np.lib.stride_tricks.sliding_window_view(data["codes"], width, axis=1)[rows, shifts]
    channels = data.get("channels")
    if channels is not None:
        channels = np.lib.stride_tricks.sliding_window_view(channels, width, axis=2)[rows, :, shifts]
    if "length" in data:
        hide_padding(codes, channels, inside(data["length"][rows], width))
    return codes, channels


def count_drawn(labels, tasks, negatives_per_positive):
    """Counts of each task: positives, negatives, and negatives drawn in an epoch; int arrays (tasks,)."""
    n_tasks = tasks.max() + 1
    positives, negatives = (np.bincount(tasks[labels == label], minlength=n_tasks) for label in (1, 0))
    return positives, negatives, np.minimum(negatives, np.ceil(negatives_per_positive * positives).astype(int))


def log_prior_shift(labels, tasks, negatives_per_positive):
    """What is added to the logits in training, per task, because only some of the negatives are drawn.

    With it the network's own logits hold for all windows: ln(negatives there / negatives drawn), float32 (tasks,).
    """
    _, negatives, drawn = count_drawn(labels, tasks, negatives_per_positive)
    return torch.tensor(np.log(np.maximum(1, negatives / np.maximum(1, drawn))), dtype=torch.float32)


def positive_weights(labels, tasks, negatives_per_positive):
    """Weight of positives that makes both classes of an epoch count alike: negatives drawn / positives, float32 (tasks,)."""
    positives, _, drawn = count_drawn(labels, tasks, negatives_per_positive)
    return torch.tensor(drawn / np.maximum(1, positives), dtype=torch.float32)


def describe(built, field_bp, data, splits, **more):
    """What model.json tells: how to build the network again, what it was trained on, and how its input was made.

    built: what `build_network` was told; field_bp: its receptive field, see `networks.receptive_field`
    `channels` are dicts name, mean, sd, the normalisation of each; of several tasks, mean and sd are lists with a number
    per task. `encoding` is what `layers.encode` is to be told.
    """
    chromosomes = {split: sorted(splits.loc[splits["split"] == split, "chrom"]) for split in SPLITS}
    return {
        "network": built,
        "window_bp": data["window_bp"],
        "receptive_field_bp": min(field_bp, data["window_bp"]),
        "chromosomes": chromosomes,
        "channels": data.get("normalisation", []),
        "encoding": data.get("encoding", {}),
        "genome": data.get("genome", ""),
        **more,
    }


def read_task(path, split, flank=False, task=0):
    """Windows of one experiment and split as `read_sequences` gives them, all of them for the head `task`."""
    data = read_sequences(path, split, flank)
    return {**data, "task": np.full(len(data["label"]), task)}


def read_folds(path, n_folds):
    """(train, validation) of one experiment, as many pairs as folds; the training windows come with flanks.

    With one fold these are the windows of the splits. With more, the chromosomes of both splits are dealt into folds of
    about as many peaks, and each fold in turn is the validation windows of a pair, after Kohavi 1995 (IJCAI).
    Raises InputError when there are fewer chromosomes with peaks than folds.
    """
    if n_folds == 1:
        return [(read_task(path, "train", flank=True), read_task(path, "validation"))]
    parts = [read_task(path, split, flank=True) for split in ("train", "validation")]
    chrom, label = (np.concatenate([part[name] for part in parts]) for name in ("chrom", "label"))
    names, n_peaks = np.unique(chrom[label == 1], return_counts=True)
    if len(names) < n_folds:
        raise InputError(
            f"training.folds: {n_folds} folds of {len(names)} training and validation chromosomes with peaks; lower it"
        )
    held_out, sizes = {}, np.zeros(n_folds)
    for i in np.argsort(-n_peaks, kind="stable"):
        held_out[names[i]] = int(sizes.argmin())
        sizes[sizes.argmin()] += n_peaks[i]
    fold = np.array([held_out.get(name, -1) for name in chrom])
    whole = take_windows(parts, slice(None))
    pairs = [(take_windows([whole], fold != i), take_windows([whole], fold == i)) for i in range(n_folds)]
    return [(train, cut_flanks(validation)) for train, validation in pairs]


def take_windows(parts, rows):
    """Windows of one or several dicts of `read_sequences` in one; rows: slice or bool array over all of them."""
    first, n = parts[0], len(parts[0]["label"])
    arrays = [name for name, value in first.items() if isinstance(value, np.ndarray) and len(value) == n]
    return {**first, **{name: np.concatenate([part[name] for part in parts])[rows] for name in arrays}}


def cut_flanks(data):
    """Windows without their flanks."""
    inner = slice(data["flank_bp"], data["flank_bp"] + data["window_bp"])
    channels = None if data["channels"] is None else data["channels"][..., inner].copy()
    codes, mask = data["codes"][:, inner].copy(), inside(data["length"], data["window_bp"])
    hide_padding(codes, channels, mask)
    return {**data, "codes": codes, "channels": channels, "mask": mask}


def join_tasks(paths, split, flank=False):
    """Windows of several experiments in one store; the head of each is its place in `paths`.

    A row is a label: `label`, `weight`, `task` and `window`, the place of its window in `codes`, `channels` and `length`. A
    window that several experiments have is in there once, where windows have no channels, which differ between experiments.
    `genomes` are the checksums of the experiments' genomes, `genome` is the first of them.
    Raises InputError when their windows differ in width, or their channels in name.
    """
    parts = [read_task(path, split, flank, task) for task, path in enumerate(paths)]
    if len({(part["window_bp"], part["flank_bp"]) for part in parts}) > 1:
        raise InputError(f"windows differ in width among {', '.join(map(str, paths))}; rerun the target `sequences`")
    names = {(*(channel["name"] for channel in part["normalisation"]), *part["encoding"].values()) for part in parts}
    if len(names) > 1:
        raise InputError(f"channels differ among {', '.join(map(str, paths))}; rerun the target `sequences`")
    labels = {name: np.concatenate([part[name] for part in parts]) for name in ("label", "weight", "task")}
    arrays = ["codes", "length", *(["channels"] if parts[0]["channels"] is not None else [])]
    stored = {name: np.concatenate([part[name] for part in parts]) for name in arrays}
    window = np.arange(len(labels["label"]))
    if "channels" not in stored:
        # Padding is a code of its own, so that equal codes are equal windows.
        keys = np.ascontiguousarray(stored["codes"]).view(f"V{stored['codes'].shape[1]}").ravel()
        _, first, window = np.unique(keys, return_index=True, return_inverse=True)
        stored = {name: values[first] for name, values in stored.items()}
    normalisation = [
        {"name": same[0]["name"], **{key: [channel[key] for channel in same] for key in ("mean", "sd")}}
        for same in zip(*(part["normalisation"] for part in parts), strict=True)
    ]
    alike = {name: parts[0][name] for name in ("window_bp", "flank_bp", "encoding", "genome")}
    alike["genomes"] = [part["genome"] for part in parts]
    return {**labels, **stored, **alike, "window": window, "normalisation": normalisation}


def count_channels(data):
    """Rows of a network's input for windows as `read_sequences` gives them: four bases, channels, position."""
    return 4 + len(data["normalisation"]) + data["encoding"]["position_channel"]


def network_settings(settings, data, tasks=1):
    """What `build_network` is to be told: the architecture and the settings of the section `training` that it takes."""
    taken = settings_of(settings["architecture"])
    shared = {name: settings[name] for name in SHARED if name in taken}
    return {
        "architecture": settings["architecture"],
        **shared,
        **settings["network"],
        "tasks": tasks,
        "channels": count_channels(data),
    }


def start_network(built, settings, window_bp, motifs=None):
    """A new network; its layers are logged, and its filters start from known motifs where the settings ask for it.

    motifs: dict id to (name, matrix (4, width)), of which `start_from` names some
    Raises InputError when the network does not see as far as `pair_bp`, or a motif is not there.
    """
    network = build_network(**built)
    logging.info("layers of the network\n%s", describe_network(network, window_bp).to_string(index=False))
    if settings["pair_bp"]:
        check_receptive_field(network, settings["pair_bp"])
    unknown = [name for name in settings["start_from"] if name not in motifs]
    if unknown:
        raise InputError(f"training.start_from: {', '.join(unknown)} not among the matrices of references.jaspar")
    if settings["start_from"]:
        sites = 100  # matrices come as shares; as many sites as in a usual matrix decide what a pseudocount is worth
        matrices = [sites * motifs[name][1] for name in settings["start_from"]]
        start_from_motifs(network.detectors, matrices, settings["start_rate"])
    return network


def check_strands(network, data, most=256):
    """Stop where a network scores a window and its reverse complement differently, by 1e-5 of the logit or more.

    data: dict of `read_sequences`, of which the first `most` windows are looked at. Raises InputError with the difference.
    """
    channels = data.get("channels")
    channels = None if channels is None else channels[:most]
    device = next(network.parameters()).device
    sequences = encode(data["codes"][:most], channels, device, **data.get("encoding", {}))
    with torch.inference_mode():
        given, turned = network.eval()(sequences), network(reverse_complement(sequences))
    gap = float(((given - turned).abs() / given.abs().clamp(min=1)).max())
    logging.info("largest difference between strands: %.2g of the logit", gap)
    if not gap <= TOLERATED_STRANDS:
        raise InputError(
            f"the network scores the two strands of a window differently, by {gap:.2g} of the logit (at most "
            f"{TOLERATED_STRANDS:g}); this is a fault of the architecture, or of training.precision"
        )
