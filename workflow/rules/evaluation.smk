rule evaluate_model:
    input:
        code=library("log", "files", "dna", "splits", "sequences", "layers", "model", "meme", "evaluation"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        weights=lambda wildcards: delivered(wildcards, "model.safetensors"),
        descriptions=lambda wildcards: delivered(wildcards, "model.json"),
        motifs="resources/jaspar/motifs.meme",
    output:
        metrics="results/evaluation/{cell_type}/{tf}/metrics.tsv",
        predictions="results/evaluation/{cell_type}/{tf}/predictions.tsv",
        baseline="results/evaluation/{cell_type}/{tf}/pwm.json",
    log:
        "logs/evaluate_model/{cell_type}/{tf}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(60, 1, "sequences"),
    params:
        models=["cnn", "transfer"] if TRANSFER else ["cnn"],
        evaluation=config["evaluation"],
        seed=config["seed"],
    script:
        "../scripts/evaluate_model.py"


rule summarize_models:
    input:
        code=library("log", "files"),
        metrics=for_each("results/evaluation/{cell_type}/{tf}/metrics.tsv"),
    output:
        "results/summary.tsv",
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
