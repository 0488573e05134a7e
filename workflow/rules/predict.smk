rule score_sequences:
    input:
        code=library(
            "log",
            *NETWORKS,
            "files",
            "intervals",
            "splits",
            "covariates",
            "sequences",
            "extraction",
            "predict",
        ),
        sequences=sequences_to_score,
        store=reference("store"),
        channels=channel_files,
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
    output:
        "results/predict/{cell_type}/{tf}/{name}.tsv",
    log:
        "logs/score_sequences/{cell_type}/{tf}/{name}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(2500, 50, "sequences"),
        runtime=grows(120, 1, "sequences"),
    params:
        # Regions are of one genome, sequences of none.
        regions=lambda wildcards: len(USED_GENOMES) == 1 or "genome" in to_predict(wildcards),
    script:
        "../scripts/score_sequences.py"


rule export_model:
    input:
        code=library("log", "files", *NETWORKS, "onnx_model"),
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
    output:
        "results/training/{cell_type}/{tf}/model.onnx",
    log:
        "logs/export_model/{cell_type}/{tf}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(2500),
        runtime=grows(30),
    script:
        "../scripts/export_model.py"


rule predict:
    input:
        predictions(),


rule export:
    input:
        exports(),
