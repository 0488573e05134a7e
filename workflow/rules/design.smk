rule design_sequences:
    input:
        code=library(
            "log",
            "files",
            *NETWORKS,
            "splits",
            "sequences",
            "meme",
            "binding",
            "intervals",
            "covariates",
            "extraction",
            "predict",
            "kmers",
            "grammar",
            "design",
        ),
        known=["resources/jaspar/motifs.meme"] if SIMULATED else [],
        sequences=lambda wildcards: for_each(
            "results/sequences/{cell_type}/{tf}/sequences.h5", design_models(wildcards)[:1]
        ),
        weights=lambda wildcards: for_each(
            "results/training/{cell_type}/{tf}/model.safetensors", design_models(wildcards)
        ),
        descriptions=lambda wildcards: for_each(
            "results/training/{cell_type}/{tf}/model.json", design_models(wildcards)
        ),
    output:
        designs="results/design/{name}/designs.tsv",
        fasta="results/design/{name}/designs.fa",
        scores="results/design/{name}/scores.tsv",
        edits="results/design/{name}/edits.tsv",
    log:
        "logs/design_sequences/{name}.log",
    benchmark:
        "benchmarks/design_sequences/{name}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(3000, 20, "sequences"),
        runtime=grows(120),
    params:
        design=design_of,
        models=lambda wildcards: ["/".join(key) for key in design_models(wildcards)],
        wanted=lambda wildcards: [
            int(key in design_of(wildcards)["bound"]) for key in map("/".join, design_models(wildcards))
        ],
        tfs=config["simulation"]["tfs"],
        seed=config["seed"],
    script:
        "../scripts/design_sequences.py"


rule design:
    input:
        designs(),
