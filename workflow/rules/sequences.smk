rule extract_sequences:
    input:
        code=library("log", "files", "intervals", "dna", "splits", "covariates", "sequences", "extraction"),
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        negatives="results/negatives/{cell_type}/{tf}/negatives.bed",
        store=reference("store"),
        description=reference("genome.json"),
        channels=channel_files,
    output:
        "results/sequences/{cell_type}/{tf}/sequences.h5",
    log:
        "logs/extract_sequences/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/extract_sequences/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=grows(4000 if config["sequences"]["channels"] else 2000, 20, "peaks"),
        runtime=grows(30, 2, "negatives"),
    params:
        sequences={**config["sequences"], "channels": list(config["sequences"]["channels"])},
        seed=config["seed"],
    script:
        "../scripts/extract_sequences.py"


rule sequences:
    input:
        for_each("results/sequences/{cell_type}/{tf}/sequences.h5"),
