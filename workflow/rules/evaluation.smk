rule evaluate_model:
    input:
        code=library(
            "log",
            "files",
            "intervals",
            *NETWORKS,
            "splits",
            "meme",
            "covariates",
            "sequences",
            "extraction",
            "density",
            "negatives",
            "metrics",
            "calibration",
            "baselines",
            "kmers",
            "evaluation",
        ),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        regions="results/peaks/{cell_type}/{tf}/regions.bed",
        weights=lambda wildcards: delivered(wildcards, "model.safetensors"),
        descriptions=lambda wildcards: delivered(wildcards, "model.json"),
        motifs="resources/jaspar/motifs.meme",
        store=reference("store"),
        annotation=annotation,
        splits=reference("splits.tsv"),
        blacklist=reference("blacklist.bed"),
        channels=channel_files,
    output:
        metrics="results/evaluation/{cell_type}/{tf}/metrics.tsv",
        comparisons="results/evaluation/{cell_type}/{tf}/comparisons.tsv",
        predictions="results/evaluation/{cell_type}/{tf}/predictions.tsv",
        calibration="results/evaluation/{cell_type}/{tf}/calibration.json",
        baselines="results/evaluation/{cell_type}/{tf}/baselines.json",
    log:
        "logs/evaluate_model/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/evaluate_model/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(4000, 20, "sequences"),
        runtime=grows(240, 1, "sequences"),
    params:
        models=models,
        evaluation=config["evaluation"],
        covariates=config["negatives"]["covariates"],
        unknown_share=config["peaks"]["unknown_share"],
        seed=config["seed"],
    script:
        "../scripts/evaluate_model.py"


rule summarize_models:
    input:
        code=library("log", "files"),
        metrics=for_each("results/evaluation/{cell_type}/{tf}/metrics.tsv"),
    output:
        report("results/summary.tsv", category="Overview", caption="../report/summary.rst"),
    log:
        "logs/summarize_models.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    script:
        "../scripts/summarize_models.py"


rule evaluation:
    input:
        "results/summary.tsv",
