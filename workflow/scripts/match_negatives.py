from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.balance import balance, separability
from cisgrammar.covariates import open_store, read_tss
from cisgrammar.files import write_table
from cisgrammar.intervals import BED6, read_bed, write_bed
from cisgrammar.meme import read_meme
from cisgrammar.negatives import add_covariates, away_from, find_candidates, is_needed, keep_needed, name_covariates
from cisgrammar.sampling import draw_matched
from cisgrammar.sets import (
    draw_some,
    find_sites,
    free_windows,
    own_matrices,
    place_windows,
    shufflable,
    tile_regions,
)
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
unknown_share, ratio = snakemake.params.unknown_share, settings["ratio"]
candidates = find_candidates(peaks, taken, splits, step, unknown_share, ratio, most, store, tss, rng)

pools, drawn = {"matched": candidates}, {}
drawn["matched"] = draw_matched(peaks, candidates, covariates, settings["ratio"], rng, settings["allow_shortfall"])
if snakemake.input.accessible:
    pools["accessible"] = tile_regions(read_bed(snakemake.input.accessible[0]), width, splits)
if snakemake.input.motifs:
    matrices = own_matrices(snakemake.wildcards.tf, read_meme(snakemake.input.motifs[0]))
    pools["motif"] = place_windows(find_sites(candidates, matrices, store), width, splits)
if snakemake.input.others:
    pools["other_peaks"] = pd.concat(map(read_bed, snakemake.input.others))
for name in list(pools)[1:]:
    pools[name] = add_covariates(free_windows(pools[name], taken), store, tss)
    drawn[name] = draw_some(pools[name], peaks, settings["ratio"], rng)
report = {name: (pools[name], negatives) for name, (negatives, _) in drawn.items()}
if "shuffled" in settings["training"] + settings["evaluation"]:
    whole = shufflable(peaks, store, snakemake.params.flank_bp)
    drawn["shuffled"] = draw_some(whole, peaks, settings["ratio"], rng, repeat=True)

tables = {
    "balance": [balance(peaks, *found, covariates).assign(negatives=name) for name, found in report.items()],
    "separability": [
        separability(peaks, found[1], covariates, rng).assign(negatives=name) for name, found in report.items()
    ],
    "draws": [
        counts[[is_needed(name, split, settings) for split in counts["split"]]].assign(negatives=name)
        for name, (_, counts) in drawn.items()
    ],
}
for name, parts in tables.items():
    write_table(pd.concat(parts), snakemake.output[name])
negatives = keep_needed({name: windows for name, (windows, _) in drawn.items()}, peaks, settings)
write_bed(negatives, snakemake.output.negatives, [*BED6, "negatives"])
