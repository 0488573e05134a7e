"""Matched draws: negatives whose covariates are distributed like those of the peaks, by importance sampling.

Four steps in each split, each of bounded work: the density ratio peaks / candidates (`density_ratio`), a thinning of a
large pool with that ratio (`inclusion`, `draw`), inclusion probabilities of which the expected covariates equal those
of the peaks (`tilt`), and a draw that keeps these equalities (`draw_balanced`).
"""

import logging

import numba
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from cisgrammar.log import InputError
from cisgrammar.negatives import compare_distributions
from cisgrammar.splits import SPLITS

FITTED = 200_000  # rows of each class at most that a model is fitted to
CELLS = 100_000_000  # entries of a table of moments at most, 0.8 GB
CHUNK = 1 << 16  # rows at a time
FOLDS = 2  # cross-fitting: a candidate's ratio comes from the model that did not see it
CLASSIFIED = 50  # peaks from which on the classifier is used; below, the moments alone
TRIES = 10  # draws at most, the best is kept
SOUGHT_SMD = 0.02
TREES = dict(max_iter=50, max_leaf_nodes=8, learning_rate=0.1, min_samples_leaf=20, early_stopping=False)


def standardise(peaks, candidates):
    """Both tables on the scale of the standardised mean difference: mean of the peaks 0, mean of the variances 1.

    peaks, candidates: float arrays (rows, covariates); a covariate that never varies becomes 0
    """
    centre = peaks.mean(axis=0)
    spread = np.sqrt((peaks.var(axis=0) + candidates.var(axis=0)) / 2)
    spread[spread <= 1e-12 * (1 + np.abs(centre))] = np.inf
    return (peaks - centre) / spread, (candidates - centre) / spread


def some(rows, rng, most=FITTED):
    """The rows of an array, or `most` of them at random."""
    return rows if len(rows) <= most else rows[np.sort(rng.choice(len(rows), most, replace=False))]


def moments(x, n_columns):
    """The first `n_columns` of: covariates, their squares, their cross-products.

    x: float array (rows, covariates), standardised; for squares and products cut at +-4, so that no outlier rules
    """
    cut = x.clip(-4, 4)
    first, second = np.triu_indices(x.shape[1], 1)
    left = n_columns - 2 * x.shape[1]
    parts = [x, cut**2, cut[:, first[: max(0, left)]] * cut[:, second[: max(0, left)]]]
    return np.hstack(parts)[:, :n_columns]


def balanced_moments(peaks, pool):
    """What `tilt` balances: functions of a table that are 0 on average over the peaks, and the slack of each.

    peaks, pool: standardised float arrays (rows, covariates)
    Returns (function of such an array -> float array (rows, moments), slack float array (moments,)). The covariates
    themselves have almost no slack; squares and products have 1 / peaks, since few peaks tell little about them. At
    most 150 moments, fewer where the table of them would be too large.
    """
    d = peaks.shape[1]
    n_columns = max(d, min(2 * d + d * (d - 1) // 2, 150, CELLS // max(1, len(pool))))
    a, b = moments(peaks, n_columns), moments(pool, n_columns)
    centre, spread = a.mean(axis=0), np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    spread[spread < 1e-9] = np.inf
    slack = np.where(np.arange(n_columns) < d, 1e-4, 1 / len(peaks))
    return lambda x: (moments(x, n_columns) - centre) / spread, slack


def tilt(start, features, slack, limit=1.0, steps=50):
    """Weights nearest to `start` that bring the weighted mean of every feature to 0, none above `limit`.

    start: float64 array (rows,), > 0; features: float64 array (rows, features), about 0 and of unit spread
    slack: float64 array (features,), how much balance may be given up for smaller changes; limit: at least 1 / rows
    Entropy balancing (Hainmueller 2012, Political Analysis 20:25): w = start exp(a + features b), here cut at
    `limit`, as in the calibration with bounds of Deville & Sarndal 1992 (JASA 87:376), and with a ridge on b, so that
    there is a solution where exact balance cannot be had. The dual is convex; at most `steps` Newton steps.
    Returns (weights float64 (rows,) with sum 1, coefficients float64 (1 + features,) a and b).
    """
    ridge = np.concatenate([[0], slack])
    begin, top = np.log(start / start.sum()), np.log(limit)

    def weigh(b):
        z = begin + b[0] + features @ b[1:]
        w = np.exp(np.minimum(z, top))
        return z, w, (w + limit * np.maximum(z - top, 0)).sum() - b[0] + (ridge * b**2).sum() / 2

    b = np.zeros(len(ridge))
    z, w, value = weigh(b)
    for _ in range(steps):
        gradient = np.concatenate([[w.sum() - 1], w @ features]) + ridge * b
        if np.abs(gradient).max() < 1e-5:
            break
        free = np.where(z < top, w, 0)
        curvature = np.diag(ridge + 1e-8)
        for i in range(0, len(features), CHUNK):
            part = np.hstack([np.ones((len(features[i : i + CHUNK]), 1)), features[i : i + CHUNK]])
            curvature += (part * free[i : i + CHUNK, None]).T @ part
        step = np.linalg.solve(curvature, -gradient)
        step *= min(1, 10 / np.abs(step).max())
        for _ in range(20):
            new = weigh(b + step)
            if new[2] <= value + 1e-4 * (gradient @ step):
                break
            step /= 2
        else:
            break
        b = b + step
        z, w, value = new
    return w / w.sum(), b


def classified_ratio(peaks, candidates, rng):
    """Density ratio peaks / candidates from a classifier of the two, cross-fitted.

    peaks, candidates: float64 arrays (rows, covariates). Gradient-boosted trees with both classes weighing the same;
    the odds are the ratio (Sugiyama, Suzuki & Kanamori 2012, Density Ratio Estimation in Machine Learning, ch. 4).
    Fitted to at most `FITTED` rows of each. A candidate's ratio comes from trees that saw neither it nor its fold.
    Returns a float64 array (candidates,), between exp(-7) and exp(7).
    """
    folds = [rng.permutation(len(table)) % FOLDS for table in (peaks, candidates)]
    seed = int(rng.integers(2**31))
    ratio = np.empty(len(candidates))
    for fold in range(FOLDS):
        seen = [some(table[own != fold], rng) for table, own in zip((peaks, candidates), folds, strict=True)]
        weights = np.concatenate([np.full(len(table), len(seen[0]) / len(table)) for table in seen])
        trees = HistGradientBoostingClassifier(**TREES, random_state=seed)
        trees.fit(np.concatenate(seen), np.repeat([1, 0], [len(table) for table in seen]), sample_weight=weights)
        held_out = folds[1] == fold
        ratio[held_out] = np.exp(trees.decision_function(candidates[held_out]).clip(-7, 7))
    return ratio


def density_ratio(peaks, candidates, rng):
    """Density of the peaks over that of the candidates, at each candidate, over all covariates jointly.

    peaks, candidates: float64 arrays (rows, covariates) of one split; rng: numpy Generator
    A cross-fitted classifier (`classified_ratio`, from 50 peaks on) finds the shape, also of spikes and thresholds;
    exponential tilting (`tilt`) then makes the weighted means, squares and cross-products equal those of the peaks.
    Returns a float64 array (candidates,), mean 1.
    """
    x_peaks, x = standardise(peaks, candidates)
    ratio = np.ones(len(x))
    if len(x_peaks) >= CLASSIFIED and len(x) > FOLDS:
        ratio = classified_ratio(x_peaks, x, rng)
    sample = some(np.arange(len(x)), rng)
    of, slack = balanced_moments(x_peaks, x[sample])
    b = tilt(ratio[sample], of(x[sample]), slack)[1]
    for i in range(0, len(x), CHUNK):
        ratio[i : i + CHUNK] *= np.exp((of(x[i : i + CHUNK]) @ b[1:]).clip(-50, 50))
    return ratio / ratio.mean()


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
    uniform = rng.random(len(probabilities) + 1)
    return np.flatnonzero(fly(np.asarray(probabilities, dtype=np.float64), features, order, uniform))


def principal_order(x):
    """Rows of a standardised float array (rows, covariates) sorted along their first principal direction."""
    return np.argsort(x @ np.linalg.eigh(np.cov(x, rowvar=False).reshape(x.shape[1], -1))[1][:, -1], kind="stable")


def smd(a, b):
    """Standardised mean differences, float array (covariates,), as in `compare_distributions`.

    a, b: float arrays (rows, covariates)
    """
    gap, spread = a.mean(axis=0) - b.mean(axis=0), np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    return np.where(gap == 0, 0.0, np.divide(gap, spread, out=np.copysign(np.inf, gap), where=spread > 0))


def draw_rows(peaks, pool, n, rng):
    """Draw n rows of a pool whose covariates are distributed like those of the peaks.

    peaks, pool: float64 arrays (rows, covariates) of one split, no covariate constant in both; n: at most len(pool)
    A pool much larger than n is first thinned with the density ratio, to some 4 n rows, and balanced again. Up to
    `TRIES` draws, the one with the smallest largest |SMD| is kept; the first below `SOUGHT_SMD` ends the trials.
    Returns an increasing int array (n,) without repeats.
    """
    if n == len(pool) or not n or not pool.shape[1]:
        return np.sort(rng.choice(len(pool), n, replace=False))
    x_peaks, x = standardise(peaks, pool)
    ratio = density_ratio(peaks, pool, rng)
    near = ratio > 1e-12
    if np.count_nonzero(near) < min(2 * n, len(pool)):
        ratio = np.maximum(ratio, 1e-12)
    size = min(np.count_nonzero(ratio), max(20_000, min(4 * n, n + 1_000_000)))
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


def draw_matched(peaks, candidates, covariates, ratio, rng, allow_shortfall=False):
    """Draw negatives whose covariates are distributed like those of the peaks, in each split on its own.

    peaks, candidates: data frames with name (= split) and the covariates; covariates: names; ratio: negatives per peak
    rng: numpy Generator; allow_shortfall: whether fewer than wanted are a warning instead of an error
    Returns (drawn rows of `candidates` in the order of their place, data frame split, wanted, drawn).
    Raises InputError with the numbers per split when the candidates do not suffice.
    """
    drawn, counts = [], []
    for split in SPLITS:
        own, pool = peaks[peaks["name"] == split], candidates[candidates["name"] == split]
        wanted = round(ratio * len(own))
        n = min(wanted, len(pool))
        a, b = own[covariates].to_numpy(dtype=np.float64), pool[covariates].to_numpy(dtype=np.float64)
        varied = np.ptp(np.concatenate([a, b]), axis=0) > 0
        drawn.append(pool.iloc[draw_rows(a[:, varied], b[:, varied], n, rng)])
        counts.append({"split": split, "wanted": wanted, "drawn": n})
    counts = pd.DataFrame(counts)
    short = counts[counts["drawn"] < counts["wanted"]]
    if len(short):
        numbers = "; ".join(f"{row.split}: {row.drawn} of {row.wanted}" for row in short.itertuples())
        if not allow_shortfall:
            raise InputError(
                f"too few negatives found: {numbers}; lower negatives.ratio, negatives.margin_bp or negatives.step_bp, or "
                "set negatives.allow_shortfall: true"
            )
        logging.warning("too few negatives found: %s", numbers)
    return pd.concat(drawn), counts


def balance(peaks, candidates, negatives, covariates):
    """How alike peaks and negatives are, per split and covariate, before (all candidates) and after matching.

    Returns a data frame split, covariate, n_peaks, n_candidates, n_negatives, mean_peaks, mean_candidates,
    mean_negatives, smd_before, smd_after, ks_before, ks_after.
    """
    rows = []
    for split in SPLITS:
        tables = [table[table["name"] == split] for table in (peaks, candidates, negatives)]
        for covariate in covariates:
            values = [table[covariate].to_numpy() for table in tables]
            smd_before, ks_before = compare_distributions(values[0], values[1])
            smd_after, ks_after = compare_distributions(values[0], values[2])
            rows.append(
                {
                    "split": split,
                    "covariate": covariate,
                    **dict(zip(("n_peaks", "n_candidates", "n_negatives"), map(len, values), strict=True)),
                    **dict(
                        zip(
                            ("mean_peaks", "mean_candidates", "mean_negatives"), (v.mean() for v in values), strict=True
                        )
                    ),
                    **dict(smd_before=smd_before, smd_after=smd_after, ks_before=ks_before, ks_after=ks_after),
                }
            )
            logging.info("%s", rows[-1])
    return pd.DataFrame(rows)


def separability(peaks, negatives, covariates, rng):
    """How well a classifier that sees the covariates alone tells peaks from negatives.

    Gradient-boosted trees, stratified five-fold cross-validation, the scores of all folds pooled.
    Returns a data frame split, auroc (nan with fewer than 20 peaks or negatives).
    """
    rows = []
    for split in SPLITS:
        a, b = (
            table.loc[table["name"] == split, covariates].to_numpy(dtype=np.float64) for table in (peaks, negatives)
        )
        auroc, seed = np.nan, int(rng.integers(2**31))
        if min(len(a), len(b)) >= 20:
            a, b = some(a, rng), some(b, rng)
            x, label = np.concatenate([a, b]), np.repeat([1, 0], [len(a), len(b)])
            scores = np.empty(len(x))
            for fit, held in StratifiedKFold(5, shuffle=True, random_state=seed).split(x, label):
                trees = HistGradientBoostingClassifier(**TREES, random_state=seed).fit(x[fit], label[fit])
                scores[held] = trees.decision_function(x[held])
            auroc = float(roc_auc_score(label, scores))
        rows.append({"split": split, "auroc": auroc})
    return pd.DataFrame(rows)
