"""Start a project from a folder of BAM files or a table of ENCODE's accessions: `python workflow/scripts/init.py --help`."""

import argparse
import sys
from pathlib import Path

from cisgrammar.init import from_accessions, from_folder, write_start
from cisgrammar.log import InputError

parser = argparse.ArgumentParser(description="Write config/NAME.tsv and config/NAME.yaml for your experiments.")
parser.add_argument(
    "source", help="folder of BAM files (K562_CTCF_rep1.bam, K562_input.bam), or file of ENCSR accessions"
)
parser.add_argument("name", help="name of the project, as mine")
given = parser.parse_args()
table, settings = (Path("config") / f"{given.name}.{end}" for end in ("tsv", "yaml"))
try:
    rows, genome = (from_folder if Path(given.source).is_dir() else from_accessions)(given.source)
    left = write_start(rows, genome, table, settings)
except (InputError, FileNotFoundError) as error:
    sys.exit(f"Error: {error}")
print(
    f"{len(rows)} row{'s' * (len(rows) > 1)} in {table}, genome {genome[0] or 'unknown'}: look at it, and at {settings}.",
    *left,
    sep="\n",
)
print(f"Then: snakemake --cores 2 --configfile {settings} --directory runs/{given.name}")
