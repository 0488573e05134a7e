rule find_motifs:
    input:
        code=library("log", "files", "dna", "layers", "meme", "motifs"),
        contributions="results/interpretation/{cell_type}/{tf}/contributions.h5",
        known="resources/jaspar/motifs.meme",
    output:
        motifs="results/motifs/{cell_type}/{tf}/motifs.meme",
        matches="results/motifs/{cell_type}/{tf}/matches.tsv",
        logos=directory("results/motifs/{cell_type}/{tf}/logos"),
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
    script:
        "../scripts/find_motifs.py"


rule motifs:
    input:
        for_each("results/motifs/{cell_type}/{tf}/matches.tsv"),
