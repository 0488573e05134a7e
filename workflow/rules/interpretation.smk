rule explain_model:
    input:
        code=library("log", "files", *NETWORKS, "splits", "sequences", "meme", "attribution", "interpretation"),
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
    output:
        contributions="results/interpretation/{cell_type}/{tf}/contributions.h5",
        filters="results/interpretation/{cell_type}/{tf}/filters.meme",
    log:
        "logs/explain_model/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/explain_model/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(3500, 20, "sequences"),
        runtime=grows(60, 1, "sequences"),
    params:
        interpretation=config["interpretation"],
        seed=config["seed"],
    script:
        "../scripts/explain_model.py"


rule interpretation:
    input:
        for_each("results/interpretation/{cell_type}/{tf}/contributions.h5"),
