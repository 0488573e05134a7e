from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
from cisgrammar.balance import balance, separability
from cisgrammar.covariates import open_store, read_tss
from cisgrammar.files import write_table
from cisgrammar.intervals import read_bed, write_bed
from cisgrammar.negatives import add_covariates, away_from, find_candidates, name_covariates
from cisgrammar.sampling import draw_matched
from cisgrammar.splits import read_splits

settings, rng = snakemake.params.negatives, np.random.default_rng(snakemake.params.seed)
splits, store = read_splits(snakemake.input.splits), open_store(snakemake.input.store)
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
tss = read_tss(snakemake.input.annotation[0], lengths) if snakemake.input.annotation else None
covariates = name_covariates(settings["covariates"], store, tss)
peaks = add_covariates(read_bed(snakemake.input.peaks), store, tss)
taken = away_from(peaks, read_bed(snakemake.input.regions), read_bed(snakemake.input.blacklist), settings["margin_bp"])
width = int(peaks["end"].iloc[0] - peaks["start"].iloc[0])
step, most = settings["step_bp"] or max(1, width // 4), settings["candidates"]
candidates = find_candidates(peaks, taken, splits, step, snakemake.params.unknown_share, most, store, tss, rng)
negatives, _ = draw_matched(peaks, candidates, covariates, settings["ratio"], rng, settings["allow_shortfall"])
write_table(balance(peaks, candidates, negatives, covariates), snakemake.output.balance)
write_table(separability(peaks, negatives, covariates, rng), snakemake.output.separability)
write_bed(negatives, snakemake.output.negatives)
