rule match_negatives:
    input:
        code=library(
            "log",
            "files",
            "intervals",
            "splits",
            "dna",
            "meme",
            "covariates",
            "sequences",
            "extraction",
            "density",
            "balance",
            "sampling",
            "negatives",
            "sets",
        ),
        peaks="results/peaks/{cell_type}/{tf}/peaks.bed",
        regions="results/peaks/{cell_type}/{tf}/regions.bed",
        store=reference("store"),
        annotation=annotation,
        splits=reference("splits.tsv"),
        blacklist=reference("blacklist.bed"),
        accessible=accessible_regions,
        motifs=["resources/jaspar/motifs.meme"] if "motif" in NEGATIVES else [],
        others=other_peaks,
    output:
        negatives="results/negatives/{cell_type}/{tf}/negatives.bed",
        balance="results/negatives/{cell_type}/{tf}/balance.tsv",
        separability="results/negatives/{cell_type}/{tf}/separability.tsv",
        draws="results/negatives/{cell_type}/{tf}/draws.tsv",
    log:
        "logs/match_negatives/{cell_type}/{tf}.log",
    benchmark:
        "benchmarks/match_negatives/{cell_type}/{tf}.tsv"
    conda:
        "../../envs/sequences.yaml"
    resources:
        mem_mb=grows(4000, 20, "peaks"),
        runtime=grows(30, 2, "peaks"),
    params:
        negatives=config["negatives"],
        unknown_share=config["peaks"]["unknown_share"],
        flank_bp=config["sequences"]["flank_bp"],
        seed=config["seed"],
    script:
        "../scripts/match_negatives.py"


rule negatives:
    input:
        for_each("results/negatives/{cell_type}/{tf}/negatives.bed"),
