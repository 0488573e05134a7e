rule match_negatives:
    input:
        code=library("log", "files", "intervals", "dna", "splits", "negatives"),
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        regions="results/peaks/{cell_type}/{tf}/regions.bed",
        genome="resources/genome/genome.fa",
        splits="resources/genome/splits.tsv",
        blacklist="resources/genome/blacklist.bed",
    output:
        negatives="results/negatives/{cell_type}/{tf}/negatives.bed",
        balance="results/negatives/{cell_type}/{tf}/balance.tsv",
    log:
        "logs/match_negatives/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/match_negatives/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int((1500 + 3 * input.size_mb) * attempt),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        negatives=config["negatives"],
        unknown_share=config["peaks"]["unknown_share"],
        seed=config["seed"],
    script:
        "../scripts/match_negatives.py"


rule negatives:
    input:
        for_each("results/negatives/{cell_type}/{tf}/negatives.bed"),
