"""Calibration error and reliability by hand; the temperature that data were made with."""

import numpy as np
import pytest
from cisgrammar.calibration import Calibration, fit_temperature, log_loss, reliability, scale
from scipy.special import expit


def error(labels, probabilities, weights=None):
    n = len(labels)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    return Calibration(labels, probabilities, np.arange(n), n)(weights[None]).item()


def test_error_by_hand():
    # two bins: 0.1 and 0.12 with nobody bound, 0.9 and 0.9 with one of two bound
    assert error([0, 0, 1, 0], [0.1, 0.12, 0.9, 0.9]) == pytest.approx((0.22 + abs(1 - 1.8)) / 4)
    # the third window twice: gaps 0.22 and |2 - 2.7| among five windows
    assert error([0, 0, 1, 0], [0.1, 0.12, 0.9, 0.9], [1, 1, 2, 1]) == pytest.approx((0.22 + 0.7) / 5)
    assert error([1, 0], [1.0, 0.0]) == 0
    assert error([0, 1], [1.0, 0.0]) == 1


def test_reliability_by_hand():
    found = reliability(np.array([0, 1, 1, 1]), np.array([0.0, 0.05, 0.95, 1.0]))
    assert found == [
        {"n": 2, "predicted": pytest.approx(0.025), "observed": 0.5},
        {"n": 2, "predicted": pytest.approx(0.975), "observed": 1.0},
    ]
    assert reliability(np.zeros(0), np.zeros(0)) == []


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_the_temperature_of_the_data_is_found(temperature):
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 2, 20_000)
    labels, logits = (rng.random(20_000) < expit(true)).astype(int), true * temperature
    found = fit_temperature(labels, logits)
    assert found == pytest.approx(temperature, rel=0.05)
    assert log_loss(labels, logits / found) <= min(log_loss(labels, logits / t) for t in np.geomspace(0.1, 10, 41))


def test_windows_of_one_class_have_the_temperature_one():
    assert fit_temperature(np.zeros(3), np.arange(3.0)) == fit_temperature(np.ones(3), np.arange(3.0)) == 1


def test_scale_by_hand():
    assert scale(np.array([0, 0.5, 0.8, 1]), 2) == pytest.approx([0, 0.5, 2 / 3, 1])  # odds 4 become 2
