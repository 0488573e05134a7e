"""The search for settings: what is proposed, what a stop loses (nothing), what fails."""

import math

import pytest
from cisgrammar.log import InputError
from cisgrammar.search import best_of, propose, search, settings_as_they_are, with_settings

SPACE = {
    "learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
    "filters": [8, 16],
    "hidden": {"low": 2, "high": 5},
}
GIVEN = {"learning_rate": 0.0001, "filters": 32, "hidden": 2}


def judge(settings):
    """Best at a learning rate of 0.01 with 16 filters."""
    return -abs(math.log10(settings["learning_rate"]) + 2) + 0.1 * (settings["filters"] == 16)


def run(trials=25, done=(), keep=lambda trials: None, judge=judge, minutes=None, seed=3):
    return search(judge, SPACE, GIVEN, trials, minutes, seed, done, keep)


@pytest.fixture(scope="module")
def whole():
    return run()


def test_proposals_lie_in_the_space(whole):
    settings = [chosen for chosen, _ in whole[1:]]
    assert len(whole) == 25
    assert all(0.0001 <= chosen["learning_rate"] <= 0.1 for chosen in settings)
    assert {chosen["filters"] for chosen in settings} == {8, 16}
    assert {chosen["hidden"] for chosen in settings} <= {2, 3, 4, 5}
    assert all(isinstance(chosen["hidden"], int) for chosen in settings)


def test_the_settings_as_they_are_come_first_even_outside_the_space(whole):
    assert whole[0] == (GIVEN, judge(GIVEN))


def test_it_finds_what_is_good(whole):
    chosen, value = whole[best_of(whole)]
    assert value == max(value for _, value in whole)
    assert chosen["filters"] == 16 and 0.005 < chosen["learning_rate"] < 0.02
    # later proposals know of the earlier ones: on average they are better than the random ones of the start
    early, late = (sum(value for _, value in part) / 8 for part in (whole[1:9], whole[-8:]))
    assert late > early


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(whole):
    kept = []

    def stop(settings):
        if len(kept) == 11:
            raise KeyboardInterrupt
        return judge(settings)

    def keep(trials):
        kept[:] = trials

    with pytest.raises(KeyboardInterrupt):
        run(judge=stop, keep=keep)
    assert kept == whole[:11]
    assert run(done=kept) == whole
    assert run(seed=4) != whole


def test_a_trial_that_fails_is_kept_and_never_the_best(caplog):
    def fragile(settings):
        if settings["filters"] == 16:
            raise InputError("the loss is no number")
        return judge(settings)

    done = run(12, judge=fragile)
    failed = [math.isnan(value) for _, value in done]
    assert any(failed) and not all(failed)
    assert not failed[best_of(done)]
    assert "the loss is no number" in caplog.text


def test_all_trials_failed():
    with pytest.raises(InputError, match="none of 2 trials"):
        best_of([({}, math.nan), ({}, math.nan)])
    with pytest.raises(InputError, match="none of 0 trials"):
        best_of([])


def test_no_trial_begins_after_the_time_is_over(caplog):
    assert run(minutes=-1) == []
    assert "over after 0 of 25 trials" in caplog.text


def test_an_empty_range_is_refused():
    with pytest.raises(InputError, match="hidden: from 5 to 2"):
        propose({"hidden": {"low": 5, "high": 2}}, [], 1)
    with pytest.raises(InputError, match="above 0 on a log scale"):
        propose({"ema": {"low": 0, "high": 0.9, "log": True}}, [], 1)


def test_settings_of_an_architecture():
    training = {"filters": 8, "network": {"depth": 3}}
    assert settings_as_they_are(training, ["filters", "network.depth", "network.pool"]) == {
        "filters": 8,
        "network.depth": 3,
        "network.pool": None,
    }
    assert with_settings(training, {"filters": 4, "network.depth": 5, "network.pool": None}) == {
        "filters": 4,
        "network": {"depth": 5},
    }
    assert training == {"filters": 8, "network": {"depth": 3}}
