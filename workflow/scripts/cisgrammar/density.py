"""The density ratio of peaks and candidate windows over their covariates, and weights that balance means exactly."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

FITTED = 200_000  # rows of each class at most that a model is fitted to
PER_PEAK, LEAST_FITTED = 3, 20_000  # candidates per peak that the classifier sees, and at least so many
QUANTILE_ROWS = 50_000  # rows of each class at least that quantiles are taken of, where there are so many
CELLS = 100_000_000  # entries of a table of moments at most, 0.8 GB
CHUNK = 1 << 16  # rows at a time
FOLDS = 2  # cross-fitting: a candidate's ratio comes from the model that did not see it
CLASSIFIED = 50  # peaks from which on the classifier is used; below, the moments alone
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


def quantile_codes(peaks, candidates, n_bins):
    """Two columns of numbers as the numbers of bins, 0 to at most `n_bins`.

    peaks, candidates: float arrays (rows,); half of the edges are quantiles of the one, half of the other, so that
    both have the same say. Equal numbers share a bin. Returns two int64 arrays.
    """
    inner = np.arange(1, n_bins // 2 + 1) / (n_bins // 2 + 1)
    thinned = [column[:: max(1, len(column) // QUANTILE_ROWS)] for column in (peaks, candidates)]
    edges = np.unique([np.quantile(column, inner, method="nearest") for column in thinned])
    return np.searchsorted(edges, peaks), np.searchsorted(edges, candidates)


def binned_ratio(peaks, candidates):
    """Density ratio peaks / candidates over one covariate: shares in bins, some 20 peaks or more in each.

    peaks, candidates: float64 arrays (rows,); returns a float64 array (candidates,), between exp(-7) and exp(7)
    """
    n_bins = int(np.clip(len(peaks) // 20, 1, 100))
    of_peaks, of_candidates = quantile_codes(peaks, candidates, n_bins)
    counts = [np.bincount(codes, minlength=n_bins + 1) for codes in (of_peaks, of_candidates)]
    ratio = (counts[0] + 0.1) / (counts[1] + 0.1) * (len(candidates) / len(peaks))
    return ratio.clip(np.exp(-7), np.exp(7))[of_candidates]


def classified_ratio(peaks, candidates, rng):
    """Density ratio peaks / candidates from a classifier of the two, cross-fitted.

    peaks, candidates: float64 arrays (rows, covariates). Gradient-boosted trees with both classes weighing the same;
    the odds are the ratio (Sugiyama, Suzuki & Kanamori 2012, Density Ratio Estimation in Machine Learning, ch. 4).
    Fitted to at most `FITTED` rows of each and `PER_PEAK` candidates per peak; more tell no more about the peaks. The
    trees see numbers of quantile bins, since their own search for bins of weighted rows takes longer than they do.
    A candidate's ratio comes from trees that saw neither it nor its fold.
    Returns a float64 array (candidates,), between exp(-7) and exp(7).
    """
    codes = [quantile_codes(*columns, 254) for columns in zip(peaks.T, candidates.T, strict=True)]
    tables = [np.column_stack(columns).astype(np.float64) for columns in zip(*codes, strict=True)]
    folds = [rng.permutation(len(table)) % FOLDS for table in tables]
    seed = int(rng.integers(2**31))
    ratio = np.empty(len(candidates))
    for fold in range(FOLDS):
        own = some(tables[0][folds[0] != fold], rng)
        pool = some(tables[1][folds[1] != fold], rng, min(FITTED, max(LEAST_FITTED, PER_PEAK * len(own))))
        weights = np.repeat([1, len(own) / len(pool)], [len(own), len(pool)])
        trees = HistGradientBoostingClassifier(**TREES, random_state=seed)
        trees.fit(np.concatenate([own, pool]), np.repeat([1, 0], [len(own), len(pool)]), sample_weight=weights)
        held_out = folds[1] == fold
        ratio[held_out] = np.exp(trees.decision_function(tables[1][held_out]).clip(-7, 7))
    return ratio


def density_ratio(peaks, candidates, rng):
    """Density of the peaks over that of the candidates, at each candidate, over all covariates jointly.

    peaks, candidates: float64 arrays (rows, covariates) of one split; rng: numpy Generator
    From 50 peaks on, a cross-fitted classifier (`classified_ratio`) finds the shape, also of spikes and thresholds; for
    a single covariate, shares in bins do (`binned_ratio`);
    exponential tilting (`tilt`) then makes the weighted means, squares and cross-products equal those of the peaks.
    Returns a float64 array (candidates,), mean 1.
    """
    x_peaks, x = standardise(peaks, candidates)
    ratio = np.ones(len(x))
    if len(x_peaks) >= CLASSIFIED and len(x) > FOLDS:
        one = x.shape[1] == 1
        ratio = binned_ratio(x_peaks[:, 0], x[:, 0]) if one else classified_ratio(x_peaks, x, rng)
    sample = some(np.arange(len(x)), rng)
    of, slack = balanced_moments(x_peaks, x[sample])
    b = tilt(ratio[sample], of(x[sample]), slack)[1]
    for i in range(0, len(x), CHUNK):
        ratio[i : i + CHUNK] *= np.exp((of(x[i : i + CHUNK]) @ b[1:]).clip(-50, 50))
    return ratio / ratio.mean()
