rule extract_sequences:
    input:
        code=library("log", "files", "intervals", "dna", "splits", "sequences"),
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        negatives="results/negatives/{cell_type}/{tf}/negatives.bed",
        genome="resources/genome/genome.fa",
    output:
        "results/sequences/{cell_type}/{tf}/sequences.h5",
    log:
        "logs/extract_sequences/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        flank_bp=config["sequences"]["flank_bp"],
    script:
        "../scripts/extract_sequences.py"


rule sequences:
    input:
        for_each("results/sequences/{cell_type}/{tf}/sequences.h5"),
