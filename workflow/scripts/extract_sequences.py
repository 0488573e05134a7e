from cisgrammar.log import start_log

start_log(snakemake.log[0])
from cisgrammar.covariates import open_store
from cisgrammar.extraction import write_sequences
from cisgrammar.files import read_json
from cisgrammar.intervals import BED6, read_bed

settings = {**snakemake.params.sequences}
write_sequences(
    read_bed(snakemake.input.peaks),
    read_bed(snakemake.input.negatives, [*BED6, "negatives"]),
    open_store(snakemake.input.store),
    settings.pop("flank_bp"),
    snakemake.output[0],
    channels=list(zip(settings.pop("channels"), snakemake.input.channels, strict=True)),
    genome=read_json(snakemake.input.description)["checksum"],
    seed=snakemake.params.seed,
    **settings,
)
