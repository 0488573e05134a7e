# cisgrammar: from ChIP-seq experiments to networks and the sequence grammar that they learned.
# Everything a run makes lies in its working directory (`--directory`):
#   results/<stage>/<cell_type>/<tf>/<thing>, resources/<kind>/<file>, logs/<rule>/..., benchmarks/<rule>/...
from snakemake.utils import min_version

min_version("9.27")

if not workflow.overwrite_configfiles:

    configfile: workflow.source_path("config/config.yaml")


include: "workflow/rules/common.smk"


if config["container"]:

    container: local_path(config["container"])


include: "workflow/rules/references.smk"
include: "workflow/rules/peaks.smk"
include: "workflow/rules/negatives.smk"
include: "workflow/rules/sequences.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/interpretation.smk"
include: "workflow/rules/motifs.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/variants.smk"
include: "workflow/rules/design.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/chunks.smk"


rule all:
    default_target: True
    input:
        "results/summary.tsv",
        "results/report.html",
        predictions(),
        exports(),
        variant_scores(),
        designs(),
        patterns(),
