from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.binding import is_bound
from cisgrammar.design import Together, design_sequence, likelihood, list_edits, starting_points, word_model
from cisgrammar.files import atomic, write_table
from cisgrammar.meme import read_meme
from cisgrammar.model import load_model, use_threads
from cisgrammar.sequences import read_sequences

use_threads(1)
settings, output = snakemake.params.design, snakemake.output
models, wanted = snakemake.params.models, snakemake.params.wanted
rng = np.random.default_rng(snakemake.params.seed)
loaded = [load_model(*files) for files in zip(snakemake.input.weights, snakemake.input.descriptions, strict=True)]
described = [description for _, description in loaded]
together = Together(
    [network for network, _ in loaded],
    [description["encoding"] for description in described],
    [len(description["channels"]) for description in described],
)


def negatives(split):
    """Matched negatives without unknown bases, codes uint8 (windows, bases)."""
    data = read_sequences(snakemake.input.sequences[0], split)
    return data["codes"][(data["negatives"] == "matched") & (data["codes"] < 4).all(axis=1)]


test, words = negatives("test"), word_model(negatives("train"))
names, starts = starting_points(settings["start"], test, described[0]["window_bp"], settings["number"], rng)
search = settings["edits"], settings["beam"], settings["span"]
designed = np.stack([design_sequence(together, start, wanted, *search) for start in starts])
before, after = together.score(starts), together.score(designed)
reached = (after > 0) == np.array(wanted, dtype=bool)
table = {"design": np.repeat(names, len(models)), "model": models * len(names), "wanted": wanted * len(names)}
table |= {"logit_before": before.ravel(), "logit_after": after.ravel(), "reached": reached.ravel().astype(int)}
if snakemake.input.known:
    # In a simulated genome the rule by which TFs bind is known, and says whether the networks are right.
    known = {key: matrix for key, (_, matrix) in read_meme(snakemake.input.known[0]).items()}
    bound = []
    for tf in (next(tf for tf in snakemake.params.tfs if tf["tf"] == model.split("/")[1]) for model in models):
        bound.append(
            is_bound(designed, known[tf["jaspar_id"]], known.get(tf.get("partner_id")), tf.get("spacing") or 0)
        )
    table["rule"] = np.stack(bound, axis=1).ravel().astype(int)
write_table(pd.DataFrame(table), output.scores, float_format="%.4g")

edits = [list_edits(together, *pair, wanted) for pair in zip(starts, designed, strict=True)]
write_table(
    pd.concat([part.assign(design=name)[["design", *part.columns]] for name, part in zip(names, edits, strict=True)]),
    output.edits,
    float_format="%.4g",
)
natural, likely = np.sort(likelihood(test, words)), likelihood(designed, words)
summary = {
    "design": names,
    "edits": [len(part) for part in edits],
    "reached": reached.all(axis=1).astype(int),
    "likelihood_before": likelihood(starts, words),
    "likelihood_after": likely,
    "less_likely_windows": np.searchsorted(natural, likely, side="right") / len(natural),
    "sequence": ["".join(np.array(list("ACGT"))[sequence]) for sequence in designed],
}
write_table(pd.DataFrame(summary), output.designs, float_format="%.4g")
with atomic(output.fasta) as temporary, open(temporary, "w") as handle:
    handle.writelines(f">{name}\n{sequence}\n" for name, sequence in zip(names, summary["sequence"], strict=True))
