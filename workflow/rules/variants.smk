rule score_variants:
    input:
        code=library(
            "log",
            "files",
            *NETWORKS,
            "splits",
            "covariates",
            "sequences",
            "extraction",
            "variants",
        ),
        variants=variants_file,
        store=reference("store"),
        channels=channel_files,
        weights=lambda wildcards: delivered(wildcards, "model.safetensors"),
        descriptions=lambda wildcards: delivered(wildcards, "model.json"),
    output:
        "results/variants/{cell_type}/{tf}/variants.tsv",
    log:
        "logs/score_variants/{cell_type}/{tf}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int((3000 + 5 * input.size_mb) * attempt),
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        models=models,
    script:
        "../scripts/score_variants.py"


rule variants:
    input:
        variant_scores(),
