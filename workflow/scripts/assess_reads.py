from cisgrammar.log import start_log

start_log(snakemake.log[0])
import numpy as np
import pandas as pd
from cisgrammar.files import read_json, write_table
from cisgrammar.intervals import read_bed
from cisgrammar.quality import assess
from cisgrammar.splits import read_splits

splits = read_splits(snakemake.input.splits)
splits = splits[splits["split"] != "ignored"]
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
regions = read_bed(snakemake.input.regions, ["chrom", "start", "end"])
rows, tables = [], []
for entry in read_json(snakemake.input.checked):
    rng = np.random.default_rng(snakemake.params.seed)
    name = {key: entry[key] for key in ("role", "replicate", "format")}
    row, table = assess(entry["file"], entry["format"], regions, lengths, rng)
    rows.append({**name, **row})
    tables.append(table.assign(**name))
write_table(pd.DataFrame(rows), snakemake.output.quality)
write_table(pd.concat(tables), snakemake.output.correlation)
