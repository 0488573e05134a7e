"""Training: what is drawn, what is learned from a planted motif, and what stays bit for bit as it is."""

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import build_network, detectors
from cisgrammar.engine import Layers, clip_members, fit, slack, validate
from cisgrammar.extraction import write_sequences
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.model import probability, score
from cisgrammar.training import (
    check_strands,
    count_channels,
    describe,
    draw_epoch,
    draw_windows,
    join_tasks,
    log_prior_shift,
    network_settings,
    positive_weights,
    read_folds,
    read_task,
    rows_by_task,
    set_up,
    start_network,
)
from lightning_fabric import Fabric
from training_data import MOTIF, TRAINING, copy_state, equal_states

SHAPE = {"filters": 16, "filter_bp": 11, "hidden": 16, "dropout": 0.1, "hidden_dropout": 0.1, "members": 2}
FLANK_BP, WINDOW_BP = 5, 60
SETTINGS = {
    **TRAINING,
    "batch_size": 32,
    "learning_rate": 0.01,
    "weight_decay": 1e-4,
    "epochs": 8,
    "patience": 8,
    "negatives_per_positive": 2,
}
COLUMNS = ["phase", "epoch", "train_loss", "validation_loss", "validation_auprc", "learning_rate", "kept"]


def planted(n_positives, n_negatives, rng, flank_bp=FLANK_BP, task=0):
    """Random windows; the positives hold the motif on either strand, in the core that no shift cuts."""
    n = n_positives + n_negatives
    codes = rng.integers(0, 4, (n, WINDOW_BP + 2 * flank_bp)).astype(np.uint8)
    for row in range(n_positives):
        at = rng.integers(2 * flank_bp, WINDOW_BP - len(MOTIF))
        codes[row, at : at + len(MOTIF)] = MOTIF if rng.random() < 0.5 else 3 - MOTIF[::-1]
    return {
        "codes": codes,
        "label": np.repeat([1, 0], [n_positives, n_negatives]).astype(np.uint8),
        "weight": np.ones(n, dtype=np.float32),
        "task": np.full(n, task),
        "window_bp": WINDOW_BP,
        "flank_bp": flank_bp,
    }


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(11)
    return planted(150, 600, rng), planted(60, 240, rng, flank_bp=0)


def run(windows, seed, **settings):
    fabric = set_up("cpu", 1, seed)
    network = detectors(**SHAPE)
    history = fit(network, *windows, {**SETTINGS, **settings}, fabric, np.random.default_rng(seed), "train")
    return network, history


@pytest.fixture(scope="module")
def trained(windows):
    return run(windows, seed=1)


def test_draw_epoch_counts():
    # 3 positives and 9 negatives of task 0, 2 positives and 2 negatives of task 1
    labels, tasks = np.repeat([1, 0, 1, 0], [3, 9, 2, 2]), np.repeat([0, 1], [12, 4])
    rows = draw_epoch(labels, tasks, 1.5, np.random.default_rng(0))
    assert len(rows) == len(set(rows)) == 3 + 5 + 2 + 2  # ceil(4.5) negatives of task 0, all there are of task 1
    assert np.sum((tasks[rows] == 0) & (labels[rows] == 0)) == 5
    assert set(np.flatnonzero(labels == 1)) <= set(rows)


def test_draw_epoch_draws_anew_and_in_random_order():
    labels, tasks = np.repeat([1, 0], [10, 100]), np.zeros(110, dtype=int)
    rng = np.random.default_rng(0)
    first, second = draw_epoch(labels, tasks, 1, rng), draw_epoch(labels, tasks, 1, rng)
    assert set(first) != set(second)
    assert list(first) != sorted(first)
    assert list(draw_epoch(labels, tasks, 1, np.random.default_rng(0))) == list(first)


def test_draw_windows_shifts_within_the_flanks():
    data = {"codes": np.array([[0, 1, 2, 3], [3, 3, 3, 3]], dtype=np.uint8), "window_bp": 2, "flank_bp": 1}
    rows = np.repeat([0, 1], [60, 1])
    drawn, channels = draw_windows(data, rows, np.random.default_rng(0))
    assert drawn.shape == (61, 2) and channels is None
    assert {tuple(window) for window in drawn[:60].tolist()} == {(0, 1), (1, 2), (2, 3)}
    assert drawn[60].tolist() == [3, 3]


def test_draw_windows_without_flanks():
    data = {"codes": np.array([[0, 1, 2]], dtype=np.uint8), "window_bp": 3, "flank_bp": 0}
    assert draw_windows(data, np.array([0, 0]), np.random.default_rng(0))[0].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_draw_windows_shifts_channels_along():
    """Two channels that hold the position and its negative: they stay with their bases."""
    codes = np.array([[0, 1, 2, 3, 0, 1]], dtype=np.uint8)
    positions = np.arange(6, dtype=np.float16)
    data = {"codes": codes, "channels": np.stack([positions, -positions])[None], "window_bp": 2, "flank_bp": 2}
    drawn, channels = draw_windows(data, np.zeros(100, dtype=int), np.random.default_rng(0))
    assert channels.shape == (100, 2, 2)
    assert set(channels[:, 0, 0].tolist()) == {0, 1, 2, 3, 4}
    assert (channels[:, 0].astype(int) % 4 == drawn).all() and (channels[:, 1] == -channels[:, 0]).all()


def test_draw_windows_keeps_the_padding_in_place():
    """A window of 2 in rows of 4 with flanks of 1: the bases under it move, and those beside it are padding."""
    data = {
        "codes": np.array([[5, 0, 1, 2, 3, 5]], dtype=np.uint8),
        "channels": np.array([[[0, 1, 2, 3, 4, 0]]], dtype=np.float16),
        "length": np.array([2]),
        "window_bp": 4,
        "flank_bp": 1,
    }
    before = data["codes"].copy()
    drawn, channels = draw_windows(data, np.zeros(50, dtype=int), np.random.default_rng(0))
    assert {tuple(window) for window in drawn.tolist()} == {(5, 0, 1, 5), (5, 1, 2, 5), (5, 2, 3, 5)}
    assert {tuple(values) for values in channels[:, 0].tolist()} == {(0, 1, 2, 0), (0, 2, 3, 0), (0, 3, 4, 0)}
    assert (data["codes"] == before).all()


def test_log_prior_shift_by_hand():
    # task 0: 2 positives, 10 negatives, 4 drawn; task 1: 3 positives, 5 negatives, all drawn
    labels, tasks = np.repeat([1, 0, 1, 0], [2, 10, 3, 5]), np.repeat([0, 1], [12, 8])
    shift = log_prior_shift(labels, tasks, 2)
    assert shift.dtype == torch.float32
    assert shift.tolist() == pytest.approx([np.log(10 / 4), 0])
    assert log_prior_shift(labels, tasks, 0.7).tolist() == pytest.approx([np.log(10 / 2), np.log(5 / 3)])


def test_validate_by_hand():
    class Logits(torch.nn.Module):
        """Logit 2 for windows that begin with A, else -2; 7 in the head that is not theirs."""

        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        @property
        def head(self):
            return self

        def features(self, sequences):
            logit = 4 * sequences[:, 0, 0] - 2
            return torch.stack([logit, torch.full_like(logit, 7)], dim=1)

        def chosen(self, features, tasks):
            return features.gather(1, tasks.unsqueeze(1))

    codes = np.array([[0, 3], [0, 3], [1, 2], [1, 2]], dtype=np.uint8)  # palindromes alone, AT and CG
    loss, auprc = validate(Logits(), {"codes": codes, "label": np.array([1, 0, 0, 1])}, np.zeros(4, dtype=int))
    assert loss == pytest.approx((2 * np.log1p(np.exp(-2)) + 2 * np.log1p(np.exp(2))) / 4)
    assert auprc == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 4)


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_validate_without_a_number(bias):
    """Logits that are no numbers give a loss that is none, and no AUPRC, rather than an error."""
    network = detectors(**SHAPE)
    torch.nn.init.constant_(network.head.bias[1], bias)
    data = planted(3, 3, np.random.default_rng(0), flank_bp=0)
    loss, auprc = validate(network, data, data["task"])
    assert not np.isfinite(loss)
    assert np.isnan(auprc)


def kept(history):
    return history.loc[history["kept"] == 1, "validation_auprc"].iloc[-1]


@pytest.mark.parametrize(
    ("auprc", "n", "expected"), [(0.5, 25, 0.05), (0.9, 9, 0.05), (0.5, 10**6, 0.00025), (1, 5, 0)]
)
def test_slack_by_hand(auprc, n, expected):
    assert slack(auprc, n) == pytest.approx(expected)


def test_a_planted_motif_is_learned(trained, windows):
    network, history = trained
    assert history["validation_auprc"].max() > 0.9
    assert validate(network, windows[1], windows[1]["task"])[1] == pytest.approx(kept(history))
    assert not network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_history(trained):
    _, history = trained
    assert list(history.columns) == COLUMNS
    assert history["epoch"].tolist() == list(range(len(history)))
    assert np.isnan(history["train_loss"][0]) and history["train_loss"][1:].notna().all()
    assert history["kept"].sum() == 1
    best = history["validation_auprc"].max()
    assert best - slack(best, 60) <= kept(history) <= best
    assert (history["validation_auprc"][history["kept"].idxmax() + 1 :] < best - slack(best, 60)).all()

    assert set(history["phase"]) == {"train"}
    # the one-cycle rate starts at 1/25 of the largest and ends near 0
    assert history["learning_rate"][0] == pytest.approx(SETTINGS["learning_rate"] / 25)
    assert 0 < history["learning_rate"].iloc[-1] < 1e-5
    assert history["learning_rate"].max() <= SETTINGS["learning_rate"]


def test_same_seed_same_bits_other_seed_other_bits(windows):
    one, again, other = (run(windows, seed, epochs=2) for seed in (5, 5, 6))
    assert equal_states(one[0].state_dict(), again[0].state_dict())
    pd.testing.assert_frame_equal(one[1], again[1], check_exact=True)
    assert not torch.equal(one[0].detectors.free, other[0].detectors.free)


def test_probabilities_hold_for_all_windows():
    """Of 10 negatives per positive one is drawn, and yet the mean probability is the share of positives, 1 in 11."""
    rng = np.random.default_rng(3)
    train = planted(150, 1500, rng)
    validation = planted(100, 1000, rng, flank_bp=0)
    network, _ = run((train, validation), seed=2, negatives_per_positive=1, epochs=6)
    mean = probability(score(network, validation["codes"])[:, 0]).mean()
    assert 0.6 / 11 < mean < 1.6 / 11


def test_only_the_given_parameters_change(trained, windows):
    network = detectors(**SHAPE)
    network.load_state_dict(trained[0].state_dict())
    torch.nn.init.zeros_(network.head.weight)
    before = copy_state(network)
    fabric = set_up("cpu", 1, 0)
    history = fit(
        network,
        *windows,
        {**SETTINGS, "epochs": 2},
        fabric,
        np.random.default_rng(0),
        "head",
        [Layers(list(network.head.parameters()))],
        [network.trunk],
    )
    after = network.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"head.weight", "head.bias"}
    assert (network.head.weight[0] != 0).any() and (network.head.weight[1] != 0).any()
    assert equal_states(trained[0].trunk.state_dict(), network.trunk.state_dict())
    assert history["kept"].idxmax() > 0
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_no_dropout_where_only_the_head_is_fitted(trained, windows):
    """Networks that differ in dropout alone learn the same head."""
    found = []
    for dropout in (0.0, 0.9):
        network = detectors(**{**SHAPE, "dropout": dropout, "hidden_dropout": dropout})
        network.load_state_dict(trained[0].state_dict())
        torch.nn.init.zeros_(network.head.weight)
        arguments = {**SETTINGS, "epochs": 1}, set_up("cpu", 1, 0), np.random.default_rng(0), "head"
        history = fit(network, *windows, *arguments, [Layers(list(network.head.parameters()))], [network.trunk])
        found.append((copy_state(network), history))
    assert found[0][1]["kept"].idxmax() == 1
    assert equal_states(found[0][0], found[1][0])
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)


def test_every_part_of_every_member_learns(windows):
    set_up("cpu", 1, 1)
    start = copy_state(detectors(**SHAPE))
    network, history = run(windows, seed=1, epochs=1)
    assert history["kept"].idxmax() == 1
    for name, value in network.state_dict().items():
        for member in range(2):
            assert not torch.equal(value[member], start[name][member]), (name, member)
    assert network.detectors.weight.sum(dim=2).abs().max() < 1e-5


def test_train_loss_by_hand():
    """One batch of all windows: the mean over members and windows, weighted."""
    data = planted(10, 20, np.random.default_rng(6), flank_bp=0)
    data["weight"] = np.linspace(0.1, 3, 30).astype(np.float32)
    fabric, network = set_up("cpu", 1, 2), detectors(**{**SHAPE, "dropout": 0.0, "hidden_dropout": 0.0})
    with torch.no_grad():
        logits = network.member_logits(one_hot(data["codes"]))[..., 0].numpy()
    expected = np.mean(data["weight"][:, None] * (np.logaddexp(0, logits) - data["label"][:, None] * logits))
    settings = {**SETTINGS, "batch_size": 100, "epochs": 1}
    history = fit(network, data, data, settings, fabric, np.random.default_rng(0), "train")
    assert history["train_loss"][1] == pytest.approx(expected, rel=1e-5)


def random_gradients(seed=0):
    """Parameters of three members with gradients of different size."""
    torch.manual_seed(seed)
    parameters = [torch.nn.Parameter(torch.zeros(3, *shape)) for shape in ((4, 2), (5,), (2, 4, 3))]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape) * torch.tensor([0.01, 1, 50]).view(
            3, *[1] * (parameter.dim() - 1)
        )
    return parameters


@pytest.mark.parametrize("max_norm", [1.0, 7.0, 1e9])
def test_gradients_are_clipped_as_those_of_each_member_alone(max_norm):
    parameters, expected, before = random_gradients(), random_gradients(), random_gradients()
    for member in range(3):
        alone = [torch.nn.Parameter(parameter[member].detach()) for parameter in expected]
        for one, parameter in zip(alone, expected, strict=True):
            one.grad = parameter.grad[member]
        torch.nn.utils.clip_grad_norm_(alone, max_norm)
    clip_members(parameters, max_norm)
    for parameter, other, start in zip(parameters, expected, before, strict=True):
        assert torch.allclose(parameter.grad, other.grad, rtol=1e-5)
        assert torch.equal(parameter.grad[0], start.grad[0])


def test_clipped_gradients_by_hand():
    """Norms of 5 and 0.5; the first is scaled to 1."""
    one, other = (torch.nn.Parameter(torch.zeros(2, 1)) for _ in range(2))
    one.grad, other.grad = torch.tensor([[3.0], [0.3]]), torch.tensor([[-4.0], [-0.4]])
    clip_members([one, other], 1.0)
    assert one.grad.flatten().tolist() == pytest.approx([0.6, 0.3], rel=1e-5)
    assert other.grad.flatten().tolist() == pytest.approx([-0.8, -0.4], rel=1e-5)


def test_clipping_leaves_the_other_members_alone():
    """A member without a gradient stays at 0, one whose gradient is no number keeps that to itself."""
    parameters = random_gradients()
    parameters[1].grad[1] = float("nan")
    for parameter in parameters:
        parameter.grad[0] = 0
    clip_members(parameters, 1.0)
    assert not any(parameter.grad[0].any() for parameter in parameters)
    assert all(parameter.grad[1].isnan().all() for parameter in parameters)
    norms = [parameter.grad[2].norm() for parameter in parameters]
    assert torch.stack(norms).norm() == pytest.approx(1, rel=1e-4)


def test_each_step_takes_clipped_gradients(windows, monkeypatch):
    """Windows of a large weight give each member a gradient of norm 1 in every step."""
    norms, step = [], torch.optim.AdamW.step

    def watched(optimizer, *arguments, **more):
        gradients = [parameter.grad.flatten(1) for parameter in optimizer.param_groups[0]["params"]]
        norms.append(torch.cat(gradients, dim=1).norm(dim=1).tolist())
        return step(optimizer, *arguments, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    train = {**windows[0], "weight": np.full(len(windows[0]["label"]), 1e4, dtype=np.float32)}
    run((train, windows[1]), seed=1, epochs=1)
    assert np.array(norms) == pytest.approx(np.ones((15, 2)), abs=1e-3)  # 450 windows in batches of 32


@pytest.mark.parametrize("weight", [0.01, 20])
def test_each_member_learns_as_if_it_were_alone(windows, monkeypatch, weight):
    """Without dropout a member has the gradients and ends where it ends alone, whether gradients are clipped or not."""
    train = {**windows[0], "weight": np.full(len(windows[0]["label"]), weight, dtype=np.float32)}
    norms, backward, shape = [], Fabric.backward, {**SHAPE, "dropout": 0.0, "hidden_dropout": 0.0}

    def fitted(network):
        def watched(*arguments):
            backward(*arguments)
            norms.append(float(torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm()))

        monkeypatch.setattr(Fabric, "backward", watched)
        area = iter((0.1, 0.2, 0.3))  # the last weights are kept
        monkeypatch.setattr("cisgrammar.engine.validate", lambda *_: (1.0, next(area)))
        settings, fabric = {**SETTINGS, "epochs": 2}, set_up("cpu", 1, 0)
        return fit(network, train, windows[1], settings, fabric, np.random.default_rng(5), "train")

    torch.manual_seed(8)
    together = detectors(**shape)
    start = copy_state(together)
    alone = [detectors(**{**shape, "members": 1}) for _ in range(2)]
    for member, network in enumerate(alone):
        network.load_state_dict({name: value[member, None] for name, value in start.items()})
    histories = [fitted(network) for network in (together, *alone)]
    norms = np.array(norms).reshape(3, -1)
    assert (norms < 1).all() if weight < 1 else (norms > 1).mean() > 0.9
    assert norms[0] == pytest.approx(np.hypot(norms[1], norms[2]), rel=1e-3)
    for member, network in enumerate(alone):
        for name, value in network.state_dict().items():
            assert (start[name][member] - value[0]).abs().max() > 1e-3
            assert torch.allclose(together.state_dict()[name][member], value[0], atol=1e-5), name
    losses = [history["train_loss"][1:].to_numpy() for history in histories]
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-6)


def test_starting_weights_compete(trained, windows):
    network = detectors(**SHAPE)
    network.load_state_dict(trained[0].state_dict())
    before = copy_state(network)
    settings = {**SETTINGS, "learning_rate": 0.5, "epochs": 2}
    history = fit(network, *windows, settings, set_up("cpu", 1, 0), np.random.default_rng(0), "all")
    assert history["kept"].tolist()[0] == 1
    assert history["validation_auprc"][1:].max() < history["validation_auprc"][0]
    assert equal_states(before, network.state_dict())


def test_patience(windows):
    """At a learning rate of nearly 0 nothing gets better, and training stops."""
    _, history = run(
        windows, seed=1, learning_rate=1e-20, weight_decay=0, patience=2, epochs=50, negatives_per_positive=1
    )
    better = (history["validation_auprc"] > history["validation_auprc"].cummax().shift(fill_value=-1)) | (
        history["validation_loss"] < history["validation_loss"].cummin().shift(fill_value=np.inf)
    )
    assert len(history) < 20
    assert not better[-2:].any() and better[-3:].any()


@pytest.mark.parametrize("learning_rate", [1e30, float("inf")])
def test_loss_that_is_no_number(trained, windows, learning_rate):
    network = detectors(**SHAPE)
    network.load_state_dict(trained[0].state_dict())
    before = copy_state(network)
    settings = {**SETTINGS, "learning_rate": learning_rate}
    with pytest.raises(InputError, match=r"in step [12] of epoch 1 of phase all, at a learning rate of"):
        fit(network, *windows, settings, set_up("cpu", 1, 0), np.random.default_rng(0), "all")
    assert equal_states(before, network.state_dict())


def test_outputs_learn_their_own_task():
    """Two tasks with opposite labels on the same windows: each output of the head ranks its own way."""
    rng = np.random.default_rng(4)

    def both(n_positives, n_negatives, flank_bp):
        one = planted(n_positives, n_negatives, rng, flank_bp)
        parts = {name: np.concatenate([one[name]] * 2) for name in ("codes", "weight")}
        label = np.concatenate([one["label"], 1 - one["label"]])
        return {**one, **parts, "label": label, "task": np.repeat([0, 1], len(one["label"]))}

    train, validation = both(150, 150, FLANK_BP), both(60, 60, 0)
    network = detectors(**SHAPE, tasks=2)
    history = fit(network, train, validation, SETTINGS, set_up("cpu", 1, 1), np.random.default_rng(1), "train")
    assert history["validation_auprc"].max() > 0.9
    logits = score(network, validation["codes"][:120])
    assert np.corrcoef(logits.T)[0, 1] < -0.5


def test_a_channel_that_tells_is_used():
    """Random bases, and a channel that is 2 higher over a stretch of the bound windows: the bases alone are no help."""

    def noisy(n, rng, flank_bp):
        data = planted(0, n, rng, flank_bp)
        data["label"] = np.repeat([1, 0], n // 2).astype(np.uint8)
        channel = rng.normal(size=(n, 1, data["codes"].shape[1])).astype(np.float16)
        channel[: n // 2, :, 20:40] += 2
        return {**data, "channels": channel}

    rng = np.random.default_rng(5)
    train, validation = noisy(300, rng, FLANK_BP), noisy(200, rng, 0)
    found = []
    for channels in (4, 5):
        fabric, network = set_up("cpu", 1, 1), detectors(**SHAPE, channels=channels)
        data = [{**part, "channels": part["channels"] if channels == 5 else None} for part in (train, validation)]
        settings = {**SETTINGS, "epochs": 3}
        found.append(fit(network, *data, settings, fabric, np.random.default_rng(1), "train")["validation_auprc"].max())
    assert found[0] < 0.65
    assert found[1] > 0.95


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_stops_training():
    with pytest.raises(InputError, match="device: cuda is set"):
        set_up("cuda", 1, 0)


def test_set_up():
    fabric = set_up("cpu", 1, 4)
    first = torch.rand(3)
    assert fabric.device.type == "cpu"
    assert torch.get_num_threads() == 1
    set_up("cpu", 1, 4)
    assert torch.equal(first, torch.rand(3))


def test_network_settings_build_a_network():
    settings = {**SETTINGS, **SHAPE, "architecture": "detectors", "network": {}}
    data = {"normalisation": [{"name": "open"}], "encoding": {"position_channel": True}}
    built = network_settings(settings, data, tasks=3)
    assert built == {"architecture": "detectors", **SHAPE, "tasks": 3, "channels": 6}
    network = build_network(**built)
    assert network.detectors.weight.shape == (2, 16, 6, 11) and network.head.weight.shape == (2, 3, 16)


def test_network_settings_take_those_of_the_architecture():
    settings = {**SETTINGS, **SHAPE, "architecture": "dilated", "network": {"depth": 2, "pool": "attention"}}
    built = network_settings(settings, {"normalisation": [], "encoding": {"position_channel": False}})
    assert (built["depth"], built["pool"], built["filters"], built["channels"]) == (2, "attention", 16, 4)
    assert "learning_rate" not in built
    with pytest.raises(InputError, match=r"training\.units: the architecture dilated takes"):
        build_network(**built, units=3)


def test_describe():
    splits = pd.DataFrame(
        {"chrom": ["chr2", "chr1", "chr3", "chrM"], "split": ["train", "train", "validation", "ignored"]}
    )
    found = describe(SHAPE, 11, {"window_bp": 60}, splits, tf="CTCF")
    assert found["chromosomes"] == {"train": ["chr1", "chr2"], "validation": ["chr3"], "test": []}
    assert (found["network"], found["window_bp"], found["tf"]) == (SHAPE, 60, "CTCF")
    assert found["receptive_field_bp"] == 11
    assert (found["channels"], found["encoding"]) == ([], {})
    channels, encoding = [{"name": "open", "mean": 1.0, "sd": 2.0}], {"unknown": "uniform"}
    found = describe(SHAPE, 11, {"window_bp": 60, "normalisation": channels, "encoding": encoding}, splits)
    assert (found["channels"], found["encoding"]) == (channels, encoding)
    assert describe(SHAPE, float("inf"), {"window_bp": 60}, splits)["receptive_field_bp"] == 60


@pytest.fixture
def genome(write_genome):
    return write_genome({"chr1": "ACGTACGGTT" * 10})


def write_example(path, genome, starts, width_bp, **more):
    """Windows of one chromosome, of which the first is bound."""
    table = pd.DataFrame({"chrom": "chr1", "start": starts, "name": "train"})
    table["end"] = table["start"] + width_bp
    write_sequences(table[:1], table[1:], genome, 2, path, **more)
    return path


def test_tasks_are_joined_in_order(tmp_path, genome):
    one = write_example(tmp_path / "one.h5", genome, [10, 30, 50], 10)
    two = write_example(tmp_path / "two.h5", genome, [0, 40], 10)
    joined = join_tasks([one, two], "train", flank=True)
    assert joined["task"].tolist() == [0, 0, 0, 1, 1]
    assert joined["label"].tolist() == [1, 0, 0, 1, 0]
    # The chromosome repeats every 10 bp, so that all windows but the one at its end are the same: two are stored.
    assert joined["codes"].shape == (2, 14)
    parts = [read_task(path, "train", flank=True) for path in (one, two)]
    np.testing.assert_array_equal(joined["codes"][joined["window"]], np.concatenate([part["codes"] for part in parts]))
    assert joined["codes"][joined["window"]][3, :4].tolist() == [4, 4, 0, 1]
    assert (joined["window_bp"], joined["flank_bp"]) == (10, 2)
    assert join_tasks([one, two], "train")["codes"].shape == (1, 10)
    assert read_task(two, "train", task=3)["task"].tolist() == [3, 3]


def test_a_stored_window_is_drawn_for_each_of_its_labels(tmp_path, genome):
    paths = [write_example(tmp_path / f"{n}.h5", genome, [0, 40], 10) for n in "ab"]
    joined, one = join_tasks(paths, "train", flank=True), read_task(paths[0], "train", flank=True)
    drawn, _ = draw_windows(joined, np.array([2, 0, 3]), np.random.default_rng(3))
    apart, _ = draw_windows(one, np.array([0, 0, 1]), np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, apart)


def test_rows_by_task():
    assert [rows.tolist() for rows in rows_by_task(np.array([3, 0, 3, 0, 1]))] == [[1, 3], [4], [0, 2]]


def test_the_chosen_outputs_are_those_of_all():
    """Of three heads each window has one; the others are left out of the scores and of the loss."""
    torch.manual_seed(1)
    network = detectors(**SHAPE, tasks=3).eval()
    codes = np.random.default_rng(1).integers(0, 4, (7, 30)).astype(np.uint8)
    tasks = np.array([0, 2, 1, 1, 0, 2, 2])
    expected = score(network, codes)[np.arange(7), tasks]
    np.testing.assert_allclose(score(network, codes, tasks=tasks, batch_size=3), expected, rtol=1e-5, atol=1e-6)


def test_tasks_of_different_width_are_refused(tmp_path, genome):
    paths = [write_example(tmp_path / f"{width}.h5", genome, [10, 50], width) for width in (10, 12)]
    with pytest.raises(InputError, match=r"windows differ in width among .*10\.h5, .*12\.h5"):
        join_tasks(paths, "train")


def write_track(path, rows):
    path.write_text("".join(f"chr1\t{start}\t{end}\t{value}\n" for start, end, value in rows))
    return path


def test_channels_of_tasks_are_joined(tmp_path, genome):
    """Each experiment keeps its own normalisation; names and encoding must agree."""
    tracks = [write_track(tmp_path / f"{n}.bedGraph", [(0, 20, n), (20, 50, 5)]) for n in (1, 2)]
    paths = [
        write_example(tmp_path / f"{n}.h5", genome, [10, 30], 10, channels=[("open", track)], position_channel=True)
        for n, track in zip("ab", tracks, strict=True)
    ]
    joined, one = join_tasks(paths, "train"), read_task(paths[1], "train")
    assert joined["channels"].shape == (4, 1, 10)
    assert joined["window"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(joined["channels"][2:], one["channels"])
    (channel,) = joined["normalisation"]
    assert channel["name"] == "open"
    # of the 28 bases of both windows with their flanks, 12 lie before base 20
    assert channel["mean"] == pytest.approx([(12 * 1 + 16 * 5) / 28, (12 * 2 + 16 * 5) / 28])
    assert (one["normalisation"][0]["mean"], one["normalisation"][0]["sd"]) == (channel["mean"][1], channel["sd"][1])
    assert joined["encoding"] == {"unknown": "zero", "centred": False, "position_channel": True}
    assert count_channels(joined) == count_channels(one) == 6
    assert count_channels(read_task(write_example(tmp_path / "c.h5", genome, [10, 30], 10), "train")) == 4
    with pytest.raises(InputError, match=r"channels differ among .*a\.h5, .*c\.h5"):
        join_tasks([paths[0], tmp_path / "c.h5"], "train")


def test_a_split_without_windows_is_refused(tmp_path, genome):
    path = write_example(tmp_path / "one.h5", genome, [10, 50], 10)
    with pytest.raises(InputError, match=r"one\.h5: no window of the validation chromosomes"):
        read_task(path, "validation")


def write_chromosomes(path, write_genome, peaks):
    """Windows of 10 bp on training and validation chromosomes; peaks: dict of chromosome to (split, number of peaks)."""
    genome = write_genome(dict.fromkeys(peaks, "ACGTACGGTT" * 20), folder="chromosomes")
    rows = [
        {"chrom": chrom, "start": 10 * i, "end": 10 * i + 10, "name": split, "peak": i < n}
        for chrom, (split, n) in peaks.items()
        for i in range(10)
    ]
    table = pd.DataFrame(rows)
    write_sequences(table[table["peak"]], table[~table["peak"]], genome, 2, path)
    return path


PEAKS = {"chr1": ("train", 5), "chr2": ("train", 3), "chr3": ("train", 2), "chr4": ("validation", 4)}


def test_one_fold_is_the_split(tmp_path, write_genome):
    path = write_chromosomes(tmp_path / "a.h5", write_genome, PEAKS)
    ((train, validation),) = read_folds(path, 1)
    assert set(train["chrom"]) == {"chr1", "chr2", "chr3"} and train["codes"].shape == (30, 14)
    assert set(validation["chrom"]) == {"chr4"} and validation["codes"].shape == (10, 10)


def test_folds_hold_out_every_chromosome_once(tmp_path, write_genome):
    """Of 5, 4, 3 and 2 peaks the first two go to a fold each, then 3 to the smaller one and 2 to the other one."""
    path = write_chromosomes(tmp_path / "a.h5", write_genome, PEAKS)
    pairs = read_folds(path, 2)
    assert [set(validation["chrom"]) for _, validation in pairs] == [{"chr1", "chr3"}, {"chr4", "chr2"}]
    for train, validation in pairs:
        assert set(train["chrom"]) | set(validation["chrom"]) == set(PEAKS)
        assert not set(train["chrom"]) & set(validation["chrom"])
        assert train["codes"].shape == (20, 14) and validation["codes"].shape == (20, 10)
        assert len(train["task"]) == len(train["mask"]) == len(train["weight"]) == 20
    plain = read_task(path, "validation")
    rows = pairs[1][1]["chrom"] == "chr4"
    np.testing.assert_array_equal(pairs[1][1]["codes"][rows], plain["codes"])
    np.testing.assert_array_equal(pairs[1][1]["label"][rows], plain["label"])


def test_more_folds_than_chromosomes_are_refused(tmp_path, write_genome):
    path = write_chromosomes(tmp_path / "a.h5", write_genome, PEAKS)
    with pytest.raises(InputError, match=r"training\.folds: 5 folds of 4 training and validation chromosomes"):
        read_folds(path, 5)


def test_a_network_starts_from_motifs():
    """The named matrices fill the first filters; one that is not there is refused, and so is a pair out of sight."""
    built = {"architecture": "shallow", "filters": 3, "filter_bp": 4, "first_layer": "free"}
    matrix = np.array([[0.7, 0.1], [0.1, 0.1], [0.1, 0.1], [0.1, 0.7]])
    settings = {**SETTINGS, "start_from": ["M1"], "pair_bp": None}
    weight = start_network(built, settings, 20, {"M1": ("TF", matrix)}).detectors.weight[0, 0]
    expected = np.log((100 * matrix + 0.25) / 101 / 0.25)
    np.testing.assert_allclose(weight.detach().numpy()[:, 1:3], expected, rtol=1e-5)
    assert not weight[:, [0, 3]].any()
    with pytest.raises(InputError, match=r"training\.start_from: M2 not among"):
        start_network(built, {**settings, "start_from": ["M1", "M2"]}, 20, {"M1": ("TF", matrix)})
    with pytest.raises(InputError, match="sees 4 bp, and the motif pair spans 9 bp"):
        start_network(built, {**settings, "start_from": [], "pair_bp": 9}, 20)


def test_strands_are_checked():
    data = planted(10, 10, np.random.default_rng(0), flank_bp=0)
    network = detectors(**SHAPE)
    check_strands(network, data)
    network.forward = lambda sequences: sequences[:, :1, 0] * 3
    with pytest.raises(InputError, match="scores the two strands of a window differently, by 3"):
        check_strands(network, data)


def test_positive_weights_by_hand():
    # task 0: 2 positives, 10 negatives, 4 drawn; task 1: 3 positives, 5 negatives, all drawn
    labels, tasks = np.repeat([1, 0, 1, 0], [2, 10, 3, 5]), np.repeat([0, 1], [12, 8])
    assert positive_weights(labels, tasks, 2).tolist() == pytest.approx([2, 5 / 3])
