# With `models_per_job` above 1, small stages work on many experiments in one job: a rule per stage and chunk of experiments,
# made of the stage's own rule, which then makes nothing itself. `scripts/run_many.py` runs that rule's script for each.
include: "chunk_common.smk"


for stage, number in ((stage, number) for stage in SINGLE for number in sorted(CHUNKS)):
    if not is_wanted(f"{stage}_{number}"):
        continue

    rule:
        name:
            f"{stage}_{number}"
        input:
            code=library("log", "files", "chunks"),
            script=workflow.source_path(SINGLE[stage].ruleinfo.script),
            files=partial(chunk_files, stage, number),
        output:
            *chunk_outputs(stage, number),
        log:
            f"logs/{stage}/{number}.log",
        benchmark:
            f"benchmarks/{stage}/{number}.tsv"
        conda:
            SINGLE[stage].ruleinfo.conda_env
        threads: SINGLE[stage].resources["_cores"].value
        resources:
            **chunk_resources(stage, number),
        params:
            settings=settings_of(stage),
            looked_up=partial(looked_up, stage, number),
            jobs=partial(chunk_jobs, stage, number),
        script:
            "../scripts/run_many.py"

    # Snakemake would try each of the hundreds of outputs as a pattern for every file that it looks for, and plan the job of
    # the single rule, too, before it prefers this one.
    chunk = getattr(rules, f"{stage}_{number}").rule
    chunk.is_producer = frozenset(map(str, chunk.products())).__contains__
    chunk.get_wildcards = lambda requested, wildcards_dict=None: {}
    SINGLE[stage].is_producer = lambda requested: False
