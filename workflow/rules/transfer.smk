# Sources of which one network learns all tasks, before it is fitted to the target; of the others each has its own network.
POOLED = "all_others|family|cell_type|tf"


rule pretrain_model:
    input:
        code=library("log", "files", "meme", *ENGINE, "relatives", "curves", "transfer", "families"),
        sequences=lambda wildcards: for_each("results/sequences/{cell_type}/{tf}/sequences.h5", sources(wildcards)),
        splits=lambda wildcards: [f"resources/{genome_of(key)}/splits.tsv" for key in sources(wildcards)],
        motifs=START_MOTIFS,
        families=lambda wildcards: ["resources/jaspar/motifs.tsv"] if wildcards.sources == "family" else [],
    output:
        weights="results/transfer/{cell_type}/{tf}/from_{sources}/pretrained.safetensors",
        description="results/transfer/{cell_type}/{tf}/from_{sources}/pretrained.json",
        history="results/transfer/{cell_type}/{tf}/from_{sources}/pretrained.tsv",
    log:
        "logs/pretrain_model/{cell_type}/{tf}/from_{sources}.log",
    benchmark:
        "benchmarks/pretrain_model/{cell_type}/{tf}/from_{sources}.tsv"
    wildcard_constraints:
        sources=POOLED,
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(240, 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        epochs=config["transfer"]["pretrain_epochs"],
        sources=lambda wildcards: ["/".join(key) for key in sources(wildcards)],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/pretrain_model.py"


rule fine_tune_model:
    input:
        code=library("log", "files", *ENGINE, "relatives", "curves", "transfer"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        splits=reference("splits.tsv"),
        own_weights="results/training/{cell_type}/{tf}/model.safetensors",
        own_description="results/training/{cell_type}/{tf}/model.json",
        own_history="results/training/{cell_type}/{tf}/history.tsv",
        weights=lambda wildcards: source_models(wildcards)[1],
        descriptions=lambda wildcards: source_models(wildcards)[2],
        source_sequences=lambda wildcards: for_each(
            "results/sequences/{cell_type}/{tf}/sequences.h5", sources(wildcards)
        ),
    output:
        weights="results/transfer/{cell_type}/{tf}/from_{sources}/model.safetensors",
        description="results/transfer/{cell_type}/{tf}/from_{sources}/model.json",
        history="results/transfer/{cell_type}/{tf}/from_{sources}/history.tsv",
        ranking="results/transfer/{cell_type}/{tf}/from_{sources}/sources.tsv",
    log:
        "logs/fine_tune_model/{cell_type}/{tf}/from_{sources}.log",
    benchmark:
        "benchmarks/fine_tune_model/{cell_type}/{tf}/from_{sources}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(120, 1, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        transfer={k: v for k, v in config["transfer"].items() if k not in ("enabled", "curve", "sizes", "seeds")},
        names=lambda wildcards: source_models(wildcards)[0],
        sources=lambda wildcards: ["/".join(key) for key in sources(wildcards)],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/fine_tune_model.py"


rule measure_transfer:
    input:
        code=library("log", "files", *ENGINE, "relatives", "curves", "transfer"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        splits=reference("splits.tsv"),
        weights=lambda wildcards: source_models(wildcards)[1],
        descriptions=lambda wildcards: source_models(wildcards)[2],
    output:
        "results/transfer/{cell_type}/{tf}/from_{sources}/curve.tsv",
    log:
        "logs/measure_transfer/{cell_type}/{tf}/from_{sources}.log",
    benchmark:
        "benchmarks/measure_transfer/{cell_type}/{tf}/from_{sources}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["training"]["threads"]
    resources:
        mem_mb=grows(2500, 20, "sequences"),
        runtime=grows(1200, 10, "sequences"),
        gpu=int(config["device"] == "cuda"),
    params:
        training=config["training"],
        transfer=config["transfer"],
        names=lambda wildcards: source_models(wildcards)[0],
        seed=config["seed"],
        device=config["device"],
    script:
        "../scripts/measure_transfer.py"


rule draw_curve:
    input:
        code=library("log", "files", "page", "curves", "transfer_page"),
        curve="results/transfer/{cell_type}/{tf}/from_{sources}/curve.tsv",
    output:
        figure="results/transfer/{cell_type}/{tf}/from_{sources}/curve.svg",
        summary="results/transfer/{cell_type}/{tf}/from_{sources}/curve_summary.tsv",
    log:
        "logs/draw_curve/{cell_type}/{tf}/from_{sources}.log",
    conda:
        "../../envs/motifs.yaml"
    resources:
        mem_mb=grows(1500),
        runtime=grows(20),
    script:
        "../scripts/draw_curve.py"


rule transfer:
    input:
        [transferred(key, "model.safetensors") for key in TRANSFERRED],
        [transferred(key, "curve.svg") for key in TRANSFERRED if config["transfer"]["curve"]],
