rule explain_model:
    input:
        code=library(
            "log",
            "files",
            *NETWORKS,
            "splits",
            "sequences",
            "meme",
            "attribution",
            "methods",
            "interpretation",
            "faithfulness",
            "filters",
            "tracks",
        ),
        splits=reference("splits.tsv"),
        truth=["resources/simulation/truth.tsv"] if SIMULATED else [],
        known=["resources/jaspar/motifs.meme"] if SIMULATED else [],
        sequences="results/sequences/{cell_type}/{tf}/sequences.h5",
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
    output:
        contributions="results/interpretation/{cell_type}/{tf}/contributions.h5",
        negatives="results/interpretation/{cell_type}/{tf}/negatives.h5",
        controls="results/interpretation/{cell_type}/{tf}/controls.h5",
        filters="results/interpretation/{cell_type}/{tf}/filters.meme",
        weights="results/interpretation/{cell_type}/{tf}/filter_weights.meme",
        untrained="results/interpretation/{cell_type}/{tf}/untrained_filters.meme",
        untrained_weights="results/interpretation/{cell_type}/{tf}/untrained_filter_weights.meme",
        importance="results/interpretation/{cell_type}/{tf}/importance.tsv",
        contribution_track="results/interpretation/{cell_type}/{tf}/contributions.bw",
        prediction_track="results/interpretation/{cell_type}/{tf}/predictions.bw",
        gates="results/interpretation/{cell_type}/{tf}/gates.tsv",
        deletion="results/interpretation/{cell_type}/{tf}/deletion.tsv",
        randomisation="results/interpretation/{cell_type}/{tf}/randomisation.tsv",
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
        modisco=config["motifs"]["modisco"],
        seed=config["seed"],
    script:
        "../scripts/explain_model.py"


rule interpretation:
    input:
        for_each("results/interpretation/{cell_type}/{tf}/contributions.h5"),
