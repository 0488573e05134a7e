from cisgrammar.log import start_log

start_log(snakemake.log[0])
from pathlib import Path

import numpy as np
from cisgrammar.files import check_checksum, fetch, is_url, write_json, write_table
from cisgrammar.intervals import read_bed, write_bed
from cisgrammar.log import InputError
from cisgrammar.references import clean_blacklist, copy_genome, describe_genome
from cisgrammar.splits import split_chromosomes

settings = snakemake.params.references
name = snakemake.wildcards.genome
section = "references" if name == "genome" else f"genomes.{name}"
folder = Path(snakemake.output.genome).parent


def local(source, expected):
    """The file itself, or its download, checked."""
    if not is_url(source):
        if expected:
            check_checksum(source, expected, source)
        return source
    target = folder / f"download.{source.rsplit('/', 1)[-1]}"
    fetch(source, target, expected)
    return target


expected = settings["genome_checksum"] or ""
of_sequence = expected.startswith("sequence:")
source = local(snakemake.params.genome, None if of_sequence else expected)
lengths = copy_genome(source, snakemake.output.genome, settings["rename"])
checksum, known_bp = describe_genome(snakemake.output.genome)
if of_sequence and checksum != expected:
    raise InputError(f"{source}: its sequence has checksum {checksum}, {section}.genome_checksum says {expected}")
write_json(
    {"checksum": checksum, "known_bp": known_bp, "source": str(snakemake.params.genome)}, snakemake.output.description
)

splits = settings["splits"]
table = split_chromosomes(
    lengths,
    splits["test"],
    splits["validation"],
    splits["test_share"],
    splits["validation_share"],
    settings["ignore_chromosomes"],
    np.random.default_rng(snakemake.params.seed),
)
write_table(table, snakemake.output.splits)

if snakemake.params.blacklist:
    source = local(snakemake.params.blacklist, settings["blacklist_checksum"])
    write_bed(clean_blacklist(read_bed(source), lengths, source), snakemake.output.blacklist)
else:
    Path(snakemake.output.blacklist).touch()
for download in folder.glob("download.*"):
    download.unlink()
