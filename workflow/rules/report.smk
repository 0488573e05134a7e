rule write_report:
    input:
        code=library(
            "log",
            "files",
            "splits",
            "metrics",
            "page",
            "scores_page",
            "reads_page",
            "grammar_page",
            "contributions_page",
            "overview_page",
            "provenance",
            "curves",
            "transfer_page",
            "variants_page",
            "design_page",
            "report",
        ),
        template=workflow.source_path("../report/report.html.jinja"),
        rules=workflow.source_path("../report/rules.svg"),
        splits=expand("resources/{genome}/splits.tsv", genome=USED_GENOMES),
        summary="results/summary.tsv",
        quality=for_each("results/peaks/{cell_type}/{tf}/quality.tsv", with_reads()),
        agreement=for_each("results/peaks/{cell_type}/{tf}/agreement.tsv", compared()),
        support=for_each("results/peaks/{cell_type}/{tf}/support.tsv", supported()),
        matches=for_each("results/motifs/{cell_type}/{tf}/matches.tsv"),
        gates=for_each("results/interpretation/{cell_type}/{tf}/gates.tsv"),
        pairs=for_each("results/motifs/{cell_type}/{tf}/pairs.tsv"),
        patterns=patterns(),
        variants=variant_scores(),
        designs=designs(),
    output:
        report=report(
            "results/report.html",
            category="Overview",
            caption="../report/report.rst",
        ),
        overview=report(
            "results/overview.tsv",
            category="Overview",
            caption="../report/overview.rst",
        ),
    log:
        "logs/write_report.log",
    conda:
        "../../envs/motifs.yaml"
    resources:
        mem_mb=grows(2500, 5, "matches"),
        runtime=grows(60, 5, "matches"),
    params:
        experiments=list(EXPERIMENTS),
        measured={
            "quality": with_reads(),
            "agreement": compared(),
            "support": supported(),
            "variants": with_variants(),
            "patterns": with_patterns(),
        },
        designs=[item["name"] for item in config["design"]],
        config=config,
    script:
        "../scripts/write_report.py"


rule report:
    input:
        "results/report.html",


rule summary:
    input:
        code=library("log", "page"),
        overview="results/overview.tsv",
    log:
        "logs/summary.log",
    conda:
        "../../envs/motifs.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    script:
        "../scripts/show_summary.py"
