rule pretrain_model:
    input:
        code=library("log", "files", "meme", *ENGINE),
        sequences=lambda wildcards: for_each("results/sequences/{cell_type}/{tf}/sequences.h5", sources(wildcards)),
        splits="resources/genome/splits.tsv",
        motifs=START_MOTIFS,
    output:
        weights="results/transfer/{cell_type}/{tf}/from_others/pretrained.safetensors",
        description="results/transfer/{cell_type}/{tf}/from_others/pretrained.json",
        history="results/transfer/{cell_type}/{tf}/from_others/pretrained.tsv",
    log:
        "logs/pretrain_model/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/pretrain_model/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(240, 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        epochs=config["transfer"]["epochs"],
        sources=lambda wildcards: ["/".join(key) for key in sources(wildcards)],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/pretrain_model.py"


rule fine_tune_model:
    input:
        code=library("log", "files", *ENGINE, "transfer"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        splits="resources/genome/splits.tsv",
        weights="results/transfer/{cell_type}/{tf}/from_others/pretrained.safetensors",
        description="results/transfer/{cell_type}/{tf}/from_others/pretrained.json",
    output:
        weights="results/transfer/{cell_type}/{tf}/from_others/model.safetensors",
        description="results/transfer/{cell_type}/{tf}/from_others/model.json",
        history="results/transfer/{cell_type}/{tf}/from_others/history.tsv",
    log:
        "logs/fine_tune_model/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/fine_tune_model/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(120, 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        transfer=config["transfer"],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/fine_tune_model.py"


rule transfer:
    input:
        for_each("results/transfer/{cell_type}/{tf}/from_others/model.safetensors") if TRANSFER else [],
