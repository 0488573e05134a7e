from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.files import fetch

row = snakemake.params.row
fetch(row["location"], snakemake.output[0], row["checksum"])
