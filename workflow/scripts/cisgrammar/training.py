"""Training: windows are drawn, networks are fitted, those that do best on validation windows are kept."""

import copy
import logging
import math
import time

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from sklearn.metrics import average_precision_score
from torch.nn.functional import binary_cross_entropy_with_logits

from cisgrammar.layers import encode
from cisgrammar.log import InputError
from cisgrammar.model import choose_device, score
from cisgrammar.sequences import hide_padding, inside, read_sequences
from cisgrammar.splits import SPLITS


def set_up(device, threads, seed):
    """Fix seeds, threads and deterministic algorithms of this process; returns a Fabric on the wanted device."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return Fabric(accelerator=choose_device(device), devices=1)
    except RuntimeError as error:
        raise InputError(str(error)) from error


def draw_epoch(labels, tasks, negatives_per_positive, rng):
    """Rows of one epoch in random order: all positives, and of each task as many negatives per positive as wanted.

    labels, tasks: int arrays (windows,). Returns an int array of row numbers.
    """
    rows = [np.flatnonzero(labels == 1)]
    for task in np.unique(tasks):
        negatives = np.flatnonzero((tasks == task) & (labels == 0))
        n = min(len(negatives), math.ceil(negatives_per_positive * np.sum(labels[tasks == task])))
        rows.append(rng.choice(negatives, n, replace=False))
    return rng.permutation(np.concatenate(rows))


def draw_windows(data, rows, rng):
    """Windows, each shifted by a random number of bases within its flanks.

    data: dict of `read_sequences` with flanks; `channels` and `length` may be absent
    Returns (codes (len(rows), window_bp), channels (len(rows), channels, window_bp) or None).
    """
    width, flank = data["window_bp"], data["flank_bp"]
    shifts = rng.integers(0, 2 * flank + 1, len(rows))
    codes = np.lib.stride_tricks.sliding_window_view(data["codes"], width, axis=1)[rows, shifts]
    channels = data.get("channels")
    if channels is not None:
        channels = np.lib.stride_tricks.sliding_window_view(channels, width, axis=2)[rows, :, shifts]
    if "length" in data:
        hide_padding(codes, channels, inside(data["length"][rows], width))
    return codes, channels


def log_prior_shift(labels, tasks, negatives_per_positive):
    """What is added to the logits in training, per task, because only some of the negatives are drawn.

    With it the network's own logits hold for all windows: ln(negatives there / negatives drawn), float32 (tasks,).
    """
    shifts = []
    for task in range(tasks.max() + 1):
        positives = np.sum((tasks == task) & (labels == 1))
        negatives = np.sum((tasks == task) & (labels == 0))
        shifts.append(math.log(max(1.0, negatives / max(1, math.ceil(negatives_per_positive * positives)))))
    return torch.tensor(shifts, dtype=torch.float32)


def validate(network, data, tasks):
    """(mean loss, mean AUPRC over the tasks) on validation windows."""
    logits = score(network, data["codes"], data.get("channels"), data.get("encoding"))[np.arange(len(tasks)), tasks]
    with np.errstate(invalid="ignore"):
        loss = np.mean(np.logaddexp(0, logits) - data["label"] * logits)
    if not np.isfinite(loss):
        return float(loss), np.nan
    auprc = [average_precision_score(data["label"][tasks == t], logits[tasks == t]) for t in np.unique(tasks)]
    return float(loss), float(np.mean(auprc))


def slack(auprc, n_positives):
    """How far below the best AUPRC a later one may lie and still count as no worse: half a standard error.

    The standard error is that of a share, (a (1 - a) / n)^0.5. On a few dozen peaks the best epoch is luck, and the later
    of two equal ones has seen smaller steps; on many peaks the slack vanishes. After the rule of one standard error
    (Breiman et al. 1984, Classification and Regression Trees).
    """
    return 0.5 * math.sqrt(max(0.0, auprc * (1 - auprc)) / max(1, n_positives))


def clip_members(parameters, max_norm):
    """Scale the gradients of each member down to a norm of at most `max_norm`, in place.

    parameters: with a gradient (members, ...); as torch's clip_grad_norm_ does for a member on its own
    """
    gradients = [parameter.grad for parameter in parameters]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    for gradient in gradients:
        gradient.mul_((max_norm / (norms + 1e-6)).clamp(max=1).view(-1, *[1] * (gradient.dim() - 1)))


def fit(network, train, validation, settings, fabric, rng, phase, parameters=None):
    """Fit a network and leave it with the weights that do best on the validation windows.

    network: Network, on the CPU; changed in place
    train, validation: dicts of `read_sequences`, train with flanks; an int array `task` per window names its output;
    without `channels`, `encoding` and `length` all windows are bases of one width
    settings: dict batch_size, learning_rate, weight_decay, epochs, patience, negatives_per_positive
    fabric: lightning Fabric; rng: numpy Generator; phase: word for the history
    parameters: the parameters to fit; the others stay bit for bit as they are, and dropout is off; default all
    The loss is binary cross-entropy; the optimiser AdamW with a one-cycle learning rate (Smith & Topin 2019). Kept are
    the latest weights whose validation AUPRC is within `slack` of the best so far, the starting weights being epoch 0;
    training stops after `patience` epochs in which neither AUPRC nor loss of the validation windows were better.
    Returns the history, a data frame phase, epoch, train_loss, validation_loss, validation_auprc, learning_rate, kept.
    Raises InputError when the loss is no longer a number; the network then has the weights kept so far.
    """
    fitted = list(network.parameters()) if parameters is None else list(parameters)
    chosen = {id(parameter) for parameter in fitted}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    network.zero_grad()
    labels, tasks = train["label"].astype(np.int64), train["task"]
    n_steps = math.ceil(
        len(draw_epoch(labels, tasks, settings["negatives_per_positive"], rng)) / settings["batch_size"]
    )
    shift = log_prior_shift(labels, tasks, settings["negatives_per_positive"]).to(fabric.device)
    optimizer = torch.optim.AdamW(fitted, lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
    model, optimizer = fabric.setup(network, optimizer)
    model.mark_forward_method("member_logits")
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings["learning_rate"], total_steps=settings["epochs"] * n_steps, pct_start=0.1
    )
    history, best, least, waited = [], -1.0, math.inf, 0
    kept_weights, n_positives = copy.deepcopy(network.state_dict()), validation["label"].sum()
    for epoch in range(settings["epochs"] + 1):
        began, losses = time.monotonic(), []
        if epoch:
            network.train(parameters is None)
            order = draw_epoch(labels, tasks, settings["negatives_per_positive"], rng)
            for rows in np.array_split(order, n_steps):
                sequences = encode(*draw_windows(train, rows, rng), fabric.device, **train.get("encoding", {}))
                task = torch.as_tensor(tasks[rows]).to(fabric.device)
                label = torch.as_tensor(train["label"][rows]).float().to(fabric.device)
                weight = torch.as_tensor(train["weight"][rows]).to(fabric.device)
                logits = model.member_logits(sequences)[torch.arange(len(task)), :, task] + shift[task].unsqueeze(1)
                # The sum over the members: each learns as if it were alone.
                loss = binary_cross_entropy_with_logits(
                    logits, label.unsqueeze(1).expand_as(logits), weight.unsqueeze(1).expand_as(logits), reduction="sum"
                ) / len(task)
                optimizer.zero_grad()
                fabric.backward(loss)
                clip_members(fitted, max_norm=1.0)
                optimizer.step()
                schedule.step()
                losses.append(loss.item() / logits.shape[1])
        validation_loss, auprc = validate(network, validation, validation["task"])
        if not np.isfinite([*losses, validation_loss]).all():
            network.load_state_dict(kept_weights)
            raise InputError(
                f"the loss is not a number in epoch {epoch} of phase {phase} at learning rate "
                f"{settings['learning_rate']:g}; lower training.learning_rate"
            )
        history.append(
            {
                "phase": phase,
                "epoch": epoch,
                "train_loss": float(np.mean(losses)) if losses else np.nan,
                "validation_loss": validation_loss,
                "validation_auprc": auprc,
                "learning_rate": schedule.get_last_lr()[0],
                "kept": 0,
            }
        )
        logging.info("%s epoch %d: %s, %.1f s", phase, epoch, history[-1], time.monotonic() - began)
        waited = 0 if auprc > best or validation_loss < least else waited + 1
        best, least = max(best, auprc), min(least, validation_loss)
        if auprc >= best - slack(best, n_positives):
            kept_weights, kept_epoch = copy.deepcopy(network.state_dict()), epoch
        if waited >= settings["patience"]:
            break
    history[kept_epoch]["kept"] = 1
    network.load_state_dict(kept_weights)
    network.requires_grad_(True).eval()
    return pd.DataFrame(history)


def describe(network_settings, data, splits, **more):
    """What model.json tells: how to build the network again, what it was trained on, and how its input was made.

    `channels` are dicts name, mean, sd, the normalisation of each; of several tasks, mean and sd are lists with a number
    per task. `encoding` is what `layers.encode` is to be told.
    """
    chromosomes = {split: sorted(splits.loc[splits["split"] == split, "chrom"]) for split in SPLITS}
    reach = network_settings["filter_bp"]
    return {
        "network": network_settings,
        "window_bp": data["window_bp"],
        "receptive_field_bp": reach,
        "chromosomes": chromosomes,
        "channels": data.get("normalisation", []),
        "encoding": data.get("encoding", {}),
        **more,
    }


def read_task(path, split, flank=False, task=0):
    """Windows of one experiment and split as `read_sequences` gives them, all of them for the head `task`."""
    data = read_sequences(path, split, flank)
    return {**data, "task": np.full(len(data["label"]), task)}


def join_tasks(paths, split, flank=False):
    """Windows of several experiments in one dict; the head of each is its place in `paths`.

    Raises InputError when their windows differ in width, or their channels in name.
    """
    parts = [read_task(path, split, flank, task) for task, path in enumerate(paths)]
    if len({(part["window_bp"], part["flank_bp"]) for part in parts}) > 1:
        raise InputError(f"windows differ in width among {', '.join(map(str, paths))}; rerun the target `sequences`")
    names = {(*(channel["name"] for channel in part["normalisation"]), *part["encoding"].values()) for part in parts}
    if len(names) > 1:
        raise InputError(f"channels differ among {', '.join(map(str, paths))}; rerun the target `sequences`")
    arrays = ["codes", "label", "weight", "task", "length", *(["channels"] if parts[0]["channels"] is not None else [])]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in arrays}
    normalisation = [
        {"name": same[0]["name"], **{key: [channel[key] for channel in same] for key in ("mean", "sd")}}
        for same in zip(*(part["normalisation"] for part in parts), strict=True)
    ]
    alike = {name: parts[0][name] for name in ("window_bp", "flank_bp", "encoding")}
    return {**joined, **alike, "normalisation": normalisation}


def count_channels(data):
    """Rows of a network's input for windows as `read_sequences` gives them: four bases, channels, position."""
    return 4 + len(data["normalisation"]) + data["encoding"]["position_channel"]


def network_settings(settings):
    """The part of the section `training` that the network is built from."""
    return {name: settings[name] for name in ("filters", "filter_bp", "hidden", "dropout", "hidden_dropout", "members")}
