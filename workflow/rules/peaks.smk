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
        mem_mb=grows(1000),
        runtime=grows(240),
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
        splits=reference("splits.tsv"),
    output:
        "results/peaks/{cell_type}/{tf}/inputs.json",
    log:
        "logs/check_inputs/{cell_type}/{tf}.log",
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(60, 0.02, "files"),
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
        genome=reference("genome.json"),
    output:
        "results/peaks/{cell_type}/{tf}/called.narrowPeak",
    log:
        "logs/call_peaks/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/call_peaks/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=grows(2000, 2, "files"),
        runtime=grows(30, 0.05, "files"),
    params:
        effective_genome_bp=config["peaks"]["effective_genome_bp"],
        q_value=config["peaks"]["q_value"],
        macs3_options=config["peaks"]["macs3_options"],
    script:
        "../scripts/call_peaks.py"


rule call_replicate:
    input:
        code=library("log", "files", "intervals", "peaks"),
        files=experiment_files,
        checked="results/peaks/{cell_type}/{tf}/inputs.json",
        genome=reference("genome.json"),
    output:
        "results/peaks/{cell_type}/{tf}/replicates/{replicate}.narrowPeak",
    log:
        "logs/call_replicate/{cell_type}/{tf}/{replicate}.log",
    conda:
        "../../envs/peaks.yaml"
    resources:
        mem_mb=grows(2000, 2, "files"),
        runtime=grows(30, 0.05, "files"),
    params:
        effective_genome_bp=config["peaks"]["effective_genome_bp"],
        q_value=config["peaks"]["replicate_q_value"],
        macs3_options=config["peaks"]["macs3_options"],
    script:
        "../scripts/call_peaks.py"


rule compare_replicates:
    input:
        code=library("log", "files", "intervals", "peaks", "idr", "consensus"),
        pooled="results/peaks/{cell_type}/{tf}/called.narrowPeak",
        replicates=replicate_peaks,
    output:
        peaks="results/peaks/{cell_type}/{tf}/replicates.tsv",
        pairs="results/peaks/{cell_type}/{tf}/agreement.tsv",
    log:
        "logs/compare_replicates/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
    params:
        names=replicates,
        idr=config["peaks"]["idr"],
        seed=config["seed"],
    script:
        "../scripts/compare_replicates.py"


rule keep_reproducible:
    input:
        code=library("log", "files", "idr", "consensus"),
        pooled="results/peaks/{cell_type}/{tf}/called.narrowPeak",
        peaks="results/peaks/{cell_type}/{tf}/replicates.tsv",
        pairs="results/peaks/{cell_type}/{tf}/agreement.tsv",
    output:
        "results/peaks/{cell_type}/{tf}/reproducible.narrowPeak",
    log:
        "logs/keep_reproducible/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        consensus=config["peaks"]["consensus"],
        at_least=config["peaks"]["at_least"],
        idr=config["peaks"]["idr"],
    script:
        "../scripts/keep_reproducible.py"


rule assess_reads:
    input:
        code=library("log", "files", "intervals", "splits", "ends", "quality"),
        files=experiment_files,
        checked="results/peaks/{cell_type}/{tf}/inputs.json",
        regions="results/peaks/{cell_type}/{tf}/called.narrowPeak",
        splits=reference("splits.tsv"),
    output:
        quality="results/peaks/{cell_type}/{tf}/quality.tsv",
        correlation="results/peaks/{cell_type}/{tf}/correlation.tsv",
    log:
        "logs/assess_reads/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(2000, 2, "files"),
        runtime=grows(20, 0.02, "files"),
    params:
        seed=config["seed"],
    script:
        "../scripts/assess_reads.py"


rule center_peaks:
    input:
        code=library("log", "files", "intervals", "splits", "peaks"),
        peaks=called_peaks,
        checked="results/peaks/{cell_type}/{tf}/inputs.json",
        genome=reference("genome.fa"),
        splits=reference("splits.tsv"),
        blacklist=reference("blacklist.bed"),
    output:
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        regions="results/peaks/{cell_type}/{tf}/regions.bed",
        counts="results/peaks/{cell_type}/{tf}/counts.tsv",
    log:
        "logs/center_peaks/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(1500),
        runtime=grows(20),
    params:
        window_bp=config["peaks"]["window_bp"],
        merge_bp=config["peaks"]["merge_bp"],
        minimum=config["peaks"]["minimum"],
        maximum=config["peaks"]["maximum"],
        unknown_share=config["peaks"]["unknown_share"],
    script:
        "../scripts/center_peaks.py"


# Which replicates have a peak in each window: what a training needs that treats them as batches.
rule find_support:
    input:
        code=library("log", "files", "intervals", "peaks", "idr", "consensus"),
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        replicates=replicate_peaks,
    output:
        "results/peaks/{cell_type}/{tf}/support.tsv",
    log:
        "logs/find_support/{cell_type}/{tf}.log",
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(20),
    params:
        names=replicates,
    script:
        "../scripts/find_support.py"


rule peaks:
    input:
        for_each("results/peaks/{cell_type}/{tf}/peaks.bed"),
        for_each("results/peaks/{cell_type}/{tf}/quality.tsv", with_reads()),
        for_each("results/peaks/{cell_type}/{tf}/agreement.tsv", compared()),
        for_each("results/peaks/{cell_type}/{tf}/support.tsv", supported()),
