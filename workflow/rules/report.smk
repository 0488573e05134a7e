rule write_report:
    input:
        code=library(
            "log", "files", "splits", "page", "reads_page", "grammar_page", "curves", "transfer_page", "report"
        ),
        template=workflow.source_path("../report/report.html.jinja"),
        splits="resources/genome/splits.tsv",
        summary="results/summary.tsv",
        quality=for_each("results/peaks/{cell_type}/{tf}/quality.tsv", with_reads()),
        agreement=for_each("results/peaks/{cell_type}/{tf}/agreement.tsv", compared()),
        support=for_each("results/peaks/{cell_type}/{tf}/support.tsv", supported()),
        matches=for_each("results/motifs/{cell_type}/{tf}/matches.tsv"),
        gates=for_each("results/interpretation/{cell_type}/{tf}/gates.tsv"),
        pairs=for_each("results/motifs/{cell_type}/{tf}/pairs.tsv"),
    output:
        "results/report.html",
    log:
        "logs/write_report.log",
    conda:
        "../../envs/motifs.yaml"
    resources:
        mem_mb=grows(2500, 5, "matches"),
        runtime=grows(60, 5, "matches"),
    params:
        experiments=list(EXPERIMENTS),
        measured={"quality": with_reads(), "agreement": compared(), "support": supported()},
        config=config,
    script:
        "../scripts/write_report.py"


rule report:
    input:
        "results/report.html",
