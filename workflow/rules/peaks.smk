rule fetch_file:
    input:
        code=library("log", "files"),
    output:
        "resources/downloads/{cell_type}/{tf}/{file}",
    log:
        "logs/fetch_file/{cell_type}/{tf}/{file}.log",
    wildcard_constraints:
        file="[^/]+",
    retries: 2
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=500,
        runtime=240,
    params:
        row=lambda wildcards, output: next(
            row for row, path in zip(experiment_rows(wildcards), experiment_files(wildcards)) if path == output[0]
        ),
    script:
        "../scripts/fetch_file.py"


# A rule of its own, so that a bad file stops the run before any earlier result is replaced.
rule check_inputs:
    input:
        code=library("log", "files", "intervals", "splits", "reads"),
        files=experiment_files,
        splits="resources/genome/splits.tsv",
    output:
        "results/peaks/{cell_type}/{tf}/inputs.json",
    log:
        "logs/check_inputs/{cell_type}/{tf}.log",
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        rows=experiment_rows,
        minimum=config["peaks"]["minimum"],
    script:
        "../scripts/check_inputs.py"


rule call_peaks:
    input:
        code=library("log", "files", "intervals", "peaks"),
        files=experiment_files,
        checked="results/peaks/{cell_type}/{tf}/inputs.json",
        genome="resources/genome/genome.json",
    output:
        "results/peaks/{cell_type}/{tf}/called.narrowPeak",
    log:
        "logs/call_peaks/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/call_peaks/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int((2000 + 2 * input.size_mb) * attempt),
        runtime=lambda wildcards, input, attempt: int((30 + 0.05 * input.size_mb) * attempt),
    params:
        effective_genome_bp=config["peaks"]["effective_genome_bp"],
        q_value=config["peaks"]["q_value"],
        macs3_options=config["peaks"]["macs3_options"],
    script:
        "../scripts/call_peaks.py"


rule center_peaks:
    input:
        code=library("log", "files", "intervals", "splits", "peaks"),
        peaks=called_peaks,
        checked="results/peaks/{cell_type}/{tf}/inputs.json",
        genome="resources/genome/genome.fa",
        splits="resources/genome/splits.tsv",
        blacklist="resources/genome/blacklist.bed",
    output:
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        regions="results/peaks/{cell_type}/{tf}/regions.bed",
        counts="results/peaks/{cell_type}/{tf}/counts.tsv",
    log:
        "logs/center_peaks/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        window_bp=config["peaks"]["window_bp"],
        minimum=config["peaks"]["minimum"],
        maximum=config["peaks"]["maximum"],
        unknown_share=config["peaks"]["unknown_share"],
    script:
        "../scripts/center_peaks.py"


rule peaks:
    input:
        for_each("results/peaks/{cell_type}/{tf}/peaks.bed"),
