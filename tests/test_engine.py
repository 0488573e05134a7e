"""The engine: schedules, losses, averages, and that a training that was killed ends as if it had not been."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar import engine
from cisgrammar.architectures import detectors
from cisgrammar.engine import (
    Checkpoint,
    average_weights,
    fingerprint,
    fit,
    one_cycle,
    passes,
    warm_plateau,
    windows_per_step,
)
from cisgrammar.log import InputError
from cisgrammar.training import set_up
from conftest import ROOT
from safetensors.torch import load_file
from training_data import TRAINING, equal_states, planted

SHAPE = {"filters": 6, "filter_bp": 9, "hidden": 5, "dropout": 0.2, "hidden_dropout": 0.2, "members": 2}
SETTINGS = {
    **TRAINING,
    "batch_size": 32,
    "learning_rate": 0.01,
    "epochs": 4,
    "negatives_per_positive": 2,
    "checkpoint_s": 0,
}
TRAIN, VALIDATION = planted(60, 200, 1, flank_bp=3), planted(30, 100, 2)


def run(checkpoint=None, train=TRAIN, **changes):
    """(weights, history) of a small training with seed 3."""
    settings = {**SETTINGS, **changes}
    fabric = set_up("cpu", 1, 3, settings["precision"])
    network = detectors(**SHAPE)
    rng = np.random.default_rng(3)
    return network, fit(network, train, VALIDATION, settings, fabric, rng, "train", checkpoint=checkpoint)


class Killed(BaseException):
    """Stands for SIGKILL where no process is to be lost."""


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"schedule": "plateau", "patience": 3}, {"domains": "reversal"}])
@pytest.mark.parametrize("at", [1, 7, 13, 14, 19])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, monkeypatch, changes, at):
    """Killed in the first, a middle and the last step of an epoch, and between the writing of two checkpoints."""
    train = {**TRAIN, "domain": np.arange(260) % 2} if "domains" in changes else TRAIN
    expected = run(train=train, **changes)
    checkpoint = Checkpoint(tmp_path / "model.safetensors", "key", 0)
    take_step, taken = engine.Fitting.take_step, []

    def interrupted(self, rows, rng):
        taken.append(1)
        if len(taken) == at:
            raise Killed
        return take_step(self, rows, rng)

    monkeypatch.setattr(engine.Fitting, "take_step", interrupted)
    with pytest.raises(Killed):
        run(checkpoint, train, **changes)
    assert checkpoint.read("train") is not None
    torch.manual_seed(99)
    found = run(checkpoint, train, **changes)
    assert equal_states(expected[0].state_dict(), found[0].state_dict())
    pd.testing.assert_frame_equal(expected[1], found[1], check_exact=True)
    assert len(taken) < 2 * 24
    checkpoint.clear()
    assert not list(tmp_path.iterdir())


def test_checkpoints_change_nothing(tmp_path, whole):
    checkpoint = Checkpoint(tmp_path / "model.safetensors", "key", 0)
    found = run(checkpoint)
    assert equal_states(whole[0].state_dict(), found[0].state_dict())
    again = run(checkpoint)  # a phase that is done is not repeated
    assert equal_states(whole[0].state_dict(), again[0].state_dict())
    pd.testing.assert_frame_equal(whole[1], again[1], check_exact=True)


def test_sigkill(tmp_path):
    """A process that is killed at an unforeseen moment, again and again, ends with the bits of one that was not."""
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path[:0] = [{str(ROOT / "workflow/scripts")!r}, {str(ROOT / "tests")!r}]
        from pathlib import Path
        import test_engine
        from cisgrammar import engine
        from safetensors.torch import save_file
        take_step = engine.Fitting.take_step
        def slowly(self, rows, rng):
            time.sleep(0.02)
            print("step", flush=True)
            return take_step(self, rows, rng)
        engine.Fitting.take_step = slowly
        checkpoint = engine.Checkpoint(Path(sys.argv[1]), "key", 0)
        network, _ = test_engine.run(checkpoint)
        save_file(network.state_dict(), sys.argv[1])
        """)
    )
    result, kills = tmp_path / "model.safetensors", 0
    while not result.exists():
        process = subprocess.Popen([sys.executable, str(script), str(result)], stdout=subprocess.PIPE, text=True)
        for _, line in zip(range(9), process.stdout, strict=False):
            assert line == "step\n"
        if process.poll() is None and kills < 2:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.stdout.read()
        assert process.wait() in (0, -signal.SIGKILL)
    assert kills == 2
    assert equal_states(run()[0].state_dict(), load_file(result))


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path, caplog):
    checkpoint = Checkpoint(tmp_path / "model.safetensors", "key", 0)
    run(checkpoint)
    caplog.set_level("INFO")
    other = Checkpoint(tmp_path / "model.safetensors", "other key", 0)
    assert other.read("train") is None
    assert "is of other settings or data" in caplog.text
    assert checkpoint.read("train") is not None and checkpoint.read("head") is None


def test_windows_per_step():
    """Six windows per peak: 100, 250, 400 and 100,000 peaks, and some windows for a trial."""
    assert [windows_per_step(6 * n) for n in (100, 250, 400, 427, 100_000)] == [16, 37, 60, 64, 64]
    assert windows_per_step(5) == 16


def test_passes():
    """Of 100,000 peaks and five negatives each, in batches of 64, 9375 steps make a pass."""
    assert passes(38, 40, 50000) == 40
    assert passes(9375, 40, 50000) == 5
    assert passes(93750, 40, 50000) == 3
    assert passes(93750, 2, 50000) == 2


def test_many_windows_end_after_the_steps_allowed():
    """180 windows a pass, 6 steps of 32: 18 steps are 3 passes of 4, and the rate has fallen to its end after them."""
    _, history = run(steps=18, patience=10)
    assert history["epoch"].max() == 3
    assert history["learning_rate"].iloc[-1] < 1e-5


def test_fingerprint(tmp_path):
    """Settings, each array and each file count."""
    path = tmp_path / "code.py"
    path.write_text("a")

    def found(settings=SETTINGS, train=TRAIN):
        return fingerprint(settings, [(train, VALIDATION)], [path])

    first = found()
    assert first == found()
    assert first != found({**SETTINGS, "epochs": 5})
    for name in ("codes", "label", "weight", "task"):
        assert first != found(train={**TRAIN, name: TRAIN[name] + 1})
    assert first != found(train={**TRAIN, "channels": np.zeros((260, 1, 56), np.float16)})
    assert first != found(train={**TRAIN, "domain": np.arange(260) % 2})
    path.write_text("b")
    assert first != found()


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(tmp_path):
    """The rate is multiplied by 1e30 in the second epoch: the weights of the first one are in a file."""
    checkpoint = Checkpoint(tmp_path / "model.safetensors", "key", 60)
    rate = engine.Fitting.rate

    def suddenly(self, step):
        share = 1e30 if self.progress.epoch == 2 and self.progress.step >= 1 else 1
        return rate(self, step)[0] * share, rate(self, step)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.Fitting, "rate", suddenly)
        with pytest.raises(InputError, match="in step 3 of epoch 2 of phase train, at a learning rate of") as error:
            run(checkpoint)
    path = tmp_path / "model.checkpoint.last_good.safetensors"
    assert f"the weights of epoch 1 are in {path}" in str(error.value)
    assert all(value.isfinite().all() for value in load_file(path).values())


@pytest.mark.parametrize("total", [11, 50, 777])
def test_one_cycle_is_that_of_torch(total):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=total, pct_start=0.1)
    for step in range(total):
        (group,) = optimizer.param_groups
        rate, momentum = one_cycle(step, total)
        assert (0.3 * rate, momentum) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-6, abs=1e-12)
        optimizer.step()
        if step < total - 1:
            schedule.step()


def test_plateau_by_hand():
    assert [warm_plateau(step, 4, 1)[0] for step in (0, 1, 3, 4, 100)] == [0.25, 0.5, 1, 1, 1]
    assert warm_plateau(9, 4, 0.3)[0] == 0.3


def test_the_rate_falls_on_a_plateau():
    """With a rate of nearly 0 nothing gets better: patience 6, so that the rate falls after every second epoch."""
    _, history = run(schedule="plateau", learning_rate=1e-20, weight_decay=0, patience=6, epochs=30)
    rates = history["learning_rate"].to_numpy()[1:] / 1e-20
    assert rates[0] == pytest.approx(1) and rates[-1] < 0.3
    falls = rates[1:] / rates[:-1]
    assert set(np.round(falls, 6)) == {0.3, 1}


def test_average_by_hand():
    """The third step: d = min(0.9, 3 / 12)."""
    one, other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        for module, value in ((one, 8.0), (other, 4.0)):
            module.weight.fill_(value), module.bias.fill_(value / 2)
    average_weights(one, other, 0.9, 2)
    assert (one.weight.item(), one.bias.item()) == pytest.approx((5, 2.5))
    average_weights(one, other, 0.1, 2)
    assert one.weight.item() == pytest.approx(0.1 * 5 + 0.9 * 4)


def test_the_average_is_kept(whole):
    network, history = run(ema=0.9)
    assert not equal_states(whole[0].state_dict(), network.state_dict())
    assert history["train_loss"][1:].equals(whole[1]["train_loss"][1:])  # the steps are the same


@pytest.mark.parametrize(
    "changes", [{"loss": "focal"}, {"loss": "weighted_cross_entropy"}, {"label_smoothing": 0.1}, {"precision": "bf16"}]
)
def test_other_losses_learn_as_well(whole, changes):
    network, history = run(**changes, epochs=16, learning_rate=0.02)
    assert history["validation_auprc"].max() > 0.8
    assert not equal_states(whole[0].state_dict(), network.state_dict())


def test_weighted_loss_by_hand():
    """4 drawn negatives per positive: positives count four times; the first step of one batch that holds all windows."""
    train = {**planted(10, 40, 5)}
    settings = {"batch_size": 100, "epochs": 1, "negatives_per_positive": 4, "loss": "weighted_cross_entropy"}
    fabric = set_up("cpu", 1, 3)
    network = detectors(**{**SHAPE, "dropout": 0.0, "hidden_dropout": 0.0})
    with torch.no_grad():
        logits = network.member_logits(engine.encode(train["codes"]))[..., 0].numpy()
    label = train["label"][:, None].astype(float)
    expected = np.mean(4 * label * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits))
    settings = {**SETTINGS, **settings}
    history = fit(network, train, VALIDATION, settings, fabric, np.random.default_rng(0), "train")
    assert history["train_loss"][1] == pytest.approx(expected, rel=1e-5)


def fit_domains(**changes):
    """(network, history, gap) of a training where a channel tells the domain and nothing else.

    gap: distance between the features of both domains on validation windows, in standard deviations
    """
    rng, parts = np.random.default_rng(8), []
    for seed, flank_bp in ((1, 3), (2, 0)):
        part = planted(100, 200, seed, flank_bp)
        domain = rng.integers(0, 2, 300)
        channel = rng.normal(2.0 * domain[:, None, None], 0.5, (300, 1, part["codes"].shape[1]))
        parts.append({**part, "channels": channel.astype(np.float16), "domain": domain})
    settings = {**SETTINGS, "epochs": 16, "learning_rate": 0.02, **changes}
    fabric = set_up("cpu", 1, 3)
    network = detectors(**{**SHAPE, "dropout": 0.0, "hidden_dropout": 0.0}, channels=5)
    history = fit(network, *parts, settings, fabric, np.random.default_rng(3), "train")
    with torch.no_grad():
        features = network.features(engine.encode(parts[1]["codes"], parts[1]["channels"])).flatten(1).numpy()
    one, other = (features[parts[1]["domain"] == d] for d in (0, 1))
    return network, history, np.abs(one.mean(axis=0) - other.mean(axis=0)).mean() / features.std()


def test_equal_moments_make_domains_alike():
    """The mark that the domain leaves in the features fades, and what tells the peaks stays."""
    (_, before, gap), (_, after, smaller) = fit_domains(domains="none"), fit_domains(domains="moments")
    assert min(before["validation_auprc"].max(), after["validation_auprc"].max()) > 0.95
    assert gap > 0.1 and smaller < 0.05


def test_reversal_takes_part_in_training():
    """Its strength changes the weights of the trunk; what tells the peaks stays."""
    fits = [fit_domains(domains="reversal", domain_strength=strength) for strength in (1e-9, 0.3)]
    assert all(history["validation_auprc"].max() > 0.95 for _, history, _ in fits)
    states = [network.state_dict() for network, _, _ in fits]
    assert not torch.allclose(states[0]["trunk.0.free"], states[1]["trunk.0.free"], atol=1e-2)
