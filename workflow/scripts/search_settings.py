from cisgrammar.log import start_log

start_log(snakemake.log[0])
import logging
import math
from pathlib import Path

import pandas as pd
import yaml
from cisgrammar.engine import fingerprint, fit_folds
from cisgrammar.files import atomic, read_json, write_json, write_table
from cisgrammar.meme import read_meme
from cisgrammar.search import best_of, search, settings_as_they_are, with_settings
from cisgrammar.training import network_settings, read_folds, set_up, start_network

training, seed, space = snakemake.params.training, snakemake.params.seed, snakemake.params.search["space"]
fabric = set_up(snakemake.params.device, snakemake.threads, seed, training["precision"])
folds = read_folds(snakemake.input.sequences, training["folds"])
motifs = read_meme(snakemake.input.motifs[0]) if training["start_from"] else {}


def judge(chosen):
    settings = with_settings(training, chosen)
    built, window_bp = network_settings(settings, folds[0][0]), folds[0][0]["window_bp"]
    _, history = fit_folds(folds, lambda: start_network(built, settings, window_bp, motifs), settings, seed, fabric)
    return float(history.loc[history["kept"] == 1, "validation_auprc"].mean())


# Snakemake deletes the outputs of a job that did not end well; this file is none, so a search that was killed goes on.
state = Path(snakemake.output.trials).with_name("trials.partial.json")
key = fingerprint([training, space, seed, snakemake.threads], folds, snakemake.input.code)
stored = read_json(state) if state.exists() else {"key": None, "trials": []}
done = [(chosen, math.nan if value is None else value) for chosen, value in stored["trials"] if stored["key"] == key]
if stored["trials"]:
    logging.info("%d of %d trials of an earlier search are used", len(done), len(stored["trials"]))


def keep(trials):
    values = [(chosen, None if math.isnan(value) else value) for chosen, value in trials]
    write_json({"key": key, "trials": values}, state)


budget = snakemake.params.search["trials"], snakemake.params.search["minutes"]
trials = search(judge, space, settings_as_they_are(training, space), *budget, seed, done, keep)
best = best_of(trials)
rows = [{"trial": i + 1, **chosen, "validation_auprc": value} for i, (chosen, value) in enumerate(trials)]
write_table(pd.DataFrame(rows).assign(best=[int(i == best) for i in range(len(trials))]), snakemake.output.trials)
better = {name: value for name, value in with_settings({"network": {}}, trials[best][0]).items() if value != {}}
with atomic(snakemake.output.settings) as temporary:
    temporary.write_text(
        f"# Validation AUPRC {trials[best][1]:.4f}, against {trials[0][1]:.4f} of the settings as they were. The best of "
        f"{len(trials)} trials on\n# the same windows is an optimistic figure: only the test chromosomes tell what it is "
        f"worth. To use: --configfile YOURS.yaml THIS.yaml\n{yaml.safe_dump({'training': better}, sort_keys=True)}"
    )
state.unlink(missing_ok=True)
