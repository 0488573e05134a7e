"""Transfer: no leak, frozen layers stay bit for bit, and what is delivered is not worse."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar import transfer
from cisgrammar.architectures import build_network
from cisgrammar.engine import Checkpoint, Layers, fit
from cisgrammar.log import InputError
from cisgrammar.relatives import start_from_sources
from cisgrammar.training import set_up
from cisgrammar.transfer import (
    adapt,
    balance_tasks,
    check_origin,
    choose_delivered,
    drift,
    find_held,
    fine_tune,
    layer_groups,
    measure_curve,
    origins,
    seen_chromosomes,
    thin,
)
from training_data import TRAINING, copy_state, equal_states, planted

SHAPE = {"filters": 6, "filter_bp": 9, "hidden": 5, "dropout": 0.2, "hidden_dropout": 0.1, "members": 2}
BUILT = {"architecture": "detectors", **SHAPE, "tasks": 1, "channels": 4}
SETTINGS = {**TRAINING, **SHAPE, "batch_size": 32, "learning_rate": 0.02, "epochs": 2, "negatives_per_positive": 2}
TRANSFER = {
    "most": 2,
    "floor": 0,
    "filters_per_source": 3,
    "own_filters": 4,
    "head_epochs": 3,
    "epochs": 2,
    "learning_rate_ratio": 0.5,
    "decay": 0.1,
    "pull": 0,
    "sizes": [20],
    "seeds": 2,
}
TARGET = {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3", "chr4"]}
PLACE = "K562/GATA1"


def windows(n, seed):
    data = planted(n, 2 * n, seed)
    more = {"channels": None, "normalisation": [], "encoding": {"unknown": "zero"} | {"position_channel": False}}
    negatives = np.where(data["label"] == 1, "", "matched")
    return {**data, **more, "length": np.full(3 * n, 50), "negatives": negatives, "genome": "sequence:1"}


def source(seed, **changes):
    torch.manual_seed(seed)
    built = {**BUILT, **changes}
    return build_network(**built).eval(), {"network": built, "sources": []}


@pytest.fixture
def fabric():
    return set_up("cpu", 1, 7)


@pytest.mark.parametrize(
    "origin",
    [
        {"chromosomes": {"train": ["chr1", "chr5"], "validation": ["chr2"], "test": ["chr3"]}},
        {"chromosomes": {"train": []}},
        {"chromosomes": {"train": ["chr2", "chr3"]}, "genome": "sequence:of-a-mouse"},
        {"chromosomes": {"train": ["chr1"]}, "cell_type": "K562", "tf": "GATA2", "sources": ["HepG2/GATA1"]},
        {"chromosomes": {"train": ["chr1"], "validation": ["chr2"]}, "settings": {"folds": 1}},
        {"chromosomes": {"train": ["chr1"]}, "genome": "sequence:1", "seen": {"sequence:of-a-mouse": ["chr3"]}},
    ],
)
def test_no_leak_passes(origin):
    check_origin(origin, PLACE, TARGET, "sequence:1", "x")


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"chromosomes": {"train": ["chr1", "chr2"]}}, "old was trained on chr2, validation chromosomes of K562/GATA1"),
        ({"chromosomes": {"train": ["chr4", "chr1", "chr3"]}}, "trained on chr3, chr4, test chromosomes"),
        ({"chromosomes": {"train": ["chr3"]}, "genome": "sequence:1"}, "trained on chr3, test"),
        ({"chromosomes": {"train": ["chr3"]}, "genome": ""}, "trained on chr3, test"),
        ({"chromosomes": {"train": ["chr1"]}, "cell_type": "K562", "tf": "GATA1"}, "the target itself"),
        ({"chromosomes": {"train": ["chr1"]}, "sources": ["a/b", PLACE]}, "old was trained on K562/GATA1, the target"),
        (
            {"chromosomes": {"train": ["chr1"], "validation": ["chr2"]}, "settings": {"folds": 5}},
            "trained on chr2, validation",
        ),
        (
            {"chromosomes": {"train": ["chr3"]}, "genome": "sequence:of-a-mouse", "seen": {"sequence:1": ["chr4"]}},
            "trained on chr4, test",
        ),
    ],
)
def test_a_leak_stops(origin, message):
    with pytest.raises(InputError, match=message):
        check_origin(origin, PLACE, TARGET, "sequence:1", "old")


def test_what_sources_have_seen_adds_up():
    """Chromosomes by genome, validation ones of a network that was validated in folds included."""
    mouse = {"chromosomes": {"train": ["chr2"], "validation": ["chr1"]}, "genome": "b", "settings": {"folds": 3}}
    both = {"chromosomes": {"train": ["chr5"]}, "genome": "a", "seen": {"b": ["chr9"], "a": ["chr4"]}}
    assert seen_chromosomes(mouse, both) == {"a": ["chr4", "chr5"], "b": ["chr1", "chr2", "chr9"]}
    assert seen_chromosomes() == {}


def test_origins_are_those_of_sources_too():
    assert origins({"cell_type": "a", "tf": "b", "sources": ["c/d"]}) == ["a/b", "c/d"]
    assert origins({"sources": ["c/d", "a/b"]}) == ["a/b", "c/d"]
    assert origins({}) == []


def test_tasks_count_alike():
    """Tasks of 3 and 1 positives have the weights 2/3 and 2 in place of 1."""
    data = {
        "label": np.array([1, 1, 1, 0, 1, 0]),
        "task": np.array([0, 0, 0, 0, 1, 1]),
        "weight": np.ones(6, np.float32),
    }
    np.testing.assert_allclose(balance_tasks(data)["weight"], [2 / 3] * 4 + [2] * 2, rtol=1e-6)
    assert balance_tasks(data)["weight"].dtype == np.float32


def test_groups_of_a_trunk_go_from_the_top_down():
    network = build_network(**BUILT)
    groups, old = layer_groups(network)
    assert [len(group) for group in groups] == [2, 2, 2]
    assert groups[0][0] is network.head.weight
    assert groups[1][0] is network.trunk[3].weight
    assert groups[2][0] is network.trunk[0].free
    assert old == [network.trunk]


def test_groups_of_trunks_side_by_side():
    network, _, _ = start_from_sources({"a": source(1), "b": source(2)}, windows(20, 1), BUILT, TRANSFER)
    groups, old = layer_groups(network)
    first, second, own = network.trunk.trunks
    assert [len(group) for group in groups] == [6, 4, 4]
    assert {id(parameter) for parameter in own.parameters()} < {id(parameter) for parameter in groups[0]}
    assert [parameter is first[0].free for parameter in groups[2]] == [True, False, False, False]
    assert old == [first, second]


def watch(monkeypatch):
    """The weights before and after each phase of fine-tuning."""
    states = []

    def watched(network, *arguments, **named):
        states.append(copy_state(network))
        history = fit(network, *arguments, **named)
        states.append(copy_state(network))
        return history

    monkeypatch.setattr(transfer, "fit", watched)
    return states


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_phases(monkeypatch, fabric):
    """What is transferred stays bit for bit in the first phase, filters in the second; then everything moves."""
    states = watch(monkeypatch)
    network, _, _ = start_from_sources({"a": source(1), "b": source(2)}, windows(20, 1), BUILT, TRANSFER)
    start = copy_state(network)
    history, moved = fine_tune(
        network, windows(60, 1), windows(30, 2), SETTINGS, TRANSFER, fabric, np.random.default_rng(7)
    )
    assert history["phase"].tolist() == ["head"] * 4 + ["top"] * 3 + ["all"] * 3
    assert history.groupby("phase")["kept"].sum().tolist() == [1, 1, 1]
    assert equal_states(start, states[0])
    parts = {name: name.split(".")[2] for name in start if name.startswith("trunk")}
    of_sources = {name for name, part in parts.items() if part in "01"}
    hidden = {name for name in of_sources if name.split(".")[3] == "3"}
    assert changed(states[0], states[1]) == set(start) - of_sources
    assert moved["head"] == 0
    assert changed(states[2], states[3]) <= set(start) - of_sources | hidden
    assert changed(states[2], states[3]) & hidden
    assert changed(states[0], states[5]) == set(start)
    assert 0 < moved["top"] < moved["all"]


def test_a_normalised_trunk_is_frozen_with_its_statistics(monkeypatch, fabric):
    states = watch(monkeypatch)
    built = {"architecture": "basset", **SHAPE, "factors": [2, 2, 2], "tasks": 1, "channels": 4}
    torch.manual_seed(1)
    network = build_network(**built)
    fine_tune(network, windows(40, 1), windows(20, 2), SETTINGS, TRANSFER, fabric, np.random.default_rng(7))
    assert changed(states[0], states[1]) == {"head.weight", "head.bias"}
    assert any("running" in name or "mean" in name for name in changed(states[0], states[-1]))


def test_lower_layers_learn_slower(fabric):
    """Steps of AdamW are as long as the rate where gradients do not vanish."""
    network = build_network(**BUILT)
    before = copy_state(network)
    layers = [Layers([network.head.bias]), Layers([network.trunk[0].bias], 0.01)]
    settings = {**SETTINGS, "epochs": 1, "batch_size": 1000, "weight_decay": 0}
    fit(network, windows(40, 1), windows(20, 2), settings, fabric, np.random.default_rng(1), "x", layers)
    steps = [(network.state_dict()[name] - before[name]).abs().max() for name in ("head.bias", "trunk.0.bias")]
    assert steps[0] > 0
    assert float(steps[1] / steps[0]) == pytest.approx(0.01, rel=0.1)


def test_a_pull_holds_weights_where_they_came_from(fabric):
    moved = []
    for pull in (0, 200):
        torch.manual_seed(3)
        network = build_network(**BUILT)
        arguments = {**TRANSFER, "epochs": 3, "pull": pull}, fabric, np.random.default_rng(7)
        moved.append(fine_tune(network, windows(60, 1), windows(30, 2), SETTINGS, *arguments)[1]["all"])
    assert 0 < moved[1] < 0.5 * moved[0]


def test_layers_are_drawn_back_by_rate_times_pull():
    weight = torch.nn.Parameter(torch.tensor([1.0, 3.0]))
    Layers([weight], 0.5, [torch.tensor([0.0, 1.0])], pull=2.0).draw_back(0.1)
    torch.testing.assert_close(weight.data, torch.tensor([0.9, 2.8]))
    assert Layers([weight], 0.5, [weight], 2.0).group()["weight_decay"] == 0
    assert "weight_decay" not in Layers([weight]).group()


def test_drift():
    """From (3, 4) by (0, 5): the norms are 5 and 5."""
    assert drift([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 9.0])]) == pytest.approx(1)
    assert drift([torch.zeros(2)], [torch.zeros(2)]) == 0


def test_adapt(monkeypatch, fabric):
    """The merged network scores as the one that was trained; tasks of the sources are judged before and after."""
    held = windows(20, 9)
    monkeypatch.setattr(transfer, "read_sequences", lambda path, split: held)
    sources = {"x/a": source(1), "x/b": source(2)}
    paths = find_held(sources, {"x/a": "a.h5", "x/b": "b.h5"})
    assert paths == {"x/a": [("x/a", "a.h5")], "x/b": [("x/b", "b.h5")]}
    found = adapt(
        *(sources, windows(60, 1), windows(30, 2), BUILT, SETTINGS, TRANSFER, fabric, np.random.default_rng(7)),
        held=paths,
    )
    assert (found["built"]["filters"], found["built"]["hidden"]) == (10, 15)
    again = build_network(**found["built"])
    again.load_state_dict(found["network"].state_dict())
    kept = found["history"].query("kept == 1").iloc[-1]
    assert transfer.task_auprc(again, windows(30, 2)) == pytest.approx(kept["validation_auprc"], abs=1e-6)
    assert {task["task"] for task in found["tasks"]} == {"x/a", "x/b"}
    assert all(task["before"] != task["after"] for task in found["tasks"])
    nothing = adapt(
        *(sources, windows(60, 1), windows(30, 2), BUILT, SETTINGS, {**TRANSFER, "floor": 99}, fabric),
        np.random.default_rng(7),
    )
    assert nothing["network"] is None


def test_heads_of_one_source_are_its_tasks():
    several = source(1, tasks=2)[1] | {"sources": ["x/a", "x/b"]}
    assert find_held({"all": (None, several)}, {"x/a": 1, "x/b": 2}) == {"all": [("x/a", 1), ("x/b", 2)]}
    assert find_held({"all": (None, several)}, {"x/a": 1}) == {}


def test_what_is_delivered_ranks_the_validation_windows_best():
    validation = windows(30, 2)
    scratch, worse = source(1), source(2)
    with torch.no_grad():
        worse[0].head.weight.zero_()
    models = {"scratch": (scratch[0], BUILT), "transfer": (worse[0], BUILT)}
    name, model, auprc = choose_delivered(models, validation)
    assert set(auprc) == {"scratch", "transfer", "both"}
    assert auprc["transfer"] == pytest.approx(1 / 3)
    assert auprc[name] == max(auprc.values())
    assert model[1]["filters"] == (12 if name == "both" else 6)
    name, _, auprc = choose_delivered({"scratch": models["scratch"]}, validation)
    assert (name, set(auprc)) == ("scratch", {"scratch"})


def test_the_mean_is_delivered_unless_another_is_better_by_a_standard_error(monkeypatch):
    """Of 0.8 on 100 peaks the standard error is 0.04, on 4 peaks 0.2."""
    models = {name: (source(1)[0], BUILT) for name in ("scratch", "transfer")}

    def delivered(scratch, both, n_peaks):
        values = iter([scratch, 0.1, both])
        monkeypatch.setattr(transfer, "task_auprc", lambda network, data: next(values))
        return choose_delivered(models, windows(n_peaks, 2))[0]

    assert delivered(0.8, 0.75, 100) == "scratch"
    assert delivered(0.8, 0.77, 100) == "both"
    assert delivered(0.8, 0.62, 4) == "both"
    assert delivered(0.8, 0.58, 4) == "scratch"
    assert delivered(0.7, 0.8, 100) == "both"


def test_thin_keeps_proportions():
    train, validation = thin([windows(80, 1), windows(20, 2)], 50, np.random.default_rng(1))
    assert [int(part["label"].sum()) for part in (train, validation)] == [40, 10]
    assert [len(part["label"]) for part in (train, validation)] == [120, 30]
    assert len(train["codes"]) == 120
    whole = thin([windows(8, 1)], 100, np.random.default_rng(1))[0]
    np.testing.assert_array_equal(whole["codes"], windows(8, 1)["codes"])
    assert thin([windows(8, 1), windows(2, 2)], 1, np.random.default_rng(1))[1]["label"].sum() == 1


def test_curve(fabric):
    parts = windows(40, 1), windows(20, 2), windows(30, 3)
    curve = measure_curve(lambda: {"x/a": source(1)}, parts, SETTINGS, TRANSFER, fabric, 5)
    assert curve.groupby(["n_peaks", "seed", "model"]).size().eq(1).all()
    assert curve["n_peaks"].unique().tolist() == [20, 60]
    assert curve["seed"].unique().tolist() == [5, 6]
    assert curve["model"].unique().tolist() == ["transfer", "scratch", "delivered"]
    wide = curve.pivot(index=["n_peaks", "seed"], columns="model", values="auprc")
    assert (wide["scratch"] != wide["transfer"]).any()
    alone = measure_curve(lambda: {"x/a": source(1)}, parts, SETTINGS, {**TRANSFER, "floor": 99}, fabric, 5)
    assert alone["choice"].eq("scratch").all()
    wide = alone.pivot(index=["n_peaks", "seed"], columns="model", values="auprc")
    assert wide["scratch"].equals(wide["delivered"].rename("scratch"))


def test_curve_goes_on_where_it_stopped(fabric, tmp_path, monkeypatch):
    """Killed in the third of four comparisons, it does two more, and the table is that of a curve that was not disturbed."""
    parts, compared = (windows(40, 1), windows(20, 2), windows(30, 3)), []

    def compare(*arguments, kill_at=None):
        if len(compared) == kill_at:
            raise KeyboardInterrupt
        compared.append(arguments)
        return adapt(*arguments)

    def measure():
        checkpoint = Checkpoint(tmp_path / "curve.tsv", "key")
        return measure_curve(lambda: {"x/a": source(1)}, parts, SETTINGS, TRANSFER, fabric, 5, checkpoint=checkpoint)

    monkeypatch.setattr(transfer, "adapt", partial(compare, kill_at=2))
    with pytest.raises(KeyboardInterrupt):
        measure()
    monkeypatch.setattr(transfer, "adapt", compare)
    found = measure()
    assert len(compared) == 4
    pd.testing.assert_frame_equal(
        found, measure_curve(lambda: {"x/a": source(1)}, parts, SETTINGS, TRANSFER, fabric, 5), check_exact=True
    )


def test_few_peaks_gain_from_a_source_with_many(fabric):
    """With 8 training peaks of the planted motif, test AUPRC is at least 0.2 above that of a network from scratch."""
    settings = {**SETTINGS, "epochs": 6, "patience": 6}
    torch.manual_seed(1)
    rich = build_network(**BUILT)
    fit(rich, windows(200, 1), windows(40, 2), settings, fabric, np.random.default_rng(1), "train")
    parts, test = (windows(8, 3), windows(4, 4)), windows(100, 5)
    torch.manual_seed(2)
    own = build_network(**BUILT)
    fit(own, *parts, settings, fabric, np.random.default_rng(2), "train")
    sources = {"rich/TF": (rich, {"network": BUILT, "sources": []})}
    found = adapt(sources, *parts, BUILT, settings, TRANSFER, fabric, np.random.default_rng(2))
    models = {"scratch": (own, BUILT), "transfer": (found["network"], found["built"])}
    _, delivered, _ = choose_delivered(models, parts[1])
    scratch = transfer.task_auprc(own, test)
    assert transfer.task_auprc(found["network"], test) > scratch + 0.2
    assert transfer.task_auprc(delivered[0], test) > scratch + 0.2
