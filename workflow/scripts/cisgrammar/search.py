"""A small search for settings of training: Optuna proposes, the validation windows judge."""

import logging
import math
import time

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from cisgrammar.log import InputError

STARTUP = 8  # random trials before the sampler learns from them


def distributions(space):
    """Optuna's distribution of each setting.

    space: dict of a setting to a list of choices, or to a dict low, high and, for steps on a log scale, log
    Raises InputError when a range is empty, or on a log scale not above zero.
    """
    found = {}
    for name, values in space.items():
        if isinstance(values, list):
            found[name] = CategoricalDistribution(values)
            continue
        low, high, log = values["low"], values["high"], values.get("log", False)
        if low > high or (log and low <= 0):
            raise InputError(
                f"search.space.{name}: from {low:g} to {high:g} there is nothing to choose from; low must not be above high"
                + (", and above 0 on a log scale" if log else "")
            )
        whole = isinstance(low, int) and isinstance(high, int)
        found[name] = (IntDistribution if whole else FloatDistribution)(low, high, log=log)
    return found


def propose(space, done, seed):
    """Settings to try next, dict, by the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24) of Optuna.

    space: see `distributions`; done: list of (settings, value), the larger the better, nan where it failed
    The sampler starts anew from the seed and the number of trials, so that a search that was stopped goes on as if it had not
    been.
    """
    wanted = distributions(space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + len(done))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for settings, value in done:
        failed = math.isnan(value)
        result = {"state": TrialState.FAIL} if failed else {"value": value}
        study.add_trial(create_trial(params=settings, distributions=wanted, **result))
    return study.ask(wanted).params


def search(judge, space, given, trials, minutes, seed, done, keep):
    """Try settings until the budget is spent; returns the list of (settings, value) of all trials.

    judge: function of settings that gives a value, the larger the better; an InputError of it is a failed trial
    given: the settings as they are without a search, which are tried first, so that one sees what the search gains
    trials: number of trials, that of `given` included; minutes: after which no trial is begun, None for no limit
    done: trials of a search that was stopped; keep: function that is told all trials after each one
    """
    done, end = list(done), math.inf if minutes is None else time.monotonic() + 60 * minutes
    while len(done) < trials:
        if time.monotonic() > end:
            logging.warning("search.minutes: %g are over after %d of %d trials", minutes, len(done), trials)
            break
        settings = propose(space, done[1:], seed) if done else given
        try:
            value = judge(settings)
        except InputError as error:
            logging.warning("trial %d with %s failed: %s", len(done) + 1, settings, error)
            value = math.nan
        done.append((settings, value))
        logging.info("trial %d of %d: %s, %.4f", len(done), trials, settings, value)
        keep(done)
    return done


def best_of(done):
    """Number of the best trial, the first of equal ones; raises InputError when all failed."""
    values = [-math.inf if math.isnan(value) else value for _, value in done]
    best = max(range(len(values)), key=values.__getitem__, default=None)
    if best is None or values[best] == -math.inf:
        raise InputError(
            f"search: none of {len(done)} trials could be trained; see the log for each, and mend search.space"
        )
    return best


def with_settings(training, chosen):
    """The section `training` with other values for some settings; those of an architecture are named `network.NAME`.

    None leaves the architecture its own default.
    """
    chosen = {name: value for name, value in chosen.items() if value is not None}
    own = {name.removeprefix("network."): value for name, value in chosen.items() if name.startswith("network.")}
    flat = {name: value for name, value in chosen.items() if not name.startswith("network.")}
    return {**training, **flat, "network": {**training["network"], **own}}


def settings_as_they_are(training, space):
    """What the section `training` says of each setting of the space; None where an architecture's own default holds."""
    return {
        name: training["network"].get(name.removeprefix("network.")) if "." in name else training[name]
        for name in space
    }
