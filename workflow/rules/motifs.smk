rule find_motifs:
    input:
        code=library("log", "files", "intervals", *NETWORKS, "meme", "motifs", "comparison", "sites", "grammar"),
        weights="results/training/{cell_type}/{tf}/model.safetensors",
        description="results/training/{cell_type}/{tf}/model.json",
        contributions="results/interpretation/{cell_type}/{tf}/contributions.h5",
        controls="results/interpretation/{cell_type}/{tf}/controls.h5",
        filters="results/interpretation/{cell_type}/{tf}/filters.meme",
        filter_weights="results/interpretation/{cell_type}/{tf}/filter_weights.meme",
        untrained="results/interpretation/{cell_type}/{tf}/untrained_filters.meme",
        untrained_weights="results/interpretation/{cell_type}/{tf}/untrained_filter_weights.meme",
        importance="results/interpretation/{cell_type}/{tf}/importance.tsv",
        known=known_matrices,
        families="resources/jaspar/motifs.tsv",
    output:
        motifs="results/motifs/{cell_type}/{tf}/motifs.meme",
        jaspar="results/motifs/{cell_type}/{tf}/motifs.jaspar",
        counts="results/motifs/{cell_type}/{tf}/motifs.tsv",
        filters="results/motifs/{cell_type}/{tf}/filters.tsv",
        filter_files=multiext("results/motifs/{cell_type}/{tf}/filters_by_windows", ".meme", ".jaspar", ".tsv"),
        weight_files=multiext("results/motifs/{cell_type}/{tf}/filters_by_weights", ".meme", ".jaspar", ".tsv"),
        matches=report(
            "results/motifs/{cell_type}/{tf}/matches.tsv",
            category="Motifs",
            subcategory="{cell_type}",
            labels={"TF": "{tf}", "thing": "matches"},
            caption="../report/matches.rst",
        ),
        logos=report(
            directory("results/motifs/{cell_type}/{tf}/logos"),
            patterns=["{motif}.png"],
            category="Motifs",
            subcategory="{cell_type}",
            labels={"TF": "{tf}", "thing": "{motif}"},
            caption="../report/logos.rst",
        ),
        sites="results/motifs/{cell_type}/{tf}/sites.bed",
        pairs="results/motifs/{cell_type}/{tf}/pairs.tsv",
        spacing="results/motifs/{cell_type}/{tf}/spacing.tsv",
        insertions="results/motifs/{cell_type}/{tf}/insertions.tsv",
    log:
        "logs/find_motifs/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/find_motifs/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/motifs.yaml"
    resources:
        mem_mb=grows(2500, 20, "contributions"),
        runtime=grows(30),
    params:
        motifs=config["motifs"],
        grammar=config["grammar"],
        seed=config["seed"],
    script:
        "../scripts/find_motifs.py"


rule find_patterns:
    input:
        code=library("log", "files", "dna", "layers", "meme", "motifs", "comparison", "modisco"),
        contributions="results/interpretation/{cell_type}/{tf}/contributions.h5",
        controls="results/interpretation/{cell_type}/{tf}/controls.h5",
        known=known_matrices,
        families="resources/jaspar/motifs.tsv",
    output:
        motifs="results/motifs/{cell_type}/{tf}/patterns.meme",
        jaspar="results/motifs/{cell_type}/{tf}/patterns.jaspar",
        counts="results/motifs/{cell_type}/{tf}/pattern_counts.tsv",
        matches="results/motifs/{cell_type}/{tf}/patterns.tsv",
    log:
        "logs/find_patterns/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/find_patterns/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/modisco.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        motifs=config["motifs"],
        seed=config["seed"],
    script:
        "../scripts/find_patterns.py"


rule motifs:
    input:
        for_each("results/motifs/{cell_type}/{tf}/matches.tsv"),
        patterns(),
