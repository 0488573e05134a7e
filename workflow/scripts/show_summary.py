from cisgrammar.log import start_log

start_log(snakemake.log[0])
import sys

from cisgrammar.page import read_table, table_text

WORDS = ("cell_type", "tf", "baseline", "jaspar_name", "jaspar_id", "take_care")
sys.stdout.write(table_text(read_table(snakemake.input.overview, WORDS)))
