"""Transfer: networks of other experiments are fitted to a target, and only what helps is delivered."""

import logging
import math

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score

from cisgrammar.architectures import build_network
from cisgrammar.curves import choose_sizes
from cisgrammar.engine import Layers, fit, slack
from cisgrammar.log import InputError
from cisgrammar.model import score
from cisgrammar.relatives import Parallel, average, merge, start_from_sources
from cisgrammar.sequences import negative_sets, read_sequences
from cisgrammar.training import cut_flanks, network_settings, take_windows

SCRATCH, TRANSFER, BOTH = "scratch", "transfer", "both"


def check_origin(description, target, chromosomes, genome, name):
    """Raise InputError when a model that a target is to start from has seen what the target is judged by.

    description: model.json of the model; target: `cell_type/tf`; chromosomes: dict of split to chromosome names of the
    target; genome: checksum of the target's genome; name: of the model, for the message
    Chromosomes of another genome are others, whatever their names.
    """
    if target in origins(description):
        raise InputError(f"transfer: {name} was trained on {target}, the target itself; take it out of the sources")
    seen = seen_chromosomes(description)
    others = [other for other in seen if genome and other and other != genome]
    if others:
        logging.info("%s has seen other genomes (%s)", name, ", ".join(others))
    known = {chrom for other, names in seen.items() if other not in others for chrom in names}
    for split in ("validation", "test"):
        shared = sorted(known & set(chromosomes[split]))
        if shared:
            raise InputError(
                f"transfer: {name} was trained on {', '.join(shared)}, {split} chromosomes of {target}; train it with the "
                "splits of this run and training.folds: 1"
            )


def seen_chromosomes(*descriptions):
    """The chromosomes that models, their sources included, were fitted to: dict from a genome's checksum to sorted names.

    descriptions: model.json of each. Of a model that validated in folds (`training.folds`) the validation chromosomes count,
    too.
    """
    seen = {}
    for description in descriptions:
        own = [*description["chromosomes"]["train"]]
        if description.get("settings", {}).get("folds", 1) > 1:
            own += description["chromosomes"]["validation"]
        parts = [(description.get("genome", ""), own), *description.get("seen", {}).items()]
        for genome, names in parts:
            seen[genome] = sorted({*seen.get(genome, []), *names})
    return seen


def origins(description):
    """The experiments, `cell_type/tf`, that a model was trained on, those that its sources were trained on included."""
    own = [f"{description['cell_type']}/{description['tf']}"] if description.get("tf") else []
    return sorted({*own, *description.get("sources", [])})


def balance_tasks(data):
    """The windows with weights by which every task counts alike in an epoch, whatever its number of peaks.

    data: dict of `training.join_tasks`. The mean weight stays.
    """
    totals = np.bincount(data["task"], weights=data["weight"] * data["label"])
    share = totals.mean() / np.maximum(totals, 1e-12)
    return {**data, "weight": (data["weight"] * share[data["task"]]).astype(np.float32)}


def layer_groups(network):
    """(groups of parameters from the top down, modules that are transferred).

    The first group is what is new to the target: the head, and the last one of trunks that stand side by side
    (`relatives.put_together`). The layers of the other trunks are grouped by how far they are from the head.
    """
    new, old = [network.head], [network.trunk]
    if isinstance(network.trunk, Parallel):
        *old, own = network.trunk.trunks
        new.append(own)
    layers = [[list(block.parameters()) for block in trunk] for trunk in old]
    layers = [[parameters for parameters in reversed(trunk) if parameters] for trunk in layers]
    groups = [[parameter for module in new for parameter in module.parameters()]]
    for depth in range(max(map(len, layers))):
        groups.append([parameter for trunk in layers if depth < len(trunk) for parameter in trunk[depth]])
    return groups, old


def fine_tune(network, train, validation, settings, transfer, fabric, rng, checkpoint=None):
    """Fit what is new while transferred layers are frozen, then these from the top down at ever lower learning rates.

    Arguments as for `engine.fit`; transfer: section `transfer`, of which head_epochs, epochs (most of the first phase and
    of each later one), learning_rate_ratio (of the layer next to the head, as a share of the head's), decay (of each
    further layer down) and pull (see `engine.Layers`) are used
    Phases: `head`, in which transferred layers stay bit for bit as they are, their statistics of normalisation too; `top`,
    with the upper half of them where there are several; `all`. In each the rate rises over the first tenth of its steps,
    training stops early as in `fit`, and the start competes, so that none ends much worse on the validation windows than it
    began. After Howard & Ruder 2018 (ACL), who unfreeze one layer after the other.
    Returns (history of all phases, dict drift of a phase to how far the transferred weights have moved by its end: norm of
    the difference as a share of their norm).
    """
    groups, old = layer_groups(network)
    starts = [[parameter.detach().clone() for parameter in group] for group in groups]
    shares = [1.0, *(transfer["learning_rate_ratio"] * transfer["decay"] ** i for i in range(len(groups) - 1))]
    half = 1 + math.ceil((len(groups) - 1) / 2)
    phases = {"head": 1, "top": half, "all": len(groups)}
    if half == len(groups):
        del phases["top"]
    histories, moved = [], {}
    for phase, n in phases.items():
        layers = [Layers(groups[0])]
        layers += [Layers(groups[i], shares[i], starts[i], transfer["pull"]) for i in range(1, n)]
        epochs = transfer["head_epochs" if n == 1 else "epochs"]
        arguments = {**settings, "epochs": epochs}, fabric, rng, phase, layers, old if n == 1 else ()
        histories.append(fit(network, train, validation, *arguments, checkpoint=checkpoint))
        moved[phase] = drift(*([tensor for group in part[1:] for tensor in group] for part in (starts, groups)))
    return pd.concat(histories, ignore_index=True), moved


def drift(before, after):
    """Norm of the difference of two lists of tensors, as a share of the norm of the first."""
    moved = sum(float((new - old).detach().square().sum()) for old, new in zip(before, after, strict=True))
    return math.sqrt(moved / max(1e-30, sum(float(old.square().sum()) for old in before)))


def task_auprc(network, data, task=0):
    """AUPRC of one head on windows, None where one class is missing."""
    if len(set(data["label"].tolist())) < 2:
        return None
    logits = score(network, data["codes"], data.get("channels"), data.get("encoding"))[:, task]
    return float(average_precision_score(data["label"], logits))


def adapt(sources, train, validation, built, settings, transfer, fabric, rng, choose=True, held=None, checkpoint=None):
    """A network for the target that starts from those of sources (`relatives.start_from_sources`), fine-tuned.

    sources: dict of a source to (Network, description), of which those that are taken are changed in place; train,
    validation, rng, checkpoint: as for `engine.fit`; choose: whether relatives are chosen, or all sources are taken
    held: see `find_held`, or None
    Returns a dict: network (None where there is no relative); built, what `build_network` was told of it; ranking, the table
    of the sources; history; drift, see `fine_tune`; tasks, a list of dicts source, task, before, after: AUPRC of the source's
    own heads on its validation windows before and after fine-tuning.
    """
    network, relatives, ranking = start_from_sources(sources, cut_flanks(train), built, transfer, choose)
    if network is None:
        return {"network": None, "built": built, "ranking": ranking, "history": None, "drift": {}, "tasks": []}

    def judge():
        return [
            (source, task, task_auprc(relatives[source], read_sequences(path, "validation"), head))
            for source in relatives
            for head, (task, path) in enumerate((held or {}).get(source, []))
        ]

    before = judge()
    history, moved = fine_tune(network, train, validation, settings, transfer, fabric, rng, checkpoint)
    tasks = [
        {"source": source, "task": task, "before": auprc, "after": now}
        for (source, task, auprc), (_, _, now) in zip(before, judge(), strict=True)
    ]
    if isinstance(network.trunk, Parallel):
        network, built = merge(network, built)
    return {
        "network": network,
        "built": built,
        "ranking": ranking,
        "history": history,
        "drift": moved,
        "tasks": tasks,
    }


def choose_delivered(models, validation):
    """Which model of a target is delivered: the one that ranks the validation windows best, or the mean of both.

    models: dict of `scratch` and, where there is one, `transfer` to (Network, what `build_network` was told of it)
    The third candidate, `both`, is the mean of their logits, as one network where the architecture is `detectors`. With few
    peaks the validation windows are few too, and the better of two on them is often better by chance; the mean is seldom
    much worse than the better one, so it stands unless another is better by a standard error (see `engine.slack`).
    Returns (name, model, dict of a name to its validation AUPRC).
    """
    models = dict(models)
    if TRANSFER in models and models[TRANSFER][1]["architecture"] == "detectors":
        models[BOTH] = average(models[SCRATCH], models[TRANSFER])
    auprc = {name: task_auprc(network, validation) for name, (network, _) in models.items()}
    best = max((name for name in (TRANSFER, SCRATCH) if name in models), key=lambda name: auprc[name] or 0)
    if BOTH in models:
        error = 2 * slack(auprc[best] or 0, validation["label"].sum())
        if (auprc[best] or 0) <= (auprc[BOTH] or 0) + error:
            best = BOTH
    return best, models[best], auprc


def measure_curve(load_sources, parts, settings, transfer, fabric, seed, choose=True, checkpoint=None):
    """AUPRC on the test windows with and without transfer, from ever more of a target's peaks.

    load_sources: function without arguments that gives the dict of sources of `adapt`, afresh; parts: dicts of the training
    (with flanks), validation and test windows; settings, transfer: sections of the configuration; checkpoint: keeps each
    comparison that is done, or None
    At each size and repetition the same random peaks train a network from scratch and one from the sources; what is delivered
    is chosen as always. Training and validation peaks are thinned alike, as of someone who has no more peaks; the test
    windows stay. Returns a data frame n_peaks, seed, negatives, model (scratch, transfer, delivered), auprc, choice.
    """
    *known, test = parts
    sizes = choose_sizes(transfer["sizes"], sum(int(part["label"].sum()) for part in known))
    built, state = network_settings(settings, known[0]), checkpoint and checkpoint.read("curve")
    rows = state["rows"] if state else []
    done = {row[:2] for row in rows}
    for n_peaks in sizes:
        for i in range(transfer["seeds"]):
            if (n_peaks, seed + i) in done:
                continue
            train, validation = thin(known, n_peaks, np.random.default_rng([seed, i]))
            torch.manual_seed(seed + i)
            own = build_network(**built)
            fit(own, train, validation, settings, fabric, np.random.default_rng(seed + i), f"scratch {n_peaks} {i}")
            rng = np.random.default_rng(seed + i)
            adapted = adapt(load_sources(), train, validation, built, settings, transfer, fabric, rng, choose)
            models = {SCRATCH: (own, built)}
            if adapted["network"] is not None:
                models[TRANSFER] = adapted["network"], adapted["built"]
            choice, chosen, _ = choose_delivered(models, validation)
            for model, (network, _) in {TRANSFER: models[SCRATCH], **models, "delivered": chosen}.items():
                for negatives, auprc in auprc_by_set(network, test).items():
                    rows.append((n_peaks, seed + i, negatives, model, auprc, choice))
            if checkpoint:
                checkpoint.write("curve", {"rows": rows})
    return pd.DataFrame(rows, columns=["n_peaks", "seed", "negatives", "model", "auprc", "choice"])


def auprc_by_set(network, test):
    """AUPRC against each set of negatives, a dict."""
    logits = score(network, test["codes"], test.get("channels"), test.get("encoding"))[:, 0]
    return {name: float(average_precision_score(test["label"][of], logits[of])) for name, of in negative_sets(test)}


def find_held(sources, paths):
    """Files with the validation windows that heads of networks are judged on: dict of a source to a list of (task, path).

    sources: dict of a name to (Network, description); paths: dict of `cell_type/tf` to a file of sequences. A source of
    which a task has no file, as that of another run, is left out.
    """
    held = {}
    for name, (_, description) in sources.items():
        tasks = description["sources"] if description["network"]["tasks"] > 1 else [name]
        if all(task in paths for task in tasks):
            held[name] = [(task, paths[task]) for task in tasks]
    return held


def thin(parts, n, rng):
    """Random windows of an experiment as if it had `n` peaks, in the same proportion in each part and of each class.

    parts: list of dicts of `training.read_task`, of training and validation windows. At least one of a class is left.
    """
    share = min(1.0, n / sum(int(part["label"].sum()) for part in parts))
    thinned = []
    for part in parts:
        rows = [np.flatnonzero(part["label"] == label) for label in (1, 0)]
        rows = [rng.choice(some, max(1, round(share * len(some))), replace=False) for some in rows]
        thinned.append(take_windows([part], np.sort(np.concatenate(rows))))
    return thinned
