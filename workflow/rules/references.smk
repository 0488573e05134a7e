rule export_jaspar:
    input:
        code=library("log", "files", "meme", "jaspar"),
    output:
        motifs="resources/jaspar/motifs.meme",
        table="resources/jaspar/motifs.tsv",
    log:
        "logs/export_jaspar.log",
    conda:
        "../../envs/jaspar.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        jaspar=config["references"]["jaspar"],
    script:
        "../scripts/export_jaspar.py"


if SIMULATED:

    rule simulate_experiments:
        input:
            code=library("log", "files", "dna", "binding", "simulation", "meme"),
            motifs="resources/jaspar/motifs.meme",
        output:
            genome="resources/simulation/genome.fa",
            truth="resources/simulation/truth.tsv",
            accessible=expand(
                "resources/simulation/accessible/{cell_type}.bed", cell_type=config["simulation"]["cell_types"]
            ),
            reads=simulated_reads(),
            indices=[f"{path}.bai" for path in simulated_reads()],  # as new as the reads, which Snakemake touches
        log:
            "logs/simulate_experiments.log",
        benchmark:
            "benchmarks/simulate_experiments.tsv"
        conda:
            "../../envs/sequences.yaml"
        resources:
            mem_mb=grows(2000),
            runtime=grows(30),
        params:
            design=config["simulation"],
            seed=config["seed"],
        script:
            "../scripts/simulate_experiments.py"


rule prepare_genome:
    input:
        code=library("log", "files", "intervals", "splits", "references"),
        genome=lambda wildcards: on_disk(FASTA[wildcards.genome]),
        blacklist=lambda wildcards: on_disk(BLACKLIST.get(wildcards.genome)),
    output:
        genome="resources/{genome}/genome.fa",
        index="resources/{genome}/genome.fa.fai",
        blacklist="resources/{genome}/blacklist.bed",
        splits="resources/{genome}/splits.tsv",
        description="resources/{genome}/genome.json",
    log:
        "logs/prepare_genome/{genome}.log",
    benchmark:
        "benchmarks/prepare_genome/{genome}.tsv"
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
    params:
        references=lambda wildcards: {
            k: v
            for k, v in GENOMES[wildcards.genome].items()
            if k not in ("jaspar", "mappability", "annotation", "signals")
        },
        genome=lambda wildcards: FASTA[wildcards.genome],
        blacklist=lambda wildcards: BLACKLIST.get(wildcards.genome),
        seed=config["seed"],
    script:
        "../scripts/prepare_genome.py"


if any(isinstance(settings["mappability"], int) for settings in GENOMES.values()):

    rule measure_mappability:
        input:
            code=library("log", "files", "splits", "covariates", "mappability"),
            genome="resources/{genome}/genome.fa",
            index="resources/{genome}/genome.fa.fai",
            splits="resources/{genome}/splits.tsv",
        output:
            "resources/{genome}/mappability.npy",
        log:
            "logs/measure_mappability/{genome}.log",
        benchmark:
            "benchmarks/measure_mappability/{genome}.tsv"
        conda:
            "../../envs/sequences.yaml"
        resources:
            mem_mb=lambda wildcards, input, attempt: int(min(6000, 800 + 16 * input.size_mb) * attempt),
            runtime=grows(120),
        params:
            read_bp=lambda wildcards: GENOMES[wildcards.genome]["mappability"],
        script:
            "../scripts/measure_mappability.py"


rule encode_genome:
    input:
        code=library("log", "files", "splits", "covariates"),
        genome="resources/{genome}/genome.fa",
        index="resources/{genome}/genome.fa.fai",
        splits="resources/{genome}/splits.tsv",
        signals=lambda wildcards: list(SIGNALS[wildcards.genome].values()),
    output:
        directory("resources/{genome}/store"),
    log:
        "logs/encode_genome/{genome}.log",
    benchmark:
        "benchmarks/encode_genome/{genome}.tsv"
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(4000, 1, "genome"),
        runtime=grows(60, 0.02, "genome"),
    params:
        signals=lambda wildcards: list(SIGNALS[wildcards.genome]),
    script:
        "../scripts/encode_genome.py"


rule references:
    input:
        "resources/jaspar/motifs.meme",
        expand("resources/{genome}/splits.tsv", genome=USED_GENOMES),
