"""Does transfer help where peaks are few? By hand: `python tests/benchmarks/transfer.py STEP RUN PEAKS ...`.

RUN: folder of a run of config/yeast.yaml up to the genome store; PEAKS: folder with one BED file per TF of the same data
set. Steps, each of which keeps what it made below RUN/benchmark:
  prepare   windows, negatives and sequences of every TF, in one process
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
from cisgrammar.covariates import open_store
from cisgrammar.extraction import write_sequences
from cisgrammar.files import read_json
from cisgrammar.intervals import read_bed
from cisgrammar.negatives import add_covariates, away_from, find_candidates, keep_needed, name_covariates
from cisgrammar.peaks import center_peaks, read_peaks
from cisgrammar.sampling import draw_matched
from cisgrammar.sets import draw_some, free_windows
from cisgrammar.splits import read_splits

ROOT = Path(__file__).resolve().parents[2]
SEED, RATIO = 1, 10
CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def prepare(run, peaks):
    genome, folder = run / "resources" / "genome", run / "benchmark" / "sequences"
    splits, store, blacklist = (
        read_splits(genome / "splits.tsv"),
        open_store(genome / "store"),
        read_bed(genome / "blacklist.bed"),
    )
    tables, limits, settings = {}, CONFIG["peaks"], {**CONFIG["negatives"], "ratio": RATIO}
    settings["evaluation"] = ["matched", "other_peaks"]
    for path in sorted(peaks.glob("*.bed")):
        regions = read_peaks([path])
        chosen = {name: limits[name] for name in ("window_bp", "merge_bp", "maximum", "unknown_share")}
        tables[path.stem] = (
            regions,
            center_peaks(regions, splits, blacklist, genome / "genome.fa", minimum=30, **chosen)[0],
        )
    covariates = name_covariates(settings["covariates"], store, None)
    for tf, (regions, windows) in tables.items():
        rng = np.random.default_rng(SEED)
        own = add_covariates(windows, store, None)
        taken = away_from(own, regions, blacklist, settings["margin_bp"])
        candidates = find_candidates(
            own, taken, splits, 50, limits["unknown_share"], RATIO, settings["candidates"], store, None, rng
        )
        others = pd.concat([table for name, (_, table) in tables.items() if name != tf])
        others = add_covariates(free_windows(others, taken), store, None)
        negatives = {
            "matched": draw_matched(own, candidates, covariates, RATIO, rng, False)[0],
            "other_peaks": draw_some(others, own, RATIO, rng)[0],
        }
        genome_checksum = read_json(genome / "genome.json")["checksum"]
        chosen = {name: CONFIG["sequences"][name] for name in ("unknown", "centred", "position_channel")}
        folder.mkdir(parents=True, exist_ok=True)
        write_sequences(
            windows,
            keep_needed(negatives, own, settings),
            store,
            CONFIG["sequences"]["flank_bp"],
            folder / f"{tf}.h5",
            genome=genome_checksum,
            seed=SEED,
            **chosen,
        )
        print(tf, windows["name"].value_counts().to_dict(), flush=True)


if __name__ == "__main__":
    step, *folders = sys.argv[1:]
    {"prepare": prepare}[step](*map(Path, folders))
