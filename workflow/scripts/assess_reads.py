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
replicates = {}  # of each file; replicates often share their control
for entry in read_json(snakemake.input.checked):
    replicates.setdefault((entry["file"], entry["role"], entry["format"]), []).append(entry["replicate"])
rows, tables = [], []
for (file, role, kind), names in replicates.items():
    row, table = assess(file, kind, regions, lengths, np.random.default_rng(snakemake.params.seed))
    name = {"role": role, "replicate": ", ".join(names), "format": kind}
    rows.append({**name, **row})
    tables.append(table.assign(**name))
write_table(pd.DataFrame(rows), snakemake.output.quality)
write_table(pd.concat(tables), snakemake.output.correlation)
