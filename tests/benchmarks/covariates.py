"""What is left to cheat on when negatives are matched in more and more covariates; by hand, on a finished yeast run.

    python tests/benchmarks/covariates.py runs/yeast

For each choice of covariates, and for the set `other_peaks`: the AUROC on the test chromosomes of a logistic regression on
the shares of the ten dinucleotides, fitted on the training chromosomes, and the |SMD| and AUROC that the report shows.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.balance import balance, separability
from cisgrammar.covariates import DINUCLEOTIDES, open_store
from cisgrammar.intervals import read_bed
from cisgrammar.log import InputError
from cisgrammar.negatives import add_covariates, away_from, find_candidates, name_covariates
from cisgrammar.sampling import draw_matched
from cisgrammar.sets import draw_some, free_windows
from cisgrammar.splits import read_splits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CHOICES = (
    ["gc"],
    ["gc", "cpg"],
    ["gc", "cpg", "repeats", "mappability"],
    ["gc", "cpg", "repeats", "mappability", "dinucleotides"],
)


def told_by_dinucleotides(peaks, negatives):
    """AUROC on test windows of a logistic regression on dinucleotide shares, fitted on training windows."""
    x = np.concatenate([peaks[list(DINUCLEOTIDES)], negatives[list(DINUCLEOTIDES)]])
    label = np.repeat([1, 0], [len(peaks), len(negatives)])
    split = np.concatenate([peaks["name"], negatives["name"]])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    model.fit(x[split == "train"], label[split == "train"])
    return roc_auc_score(label[split == "test"], model.decision_function(x[split == "test"]))


def main(run, ratio=10, margin_bp=200):
    run, rows = Path(run), []
    splits, store = read_splits(run / "resources/genome/splits.tsv"), open_store(run / "resources/genome/store")
    blacklist = read_bed(run / "resources/genome/blacklist.bed")
    folders = [path.parent for path in sorted(run.glob("results/peaks/*/*/peaks.bed"))]
    for folder in folders:
        peaks = add_covariates(read_bed(folder / "peaks.bed"), store, None)
        taken = away_from(peaks, read_bed(folder / "regions.bed"), blacklist, margin_bp)
        candidates = find_candidates(peaks, taken, splits, 50, 0.1, ratio, 10**6, store, None, np.random.default_rng(1))
        others = pd.concat([read_bed(other / "peaks.bed") for other in folders if other != folder])
        others = add_covariates(free_windows(others, taken), store, None)
        drawn = {
            "all candidates": candidates,
            "other_peaks": draw_some(others, peaks, ratio, np.random.default_rng(1))[0],
        }
        for choice in CHOICES:
            names, rng = name_covariates(choice, store, None), np.random.default_rng(1)
            try:
                drawn[" ".join(choice)] = draw_matched(peaks, candidates, names, ratio, rng)[0]
            except InputError as error:
                print(folder.name, choice, error, file=sys.stderr)
        for name, negatives in drawn.items():
            names = name_covariates(CHOICES[-1] if name not in map(" ".join, CHOICES) else name.split(), store, None)
            row = {"tf": folder.name, "negatives": name, "dinucleotides": told_by_dinucleotides(peaks, negatives)}
            row["smd"] = balance(peaks, candidates, negatives, names)["smd_after"].abs().max()
            row["covariates"] = separability(peaks, negatives, names, np.random.default_rng(1))["auroc"].iloc[-1]
            rows.append({**row, "n": len(negatives)})
    table = pd.DataFrame(rows)
    print(table.pivot(index="negatives", columns="tf", values="dinucleotides").round(2).to_markdown())
    means = table.groupby("negatives", sort=False)[["dinucleotides", "smd", "covariates"]].agg(["mean", "max"]).round(3)
    means.columns = [f"{statistic} {name}" for name, statistic in means.columns]
    print(means.to_markdown())


if __name__ == "__main__":
    main(*sys.argv[1:])
