from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.consensus import by_best_idr, reproducible
from cisgrammar.files import atomic
from cisgrammar.peaks import read_peaks

settings = snakemake.params
pooled, replicates = read_peaks([snakemake.input.pooled]), [read_peaks([path]) for path in snakemake.input.replicates]
if settings.consensus == "idr":
    kept, _ = by_best_idr(pooled, replicates, settings.idr, np.random.default_rng(settings.seed))
else:
    kept = reproducible(pooled, replicates, settings.at_least)
chosen = set(kept.index)
with open(snakemake.input.pooled) as called, atomic(snakemake.output[0]) as temporary, open(temporary, "w") as out:
    out.writelines(line for number, line in enumerate(called) if number in chosen)
