rule train_model:
    input:
        code=library("log", "files", "meme", *ENGINE),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        splits=reference("splits.tsv"),
        motifs=START_MOTIFS,
    output:
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
        history="results/training/{cell_type}/{tf}/history.tsv",
        layers="results/training/{cell_type}/{tf}/layers.tsv",
    log:
        "logs/train_model/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/train_model/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(120, 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/train_model.py"


rule training:
    input:
        for_each("results/training/{cell_type}/{tf}/model.safetensors"),


rule search_settings:
    input:
        code=library("log", "files", "meme", *ENGINE, "search"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        motifs=START_MOTIFS,
    output:
        trials="results/search/{cell_type}/{tf}/trials.tsv",
        settings="results/search/{cell_type}/{tf}/best.yaml",
    log:
        "logs/search_settings/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/search_settings/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(60 * config["search"]["trials"], 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        search=config["search"],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/search_settings.py"


rule search:
    input:
        for_each("results/search/{cell_type}/{tf}/best.yaml"),
