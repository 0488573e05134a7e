"""Scores on chromosomes that no model saw: every set of negatives, and all windows at the true share of bound ones."""

import logging
import time
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from cisgrammar.calibration import Calibration, reliability, scale
from cisgrammar.extraction import extract_codes, extract_regions
from cisgrammar.intervals import at_most, overlaps
from cisgrammar.log import InputError
from cisgrammar.metrics import Ranking, bootstrap, interval, place_blocks
from cisgrammar.negatives import add_covariates
from cisgrammar.sequences import negative_sets

GENOME_WIDE = "genome_wide"
AT_ONCE = 1 << 24  # bases in one step


def measure(negatives, windows, scores, temperatures, n_samples, block_bp, seed, networks=(), members=None):
    """Metrics of several models on the same windows, and how much better the networks are than the others.

    negatives: name of the set of windows that are not bound
    windows: dict or data frame with chrom, start (bp), label (0 or 1)
    scores: dict of a model to float array, higher is more likely bound; a probability where the model has a temperature
    temperatures: dict of a model to the number of `calibration.fit_temperature`, for those with probabilities
    n_samples, block_bp: of the bootstrap; networks: models to compare with all others and with each other
    members: dict of a network to the scores of its members alone, (windows, members)
    Returns two data frames. A row per model: model, negatives, n_pos, n_neg, prevalence; auroc, auprc, precision_at_5_recall,
    recall_at_10_fdr (`metrics.ranking`), ece, ece_scaled (expected calibration error before and after the temperature),
    each with its 95% interval as _low and _high; temperature; auprc_worst_member, auprc_best_member, the spread of what the
    network is the mean of. Each is nan where it is not defined: all where a class is missing, what asks for a probability
    where there is none, the interval without a bootstrap sample, and the spread of what has no members.
    A row per pair: model, other, negatives, difference, low, high, of the AUPRC, with the 95% interval over the same samples.
    """
    labels = np.asarray(windows["label"]).astype(np.int64)
    block, n_blocks = place_blocks(windows["chrom"], windows["start"], block_bp)
    measures = {}
    for model, values in scores.items():
        measures[model] = [Ranking(labels, values, block, n_blocks)]
        if model in temperatures:
            scaled = scale(values, temperatures[model])
            measures[model].append(Calibration(labels, values, block, n_blocks))
            measures[model].append(Calibration(labels, scaled, block, n_blocks, "ece_scaled"))
    points, samples = bootstrap(measures, labels, block, n_blocks, n_samples, np.random.default_rng(seed))
    rows = []
    for model, functions in measures.items():
        names = [name for function in functions for name in function.names]
        found = {"auroc": np.nan, **{name: [np.nan] * 3 for name in (*Ranking.names, "ece", "ece_scaled")}}
        found |= dict(zip(names, np.vstack([points[model], interval(samples[model])]).T.tolist(), strict=True))
        row = {"model": model, "negatives": negatives, "n_pos": int(labels.sum()), "n_neg": int((1 - labels).sum())}
        row["prevalence"] = float(labels.mean())
        for name, (point, low, high) in found.items():
            row |= {name: point, f"{name}_low": low, f"{name}_high": high}
        both = len(np.unique(labels)) == 2
        alone = [average_precision_score(labels, of) for of in (members or {}).get(model, np.zeros((0, 0))).T if both]
        spread = {"auprc_worst_member": min(alone, default=np.nan), "auprc_best_member": max(alone, default=np.nan)}
        rows.append({**row, "temperature": temperatures.get(model, np.nan), **spread})
    pairs = [(a, b) for a, b in combinations(scores, 2) if a in networks]
    compared = [{"model": a, "other": b, "negatives": negatives, **compare(points, samples, a, b)} for a, b in pairs]
    columns = ["model", "other", "negatives", "difference", "low", "high"]
    return pd.DataFrame(rows), pd.DataFrame(compared, columns=columns)


def compare(points, samples, model, other):
    """Dict difference, low, high: how much larger the AUPRC of a model is than another's in the same samples."""
    value = Ranking.names.index("auprc")
    gap = samples[model][:, value] - samples[other][:, value]
    low, high = interval(gap).tolist()
    return {"difference": float(points[model][value] - points[other][value]), "low": low, "high": high}


def evaluate(test, scores, *arguments, members=None):
    """`measure` on the peaks and each set of negatives, and the comparisons of the models there.

    test: dict of `read_sequences`; others: as of `measure`
    Returns the same two data frames, all sets one below the other.
    """
    tables = []
    for negatives, of in negative_sets(test):
        windows = {name: test[name][of] for name in ("chrom", "start", "label")}
        some, alone = ({model: values[of] for model, values in part.items()} for part in (scores, members or {}))
        tables.append(measure(negatives, windows, some, *arguments, members=alone))
    return tuple(pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))


def describe_calibration(windows, scores, temperatures):
    """Dict of a model to its temperature and its reliability before and after, on the peaks and the matched negatives."""
    of = (windows["label"] == 1) | (windows["negatives"] == "matched")
    labels = windows["label"][of].astype(np.int64)
    return {
        model: {
            "temperature": temperature,
            "before": reliability(labels, scores[model][of]),
            "after": reliability(labels, scale(scores[model][of], temperature)),
        }
        for model, temperature in temperatures.items()
    }


def tile_test(splits, store, width, step_bp, windows, regions, blacklist, unknown_share):
    """The test chromosomes cut into stretches, labelled 1 where a stretch holds the middle of a peak's window, its summit.

    splits: data frame chrom, length_bp, split; store: genome store; width: of the windows that models score, bp; step_bp:
    length of a stretch; windows: of the experiment, around its summits; regions: all its called peaks; blacklist:
    stretches that touch it are left out, and so are those with a larger share of unknown bases than unknown_share. Left out
    as well are stretches that only touch a window or a called peak: they hold a part of what is bound, and no summit.
    Returns a data frame chrom, start, end, label; half a window from both ends of the chromosomes is not in it.
    Raises InputError when there is no such stretch.
    """
    rows = splits[splits["split"] == "test"]
    starts = [np.arange(width // 2, length - width + width // 2 - step_bp + 1, step_bp) for length in rows["length_bp"]]
    chrom = np.repeat(rows["chrom"].to_numpy(), [len(part) for part in starts])
    start = np.concatenate([np.zeros(0, dtype=np.int64), *starts])
    tiles = pd.DataFrame({"chrom": chrom, "start": start, "end": start + step_bp})
    middle = (windows["start"] + windows["end"]) // 2
    summits = windows.assign(start=middle, end=middle + 1)
    tiles["label"] = overlaps(tiles, summits).astype(np.uint8)
    unclear = overlaps(tiles, regions) | overlaps(tiles, windows)
    tiles = tiles[(~unclear | (tiles["label"] == 1)) & ~overlaps(tiles, blacklist)].reset_index(drop=True)
    tiles = tiles[at_most(add_covariates(tiles, store, None)["unknown"], unknown_share)].reset_index(drop=True)
    if tiles.empty:
        raise InputError(
            f"evaluation.genome_wide: of {len(start)} stretches of {step_bp} bp on the test chromosomes none has enough "
            "known bases outside the exclusion list; set evaluation.genome_wide: false"
        )
    return tiles


def scan(tiles, width, scan_bp, store, tracks, models):
    """The best score in each stretch, of the windows whose middle lies in it, every scan_bp.

    tiles: data frame of `tile_test`, all of one length; width: of the windows, bp; others: as for `score_windows`
    A model that was trained on windows around summits is asked at every place, since nobody knows the summits beforehand.
    Returns a dict of a model to float array (stretches,).
    """
    length = int(tiles["end"].iloc[0] - tiles["start"].iloc[0])
    best = {model: np.full(len(tiles), -np.inf) for model in models}
    for offset in range(min(scan_bp, length) // 2, length, scan_bp):
        start = tiles["start"] + offset - width // 2
        windows = tiles[["chrom"]].assign(start=start, end=start + width)
        for model, scores in score_windows(windows, store, tracks, models).items():
            np.maximum(best[model], scores, out=best[model])
    return best


def score_windows(windows, store, tracks, models):
    """Scores of windows of one width, read from the genome some at a time.

    windows: data frame chrom, start, end; store: genome store; tracks: list of dicts path, mean, sd, of the channels
    models: dict of a model to a function of codes uint8 (n, bases), channels float16 (n, channels, bases) or None, and the
    rows of `windows`, that returns scores (n,)
    Returns a dict of a model to float array (windows,). Speeds are logged.
    """
    step = max(1, AT_ONCE // int(windows["end"].iloc[0] - windows["start"].iloc[0]))
    scores, seconds = {model: [] for model in models}, dict.fromkeys(models, 0.0)
    for i in range(0, len(windows), step):
        part = windows.iloc[i : i + step]
        codes, channels = extract_codes(part, store), None
        if tracks:
            channels = np.stack(extract_regions(part, store, tracks)[1])
        for model, function in models.items():
            began = time.perf_counter()
            scores[model].append(function(codes, channels, part))
            seconds[model] += time.perf_counter() - began
    for model, taken in seconds.items():
        logging.info("%s: %d windows, %.0f windows/s", model, len(windows), len(windows) / max(taken, 1e-9))
    return {model: np.concatenate(values).astype(np.float64) for model, values in scores.items()}
