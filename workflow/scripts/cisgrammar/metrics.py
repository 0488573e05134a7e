"""How well scores rank bound windows above others, and how sure that is: metrics, and a bootstrap over blocks."""

import numpy as np
from scipy import sparse

RECALL, FDR = 0.05, 0.1
RANKING = ("auroc", "auprc", "precision_at_5_recall", "recall_at_10_fdr")
AT_ONCE = 1 << 22  # numbers in one step


def rank_bins(labels, scores):
    """Bin of each window, best scores first, int array, and the number of bins.

    Bins 1, 3, 5 ... are the scores that any bound window has, bins 0, 2, 4 ... the windows in between, none of them
    bound. The order of windows between two bound ones changes none of the metrics below, so nothing is lost, and with
    many windows there are far fewer bins than windows.
    Raises ValueError when a score is nan.
    """
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are nan")
    _, tie = np.unique(-np.asarray(scores), return_inverse=True)
    bound = np.bincount(tie, weights=labels) > 0
    above = np.cumsum(bound) - bound
    return (2 * above + bound)[tie], 2 * int(bound.sum()) + 1


def ranking(positives, negatives):
    """Metrics of ranked windows, float array (samples, 4), in the order of RANKING; nan where a class is missing.

    positives, negatives: float arrays (samples, bins), how many windows of each class are in each bin, best first
      auroc   chance that a bound window is above another one, a tie counting half
      auprc   average precision: the mean, over the bound windows, of the precision down to their bin
      precision_at_5_recall   precision where the first 5% of the bound windows are found, with all of that bin
      recall_at_10_fdr        largest recall at which at most 10% of what is called are not bound; 0 where there is none
    """
    hits, false = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
    n_pos, n_neg = hits[:, -1:], false[:, -1:]
    called = hits + false
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(called > 0, hits / called, 0)
        auroc = (negatives * (hits - positives / 2)).sum(axis=1) / (n_pos * n_neg)[:, 0]
        auprc = (positives * precision).sum(axis=1) / n_pos[:, 0]
        early = np.argmax(hits >= RECALL * n_pos - 1e-9, axis=1)
        allowed = (called > 0) & (false <= FDR * called + 1e-9)
        found = (hits * allowed).max(axis=1) / n_pos[:, 0]
    values = np.column_stack([auroc, auprc, precision[np.arange(len(early)), early], found])
    values[((n_pos == 0) | (n_neg == 0))[:, 0]] = np.nan
    return values


class Ranking:
    """Metrics of one model in samples of blocks.

    labels: 0 or 1; scores: float array (windows,), higher is more likely bound; block: int array, from 0 to n_blocks - 1
    """

    names = RANKING

    def __init__(self, labels, scores, block, n_blocks):
        bins, self.width = rank_bins(labels, scores)
        self.counts = [in_blocks(block, bins, labels == label, (n_blocks, self.width)) for label in (1, 0)]

    def __call__(self, weights):
        """Metrics where each block counts as often as `weights` says, (samples, blocks); array (samples, 4)."""
        return ranking(*(weights @ counts for counts in self.counts))


def in_blocks(block, column, values, shape):
    """Sums of values per block and column, a sparse float array of that shape."""
    return sparse.coo_array((np.asarray(values, dtype=np.float64), (block, column)), shape=shape).tocsr()


def place_blocks(chrom, start, block_bp):
    """Block of each window, int array from 0: stretches of block_bp along each chromosome, those without a window
    left out, and their number."""
    _, number = np.unique(np.asarray(chrom), return_inverse=True)
    found, block = np.unique(number * (1 << 40) + np.asarray(start, dtype=np.int64) // block_bp, return_inverse=True)
    return block, len(found)


def draw_blocks(labels, block, n_blocks, n_samples, rng, at_once):
    """Bootstrap samples of whole blocks: arrays (at most `at_once`, blocks), how often each block was drawn.

    As many blocks are drawn, with replacement, as there are. A sample without a bound window or without another one is
    drawn again, at most ten times as many in all.
    """
    totals = np.column_stack([np.bincount(block[labels == label], minlength=n_blocks) for label in (1, 0)])
    left, tries = n_samples, 10 * n_samples
    while left > 0 and tries > 0:
        n = min(left, tries, at_once)
        weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n).astype(np.float64)
        weights = weights[(weights @ totals > 0).all(axis=1)]
        left, tries = left - len(weights), tries - n
        if len(weights):
            yield weights


def bootstrap(measures, labels, block, n_blocks, n_samples, rng):
    """Values of every model on the windows as they are and in bootstrap samples, the same samples for all.

    measures: dict of a model to a list of functions such as `Ranking`; block: of each window, see `place_blocks`
    Whole blocks are drawn, since neighbouring windows are not independent (Künsch 1989, Annals of Statistics 17:1217;
    here the blocks do not overlap). The work per sample grows with the blocks and bins rather than with the windows.
    Returns two dicts of a model: to a float array (values,), and to one (samples, values).
    """

    def values(weights):
        return {model: np.hstack([f(weights) for f in functions]) for model, functions in measures.items()}

    points = {model: row[0] for model, row in values(np.ones((1, n_blocks))).items()}
    widest = max([n_blocks, *(f.width for functions in measures.values() for f in functions)])
    found = {model: [np.zeros((0, len(point)))] for model, point in points.items()}
    for weights in draw_blocks(labels, block, n_blocks, n_samples, rng, max(1, AT_ONCE // widest)):
        for model, rows in values(weights).items():
            found[model].append(rows)
    return points, {model: np.concatenate(rows) for model, rows in found.items()}


def interval(samples):
    """The 2.5th and the 97.5th percentile of samples (samples, ...), nan without a sample."""
    return np.percentile(samples, [2.5, 97.5], axis=0) if len(samples) else np.full((2, *samples.shape[1:]), np.nan)
