from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import write_json
from cisgrammar.reads import describe_file, find_row
from cisgrammar.splits import read_splits

splits = read_splits(snakemake.input.splits)
lengths = dict(zip(splits["chrom"], splits["length_bp"], strict=True))
table, experiment = snakemake.config["samples"], (snakemake.wildcards.cell_type, snakemake.wildcards.tf)
files = [
    describe_file(
        path, {**row, "place": find_row(table, *experiment, row["replicate"])}, lengths, snakemake.params.minimum
    )
    for path, row in zip(snakemake.input.files, snakemake.params.rows, strict=True)
]
write_json(files, snakemake.output[0])
