"""Matched draws: negatives whose covariates are distributed like those of the peaks, by importance sampling.

Four steps in each split, each of bounded work: the density ratio peaks / candidates (`density_ratio`), a thinning of a
large pool with that ratio (`inclusion`, `draw`), inclusion probabilities of which the expected covariates equal those
of the peaks (`tilt`), and a draw that keeps these equalities (`draw_balanced`).
"""

import logging

import numba
import numpy as np
import pandas as pd

from cisgrammar.balance import smd
from cisgrammar.density import balanced_moments, density_ratio, standardise, tilt
from cisgrammar.log import InputError
from cisgrammar.splits import SPLITS

TRIES = 10  # draws at most, the best is kept
SOUGHT_SMD, TOLERATED_SMD = 0.02, 0.05
TOLERATED_LACK = 0.05  # share of negatives that a covariate may lack: bounds the AUROC of that covariate to about 0.55


def inclusion(weights, n):
    """Inclusion probabilities min(1, c weights) with sum n.

    weights: float array (rows,), >= 0; n: int, at most the number of weights above 0
    The rows that reach 1 are the heaviest ones; their number follows from one sort.
    Returns a float64 array (rows,). Raises ValueError when n is too large.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if n > np.count_nonzero(weights > 0):
        raise ValueError(f"{n} rows wanted, but only {np.count_nonzero(weights > 0)} of {len(weights)} weigh anything")
    if n == 0:
        return np.zeros(len(weights))
    heavy = np.sort(weights)[::-1]
    rest = np.cumsum(heavy[::-1])[::-1]
    full = int(np.argmax((n - np.arange(len(heavy))) * heavy <= rest))  # so many reach 1 before the next one does
    scale = (n - full) / rest[full] if full < n else np.inf
    return np.minimum(1, scale * weights, out=np.zeros(len(weights)), where=weights > 0)


def draw(probabilities, order, rng):
    """A sample of fixed size by systematic sampling (Madow 1949, Annals of Mathematical Statistics 20:333).

    probabilities: float array (rows,), between 0 and 1, with a whole sum n; order: int array (rows,), a permutation;
    rows that follow each other in it take each other's place, so the sample spreads over what the order sorts by
    Returns an increasing int array (n,) without repeats; row i is in it with `probabilities[i]`.
    """
    passed = np.cumsum(probabilities[order])
    n = round(passed[-1]) if len(passed) else 0
    if n == 0:
        return np.zeros(0, dtype=int)
    places = np.searchsorted(passed * (n / passed[-1]), rng.random() + np.arange(n), side="right")
    places = np.minimum(places, len(order) - n + np.arange(n))
    places = np.maximum.accumulate(places - np.arange(n)) + np.arange(n)  # rounding never takes a row twice
    return np.sort(order[places])


@numba.njit(cache=True)
def fly(probabilities, features, order, uniform):
    """Flight and landing of the cube method, see `draw_balanced`; returns 0 or 1 for each row."""
    chance = probabilities.copy()
    n_rows, n_features = features.shape
    tiny = 1e-9
    held = np.empty(n_features + 1, np.int64)
    matrix = np.empty((n_features, n_features + 1))
    pivot = np.empty(n_features, np.int64)
    taken = np.empty(n_features + 1, np.bool_)
    move = np.empty(n_features + 1)
    n_held, at, used = 0, 0, n_features
    for turn in range(len(uniform)):
        while n_held < used + 1 and at < n_rows:
            row = order[at]
            at += 1
            if tiny < chance[row] < 1 - tiny:
                held[n_held] = row
                n_held += 1
        if n_held == 0:
            break
        used = min(used, n_held - 1)  # landing: the last features are given up first
        for f in range(used):
            for c in range(used + 1):
                matrix[f, c] = features[held[c], f]
        taken[:] = False
        for f in range(used):
            pivot[f] = -1
            largest = 1e-9
            for c in range(used + 1):
                if not taken[c] and abs(matrix[f, c]) > largest:
                    largest = abs(matrix[f, c])
                    pivot[f] = c
            if pivot[f] < 0:
                continue
            taken[pivot[f]] = True
            for g in range(used):
                factor = matrix[g, pivot[f]] / matrix[f, pivot[f]]
                if g != f and factor != 0:
                    for c in range(used + 1):
                        matrix[g, c] -= factor * matrix[f, c]
        spare = 0
        while taken[spare]:
            spare += 1
        move[: used + 1] = 0
        move[spare] = 1
        for f in range(used):
            if pivot[f] >= 0:
                move[pivot[f]] = -matrix[f, spare] / matrix[f, pivot[f]]
        forth, back = np.inf, np.inf
        for c in range(used + 1):
            room_up, room_down = 1 - chance[held[c]], chance[held[c]]
            if move[c] > 1e-12:
                forth, back = min(forth, room_up / move[c]), min(back, room_down / move[c])
            elif move[c] < -1e-12:
                forth, back = min(forth, room_down / -move[c]), min(back, room_up / -move[c])
        length = forth if uniform[turn] * (forth + back) < back else -back
        kept = 0
        for c in range(used + 1):
            row = held[c]
            chance[row] += length * move[c]
            if tiny < chance[row] < 1 - tiny:
                held[kept] = row
                kept += 1
        n_held = kept
    return np.rint(chance)


def draw_balanced(probabilities, features, order, rng):
    """A sample of fixed size of which the sums of all features are (nearly) the expected ones: the cube method.

    probabilities: float array (rows,), between 0 and 1, with a whole sum n
    features: float64 array (rows, features), most important first; order: int array (rows,), a permutation
    Deville & Tille 2004 (Biometrika 91:893) in the fast form of Chauvet & Tille 2006 (Computational Statistics 21:53):
    as many rows as features and one are in play; a random step in the direction that changes no sum takes at least one
    of them to 0 or 1, so there are at most as many steps as rows. For the last rows the last features are given up.
    Returns an increasing int array (n,) without repeats; row i is in it with `probabilities[i]`.
    """
    features = np.ascontiguousarray(np.hstack([np.ones((len(features), 1)), features]))
    probabilities = np.asarray(probabilities, dtype=np.float64)
    drawn = np.flatnonzero(fly(probabilities, features, order, rng.random(len(probabilities) + 1)))
    return drawn if len(drawn) == round(probabilities.sum()) else draw(probabilities, order, rng)


def principal_order(x):
    """Rows of a standardised float array (rows, covariates) sorted along their first principal direction."""
    return np.argsort(x @ np.linalg.eigh(np.cov(x, rowvar=False).reshape(x.shape[1], -1))[1][:, -1], kind="stable")


def draw_rows(peaks, pool, n, rng):
    """Draw n rows of a pool whose covariates are distributed like those of the peaks.

    peaks, pool: float64 arrays (rows, covariates) of one split, no covariate constant in both; n: at most len(pool)
    A pool much larger than n is first thinned with the density ratio, to some 2 n rows, and balanced again. Up to
    `TRIES` draws, the one with the smallest largest |SMD| is kept; the first below `SOUGHT_SMD` ends the trials.
    Returns an increasing int array (n,) without repeats.
    """
    if n == len(pool) or not n or not pool.shape[1]:
        return np.sort(rng.choice(len(pool), n, replace=False))
    x_peaks, x = standardise(peaks, pool)
    ratio = np.maximum(density_ratio(peaks, pool, rng), 1e-12)
    size = min(len(pool), max(20_000, min(2 * n, n + 1_000_000)))
    chance = inclusion(ratio, size)
    rows = draw(chance, principal_order(x), rng)
    x, start = x[rows], ratio[rows] / chance[rows]
    of, slack = balanced_moments(x_peaks, x)
    features = of(x)
    probabilities = inclusion(np.maximum(tilt(start, features, slack, 1 / n)[0], 1e-15), n)
    features = features[:, : max(1, min(30, n // 5))]
    best, best_smd = None, np.inf
    for _ in range(TRIES):
        drawn = draw_balanced(probabilities, features, rng.permutation(len(x)), rng)
        worst = np.abs(smd(x_peaks, x[drawn])).max()
        if best is None or worst < best_smd:
            best, best_smd = drawn, worst
        if best_smd <= SOUGHT_SMD:
            break
    return rows[best]


def lacking(peaks, pool, n):
    """How many of n negatives a pool cannot give in the covariate that it covers worst.

    peaks, pool: float64 arrays (rows, covariates)
    Bins hold equal shares of the peaks, 20 peaks or more each, 20 bins at most; the outer ones reach half a standard
    deviation (root of the mean of both variances) past the outermost peaks. A bin lacks what its share of n exceeds
    its candidates by; no draw of n rows from the pool can have a smaller difference to the peaks.
    Returns (number lacking, covariate, low and high end of its worst bin, candidates there, wanted there); number 0
    and covariate None where nothing lacks.
    """
    worst = (0.0, None, np.nan, np.nan, 0, 0)
    for k in range(peaks.shape[1]):
        a, b = peaks[:, k], pool[:, k]
        reach = np.sqrt((a.var() + b.var()) / 2) / 2 + 1e-9
        edges = np.unique(np.quantile(a, np.linspace(0, 1, 1 + int(np.clip(len(a) // 20, 1, 20)))))
        edges = np.concatenate([[edges[0] - reach], edges[1:-1], [edges[-1] + reach]])
        wanted = np.histogram(a, edges)[0] * (n / len(a))
        there = np.histogram(b, edges)[0]
        gap = np.maximum(wanted - there, 0)
        if gap.sum() > worst[0]:
            i = int(gap.argmax())
            worst = (float(gap.sum()), k, edges[i], edges[i + 1], int(there[i]), round(wanted[i]))
    return worst


def covariate_table(windows, covariates):
    """The covariates of a data frame as float64 array (rows, covariates); InputError where one is not a number."""
    values = windows[covariates].to_numpy(np.float64)
    for name, unknown in zip(covariates, (~np.isfinite(values)).sum(axis=0), strict=True):
        if unknown:
            raise InputError(
                f"covariate {name} is not a number in {unknown} of {len(values)} windows; leave them out before the "
                "draw, or take the covariate out of negatives.covariates"
            )
    return values


def missing(own, pool, covariates, ratio):
    """(rows wanted, rows that can be drawn, what is said of the pool in words) for one split.

    own, pool: float64 arrays (rows, covariates) of peaks and candidates; covariates: their names
    """
    wanted = round(ratio * len(own))
    n, words = min(wanted, len(pool)), f"{len(pool)} candidates"
    if wanted and len(pool):
        lack, k, low, high, there, expected = lacking(own, pool, wanted)
        if lack > TOLERATED_LACK * wanted:
            n = min(n, wanted - int(np.ceil(lack)))
        if k is not None:
            words += f", with {covariates[k]} {low:.4g} to {high:.4g} {there} for {expected} wanted"
    return wanted, n, words


def draw_matched(peaks, candidates, covariates, ratio, rng, allow_shortfall=False):
    """Draw negatives whose covariates are distributed like those of the peaks, in each split on its own.

    peaks, candidates: data frames with name (= split) and the covariates
    covariates: names of columns; one that is constant in a split is left out there; ratio: negatives per peak
    rng: numpy Generator; allow_shortfall: draw fewer and warn, instead of an error
    Each split gets round(ratio x peaks) rows, without replacement. Before the draw, the pool is compared with the
    wanted number in bins of each covariate; where a pool is too small, or a covariate lacks more than 5% of the wanted
    rows, that is a shortfall: with `allow_shortfall`, the lacking rows are not drawn. A covariate that stays out of
    balance (|SMD| > 0.05; several at once can be too much for the pool) is logged as a warning.
    Returns (drawn rows in the order of `candidates`, data frame split, wanted, drawn).
    Raises InputError with counts per split, the covariate and bin most lacking, and the settings to change.
    """
    plans, short = [], []
    for split in SPLITS:
        rows = np.flatnonzero((candidates["name"] == split).to_numpy())
        own = covariate_table(peaks[peaks["name"] == split], covariates)
        pool = covariate_table(candidates.iloc[rows], covariates)
        wanted, n, words = missing(own, pool, covariates, ratio)
        if n < wanted:
            short.append(f"{split}: {n} of {wanted} ({words})")
        plans.append((split, rows, own, pool, wanted, n))
    if short:
        text = (
            f"too few negatives found: {'; '.join(short)}; lower negatives.ratio or negatives.step_bp, raise "
            "negatives.candidates, or take the covariate out of negatives.covariates"
        )
        if not allow_shortfall:
            raise InputError(f"{text}, or set negatives.allow_shortfall: true")
        logging.warning("%s", text)
    drawn = [np.zeros(0, dtype=int)]
    for split, rows, own, pool, _, n in plans:
        if not n:
            continue
        varies = np.ptp(np.concatenate([own, pool]), axis=0) > 0
        chosen = draw_rows(own[:, varies], pool[:, varies], n, rng)
        drawn.append(rows[chosen])
        gaps = smd(own, pool[chosen])
        for k in np.flatnonzero(np.abs(gaps) > TOLERATED_SMD):
            logging.warning("%s: %s is out of balance, SMD %.3f (%d negatives)", split, covariates[k], gaps[k], n)
    counts = [(split, wanted, n) for split, _, _, _, wanted, n in plans]
    return candidates.iloc[np.sort(np.concatenate(drawn))], pd.DataFrame(counts, columns=["split", "wanted", "drawn"])
