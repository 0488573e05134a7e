from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.files import write_table
from cisgrammar.intervals import read_bed, write_bed
from cisgrammar.negatives import balance, find_candidates, match_negatives
from cisgrammar.splits import read_splits

settings = snakemake.params.negatives
candidates, peaks = find_candidates(
    read_bed(snakemake.input.peaks),
    read_bed(snakemake.input.regions),
    read_bed(snakemake.input.blacklist),
    read_splits(snakemake.input.splits),
    snakemake.input.genome,
    settings["margin_bp"],
    settings["step_bp"],
    snakemake.params.unknown_share,
)
negatives = match_negatives(
    peaks,
    candidates,
    settings["ratio"],
    settings["gc_bin_width"],
    settings["gc_tolerance"],
    np.random.default_rng(snakemake.params.seed),
)
write_table(balance(peaks, candidates, negatives), snakemake.output.balance)
write_bed(negatives, snakemake.output.negatives)
