"""The training engine: steps, schedules, early stopping, and checkpoints from which a killed training goes on."""

import copy
import hashlib
import json
import logging
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score
from tqdm import tqdm

from cisgrammar.domains import DomainHead, domain_loss, moment_distance, reversal_strength
from cisgrammar.files import atomic
from cisgrammar.layers import encode
from cisgrammar.log import InputError
from cisgrammar.losses import loss_by_name, smooth
from cisgrammar.model import save_weights, score
from cisgrammar.training import draw_epoch, draw_windows, log_prior_shift, positive_weights, rows_by_task

DIVERGED = 100.0  # nats per window of weight 1; a network that knows nothing has less than 1
PLATEAU_FACTOR = 0.3


@dataclass
class Progress:
    """How far a training has come; plain numbers, so that a checkpoint holds them as JSON."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    least: float = math.inf
    waited: int = 0
    kept_epoch: int = 0
    factor: float = 1.0
    done: bool = False
    losses: list = field(default_factory=list)
    history: list = field(default_factory=list)


@dataclass
class Layers:
    """Parameters that one phase of training fits alike.

    share: of the learning rate; start: tensors that they are pulled to, one each, or none; pull: how strongly, per step
    and learning rate, as weight decay pulls to zero: L2-SP (Li et al. 2018, ICML), decoupled from the gradient as AdamW's
    decay is, which it replaces for these parameters
    """

    parameters: list
    share: float = 1.0
    start: list = field(default_factory=list)
    pull: float = 0.0

    def group(self):
        """What the optimiser is told of them."""
        more = {"weight_decay": 0.0} if self.start and self.pull else {}
        return {"params": self.parameters, "share": self.share, **more}

    def draw_back(self, rate):
        """Move the parameters towards their start after a step with this learning rate."""
        if self.pull:
            with torch.no_grad():
                for parameter, start in zip(self.parameters, self.start, strict=bool(self.start)):
                    parameter.lerp_(start.to(parameter), min(1.0, rate * self.share * self.pull))


class Checkpoint:
    """Files beside a result at `path`, <its stem>.checkpoint.<phase>, with the state of a training, whole or not there.

    key: what the state depends on, see `fingerprint`; a file with another key is of other settings or data and is not
    read. every_s: seconds between two states, 0 for one after each step
    """

    def __init__(self, path, key, every_s=60.0):
        self.path, self.key, self.every_s = Path(path).with_suffix(".checkpoint"), key, every_s
        self.written = time.monotonic()

    def place(self, phase):
        return self.path.with_name(f"{self.path.name}.{phase}")

    def read(self, phase):
        """The state of a phase, a dict, or None where there is none of these settings and data."""
        path = self.place(phase)
        if not path.exists():
            return None
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["key"] != self.key:
            logging.info("%s is of other settings or data: training starts anew", path)
            return None
        return state

    def due(self):
        return time.monotonic() - self.written >= self.every_s

    def write(self, phase, state):
        with atomic(self.place(phase)) as temporary:
            torch.save({**state, "key": self.key}, temporary)
        self.written = time.monotonic()

    def keep(self, weights):
        """Write the last good weights beside the checkpoint; returns their path."""
        path = self.path.with_name(f"{self.path.name}.last_good.safetensors")
        save_weights(weights, path)
        return path

    def clear(self):
        """Remove all states, those that a kill left half-written included."""
        for path in self.path.parent.glob(f"*{self.path.name}.*"):
            path.unlink()


def fingerprint(settings, parts, files):
    """SHA-256 of what the weights depend on: settings, windows, code and other files, and the version of torch.

    settings: anything that JSON holds; parts: list of (train, validation), dicts of `read_sequences`
    """
    digest = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for data in (data for part in parts for data in part):
        for name in ("codes", "channels", "label", "weight", "task", "domain", "window"):
            if data.get(name) is not None:
                digest.update(np.ascontiguousarray(data[name]))
    for path in files:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def one_cycle(step, total):
    """(share of the largest learning rate, first momentum) of a step: Smith & Topin 2019 (Proc. SPIE 11006), as in torch.

    Over the first tenth of the steps the rate rises from 1/25, then it falls to 1/250,000, both along a cosine; the
    momentum goes from 0.95 to 0.85 and back.
    """

    def between(start, end, share):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    top = max(0.0, 0.1 * total - 1)
    if step < top:
        share = step / top
        return between(1 / 25, 1, share), between(0.95, 0.85, share)
    share = (step - top) / max(1e-9, total - 1 - top)
    return between(1, 1 / 250_000, share), between(0.85, 0.95, share)


def warm_plateau(step, n_steps, factor):
    """The same of a schedule that rises evenly over the first epoch, and falls by `PLATEAU_FACTOR` on a plateau."""
    return factor * min(1.0, (step + 1) / n_steps), 0.9


def validate(network, data, tasks):
    """(mean loss, mean AUPRC over the tasks) on validation windows."""
    windows = data.get("window", slice(None))
    codes, channels = data["codes"][windows], data.get("channels")
    channels = None if channels is None else channels[windows]
    logits = score(network, codes, channels, data.get("encoding"), tasks=tasks)
    with np.errstate(invalid="ignore"):
        loss = np.mean(np.logaddexp(0, logits) - data["label"] * logits)
    if not np.isfinite(loss):
        return float(loss), np.nan
    auprc = [average_precision_score(data["label"][rows], logits[rows]) for rows in rows_by_task(tasks)]
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


def average_weights(average, network, decay, step):
    """Move the averaged network towards the network: an exponential moving average of its weights.

    Each weight becomes d average + (1 - d) weight, d = min(decay, (1 + step) / (10 + step)), so that the start is soon
    forgotten (Polyak & Juditsky 1992; Tarvainen & Valpola 2017, NeurIPS). Statistics of normalisation are copied.
    """
    with torch.no_grad():
        d = min(decay, (1 + step) / (10 + step))
        for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(weight, 1 - d)
        for mean, value in zip(average.buffers(), network.buffers(), strict=True):
            mean.copy_(value)


def random_states(rng):
    """The states of a numpy Generator (JSON) and of torch's generators, as a checkpoint holds them."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"numpy": json.dumps(rng.bit_generator.state), "torch": torch.get_rng_state(), "cuda": cuda}


def restore_random(states, rng):
    rng.bit_generator.state = json.loads(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def windows_per_step(n_windows):
    """64, or with few windows in a pass as many as leave it 40 steps, 16 at least.

    With 100 peaks and ten steps a pass, training is over before a weak motif is found.
    """
    return min(64, max(16, n_windows // 40))


def passes(n_steps, epochs, steps):
    """Passes of `n_steps` steps each: `epochs`, or with many windows as many as `steps` allow, 3 at least."""
    return min(epochs, max(3, steps // n_steps))


class Fitting:
    """One phase of training: what `fit` changes from step to step, and what a checkpoint restores."""

    def __init__(self, network, train, settings, fabric, rng, phase, layers=None, still=()):
        self.network, self.train, self.settings, self.fabric, self.phase = network, train, settings, fabric, phase
        self.layers, self.still = layers or [Layers(list(network.parameters()))], still
        self.fitted = [parameter for some in self.layers for parameter in some.parameters]
        chosen = {id(parameter) for parameter in self.fitted}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        network.zero_grad()
        self.labels, self.tasks = train["label"].astype(np.int64), train["task"]
        n_windows = len(self.draw(rng))
        self.batch_size = settings["batch_size"] or windows_per_step(n_windows)
        self.n_steps = math.ceil(n_windows / self.batch_size)
        self.epochs = passes(self.n_steps, settings["epochs"], settings["steps"])
        ratio = settings["negatives_per_positive"]
        self.shift = log_prior_shift(self.labels, self.tasks, ratio).to(fabric.device)
        self.most = DIVERGED * float(train["weight"].mean())
        self.loss = loss_by_name(settings["loss"])
        self.loss_settings = {"focal": {"gamma": settings["focal_gamma"]}}.get(settings["loss"], {})
        self.positive_weight = None
        if settings["loss"] == "weighted_cross_entropy":
            self.positive_weight = positive_weights(self.labels, self.tasks, ratio).to(fabric.device)
        self.domain_head = self.start_domains()
        more = [] if self.domain_head is None else [Layers(list(self.domain_head.parameters()))]
        groups = [layers.group() for layers in (*self.layers, *more)]
        self.optimizer = torch.optim.AdamW(groups, lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
        _, self.stepper = fabric.setup(network, self.optimizer)
        self.average = copy.deepcopy(network) if settings["ema"] else None
        self.progress, self.kept = Progress(), copy.deepcopy(network.state_dict())
        self.epoch_start = random_states(rng)

    def draw(self, rng):
        return draw_epoch(self.labels, self.tasks, self.settings["negatives_per_positive"], rng)

    def start_domains(self):
        """The head that tells domains apart, where there are domains and the settings ask for one."""
        if self.settings["domains"] != "reversal" or "domain" not in self.train:
            return None
        members, _, features = self.network.head.weight.shape
        return DomainHead(members, features, int(self.train["domain"].max()) + 1).to(self.fabric.device)

    @property
    def judged(self):
        """The network that validation sees and that is kept."""
        return self.network if self.average is None else self.average

    def rate(self, step):
        """(learning rate, first momentum) of a step, counted over the epochs."""
        settings = self.settings
        if settings["schedule"] == "plateau":
            share, momentum = warm_plateau(step, self.n_steps, self.progress.factor)
        else:
            share, momentum = one_cycle(step, self.epochs * self.n_steps)
        return settings["learning_rate"] * share, momentum

    def state(self, rng):
        """All that a checkpoint holds; `losses` must be numbers by now."""
        return {
            "progress": json.dumps(asdict(self.progress)),
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "domains": None if self.domain_head is None else self.domain_head.state_dict(),
            "kept": self.kept,
            "optimizer": self.optimizer.state_dict(),
            "random": random_states(rng),
            "epoch_start": self.epoch_start,
        }

    def restore(self, state, rng):
        self.progress = Progress(**json.loads(state["progress"]))
        self.network.load_state_dict(state["network"])
        for module, weights in ((self.average, state["average"]), (self.domain_head, state["domains"])):
            if module is not None:
                module.load_state_dict(weights)
        self.kept, self.epoch_start = state["kept"], state["epoch_start"]
        self.optimizer.load_state_dict(state["optimizer"])
        restore_random(state["random"], rng)

    def take_step(self, rows, rng):
        """One step of the optimiser on these windows; returns their mean loss, a tensor without gradient."""
        settings, device = self.settings, self.fabric.device
        number = (self.progress.epoch - 1) * self.n_steps + self.progress.step
        rate, momentum = self.rate(number)
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = group["share"] * rate, (momentum, group["betas"][1])
        sequences = encode(*draw_windows(self.train, rows, rng), device, **self.train.get("encoding", {}))
        task = torch.as_tensor(self.tasks[rows]).to(device)
        label = torch.as_tensor(self.train["label"][rows]).float().to(device)
        weight = torch.as_tensor(self.train["weight"][rows]).to(device)
        # Fabric's wrapper casts in `forward` alone.
        with self.fabric.autocast():
            features = self.network.features(sequences)
            logits = self.network.head.chosen(features, task)
        features, logits = features.float(), logits.float()
        with_domains = settings["domains"] != "none" and "domain" in self.train
        aside = self.domain_loss(features, rows, number) if with_domains else 0.0
        logits = logits + self.shift[task].unsqueeze(1)
        more = self.loss_settings
        if self.positive_weight is not None:
            more = {"positive_weight": self.positive_weight[task].unsqueeze(1)}
        targets = smooth(label, settings["label_smoothing"]).unsqueeze(1).expand_as(logits)
        # The sum over the members: each learns as if it were alone.
        loss = (self.loss(logits, targets, **more) * weight.unsqueeze(1)).sum() / len(task)
        self.stepper.zero_grad()
        self.fabric.backward(loss + aside)
        clip_members(self.fitted, settings["largest_gradient"])
        self.stepper.step()
        for layers in self.layers:
            layers.draw_back(rate)
        if self.average is not None:
            average_weights(self.average, self.network, settings["ema"], number)
        return loss.detach() / logits.shape[1]

    def domain_loss(self, features, rows, number):
        """What makes the features of the domains (cell types, batches) alike: gradient reversal or equal moments."""
        domains = torch.as_tensor(self.train["domain"][rows]).to(features.device)
        strength = self.settings["domain_strength"]
        if self.domain_head is None:
            return strength * moment_distance(features, domains)
        share = number / (self.epochs * self.n_steps)
        return domain_loss(self.domain_head(features, strength * reversal_strength(share)), domains)

    def run_epoch(self, rng, checkpoint):
        """The steps of one epoch that are not done yet."""
        progress = self.progress
        current = random_states(rng) if progress.step else None
        if current:
            restore_random(self.epoch_start, rng)
        self.epoch_start = random_states(rng)
        batches = np.array_split(self.draw(rng), self.n_steps)
        if current:
            restore_random(current, rng)
        self.network.train()
        for module in self.still:
            module.eval()
        title = f"{self.phase} epoch {progress.epoch} of {self.epochs}"
        losses = []
        for rows in tqdm(batches[progress.step :], title, leave=False, disable=not sys.stderr.isatty(), unit="step"):
            losses.append(self.take_step(rows, rng))
            progress.step += 1
            if checkpoint and checkpoint.due():
                self.collect(losses, checkpoint)
                losses = []
                checkpoint.write(self.phase, self.state(rng))
        self.collect(losses, checkpoint)

    def collect(self, losses, checkpoint):
        """Add the losses of the last steps to the progress; stop where one of them is no number or far too large."""
        progress = self.progress
        values = torch.stack(losses).tolist() if losses else []
        for i, value in enumerate(values):
            if not value <= self.most:
                step = progress.step - len(values) + i
                self.stop(f"is {value:.3g} in step {step + 1} of epoch {progress.epoch}", step, checkpoint)
        progress.losses += values

    def stop(self, what, step, checkpoint):
        """Raise InputError; the network has the weights kept so far, and so has a file."""
        rate = self.rate((max(1, self.progress.epoch) - 1) * self.n_steps + step)[0]
        self.network.load_state_dict(self.kept)
        saved = (
            f"; the weights of epoch {self.progress.kept_epoch} are in {checkpoint.keep(self.kept)}"
            if checkpoint
            else ""
        )
        raise InputError(
            f"the loss {what} of phase {self.phase}, at a learning rate of {rate:.3g}; lower training.learning_rate "
            f"({self.settings['learning_rate']:g}) or training.largest_gradient{saved}"
        )

    def end_epoch(self, validation, checkpoint):
        """Validate, keep the weights where they are no worse, and note the epoch."""
        progress, settings = self.progress, self.settings
        loss, auprc = validate(self.judged, validation, validation["task"])
        if not np.isfinite(loss):
            self.stop(f"of the validation windows is {loss:.3g} after epoch {progress.epoch}", 0, checkpoint)
        progress.history.append(
            {
                "phase": self.phase,
                "epoch": progress.epoch,
                "train_loss": float(np.mean(progress.losses)) if progress.losses else math.nan,
                "validation_loss": loss,
                "validation_auprc": auprc,
                "learning_rate": self.rate(max(0, progress.epoch * self.n_steps - 1))[0],
                "kept": 0,
            }
        )
        progress.waited = 0 if auprc > progress.best or loss < progress.least else progress.waited + 1
        progress.best, progress.least = max(progress.best, auprc), min(progress.least, loss)
        if auprc >= progress.best - slack(progress.best, validation["label"].sum()):
            self.kept, progress.kept_epoch = copy.deepcopy(self.judged.state_dict()), progress.epoch
        if progress.waited and progress.waited % max(1, settings["patience"] // 3) == 0:
            progress.factor *= PLATEAU_FACTOR
        progress.done = progress.waited >= settings["patience"] or progress.epoch == self.epochs
        progress.epoch, progress.step, progress.losses = progress.epoch + 1, 0, []


def fit(network, train, validation, settings, fabric, rng, phase, layers=None, still=(), checkpoint=None):
    """Fit a network and leave it with the weights that do best on the validation windows.

    network: Network, on the CPU; changed in place
    train, validation: dicts of `read_sequences`, train with flanks; an int array `task` per window names its output, an
    int array `domain` in train its cell type or batch; without `channels`, `encoding` and `length` all windows are bases
    of one width
    settings: the section `training` of the configuration
    fabric: lightning Fabric; rng: numpy Generator; phase: word for the history
    layers: list of Layers, the parameters to fit, default all; the others stay bit for bit as they are
    still: modules without dropout whose statistics of normalisation stay as they are, those that are not fitted
    checkpoint: Checkpoint from which a training that was killed goes on, on a CPU to the same weights bit for bit
    The optimiser is AdamW, gradients are clipped member by member. Kept are the latest weights whose validation AUPRC is
    within `slack` of the best so far, the starting weights being epoch 0; training stops after `patience` epochs in
    which neither AUPRC nor loss of the validation windows were better.
    Returns the history, a data frame phase, epoch, train_loss, validation_loss, validation_auprc, learning_rate, kept.
    Raises InputError when the loss is no number or above `DIVERGED`, with the step and the rate; the network then has the
    weights kept so far.
    """
    fitting = Fitting(network, train, settings, fabric, rng, phase, layers, still)
    state = checkpoint.read(phase) if checkpoint else None
    if state:
        fitting.restore(state, rng)
        logging.info("%s goes on after epoch %d, step %d", phase, fitting.progress.epoch, fitting.progress.step)
    while not fitting.progress.done:
        began, first, epoch = time.monotonic(), fitting.progress.step, fitting.progress.epoch
        if epoch:
            fitting.run_epoch(rng, checkpoint)
        n_windows = (fitting.progress.step - first) * fitting.batch_size
        fitting.end_epoch(validation, checkpoint)
        seconds = time.monotonic() - began
        left = (fitting.epochs - epoch) * seconds / 60
        logging.info(
            *("%s: %s, %.1f s, %.0f windows/s, at most %.1f min left", phase, fitting.progress.history[-1]),
            *(seconds, n_windows / seconds, left),
        )
        if checkpoint and (checkpoint.due() or fitting.progress.done):
            checkpoint.write(phase, fitting.state(rng))
    history = pd.DataFrame(fitting.progress.history)
    history.loc[fitting.progress.kept_epoch, "kept"] = 1
    network.load_state_dict(fitting.kept)
    network.requires_grad_(True).eval()
    return history


def fit_folds(folds, start, settings, seed, fabric, checkpoint=None):
    """Fit one network per fold, each from a seed of its own; returns the networks and their history in one table.

    folds: list of (train, validation); start: function without arguments that gives a new network; others: see `fit`
    """
    networks, histories = [], []
    for i, (train, validation) in enumerate(folds):
        torch.manual_seed(seed + i)
        networks.append(start())
        phase = "train" if len(folds) == 1 else f"fold_{i + 1}"
        rng = np.random.default_rng(seed + i)
        histories.append(fit(networks[-1], train, validation, settings, fabric, rng, phase, checkpoint=checkpoint))
    return networks, pd.concat(histories, ignore_index=True)
