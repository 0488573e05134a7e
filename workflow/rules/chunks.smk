# With `models_per_job` above 1, small stages work on many experiments in one job: a rule per stage and chunk of experiments,
# made of the stage's own rule, which then makes nothing itself. `scripts/run_many.py` runs that rule's script for each.
import hashlib
import json
import sys
from functools import partial
from types import SimpleNamespace

from snakemake.io import AnnotatedString
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards
from snakemake.resources import Resource

CHUNKED = (
    "check_inputs",
    "center_peaks",
    "match_negatives",
    "extract_sequences",
    "train_model",
    "evaluate_model",
    "explain_model",
    "find_motifs",
)
LONGEST = 1440  # minutes; most clusters refuse longer jobs, and what a job that ran out of time has finished is kept


def divide(keys, most):
    """Chunks of about `most` experiments or fewer: dict from number to keys.

    By a hash of the name and a power of two, so that a row more or less changes one chunk, not all that follow.
    """
    n, parts = 1, {}
    while n * most < len(keys):
        n *= 2
    for key in keys:
        parts.setdefault(int(hashlib.sha256("/".join(key).encode()).hexdigest(), 16) % n, []).append(key)
    return parts


CHUNKS = divide(EXPERIMENTS, config["models_per_job"]) if config["models_per_job"] > 1 else {}
CHUNK_OF = {key: number for number, keys in CHUNKS.items() for key in keys}
SINGLE = {stage: getattr(rules, stage).rule for stage in CHUNKED} if CHUNKS else {}


def fill(item, key):
    """A file, list of files or function of a rule for one experiment; marks such as `directory` stay."""
    if callable(item):
        item = item(SimpleNamespace(cell_type=key[0], tf=key[1]))
    if isinstance(item, list | tuple):
        return [fill(part, key) for part in item]
    if "{" not in item:
        return item
    path = AnnotatedString(item.replace("{cell_type}", key[0]).replace("{tf}", key[1]))
    path.flags.update(getattr(item, "flags", {}))
    return path


def files_of(part, key):
    """The files of a rule's `input`, `output` or `log` for one experiment, as pairs (name or None, path or paths)."""
    return [(None, fill(item, key)) for item in part.paths] + [(k, fill(v, key)) for k, v in part.kwpaths.items()]


def first_output(stage, number):
    """The file that stands for all that a chunk makes."""
    return files_of(SINGLE[stage].ruleinfo.output, CHUNKS[number][0])[0][1]


def chunk_outputs(stage, number):
    return [path for key in CHUNKS[number] for _, path in files_of(SINGLE[stage].ruleinfo.output, key)]


MAKERS = {
    str(path): stage
    for stage, single in SINGLE.items()
    for path in (*single.ruleinfo.output.paths, *single.ruleinfo.output.kwpaths.values())
}


def chunk_files(stage, number, wildcards):
    """Inputs of a chunk; of the files that another chunk makes one, since Snakemake notes the inputs of each output."""
    found, stands = {}, {}
    for key in CHUNKS[number]:
        for name, paths in files_of(SINGLE[stage].ruleinfo.input, key):
            for path in paths if isinstance(paths, list) else [paths]:
                folders = path.split("/")
                maker = MAKERS.get("/".join((*folders[:2], "{cell_type}", "{tf}", *folders[4:])))
                if maker and tuple(folders[2:4]) in CHUNK_OF:
                    place = maker, CHUNK_OF[tuple(folders[2:4])]
                    if place not in stands:
                        stands[place] = first_output(*place)
                    path = stands[place]
                found[path] = None
    return list(found)


def named(kind, items):
    """Files as a script finds them in `snakemake.input`."""
    files = kind()
    for name, paths in items:
        start = len(files)
        files.extend(map(str, paths) if isinstance(paths, list) else [str(paths)])
        if name:
            files._set_name(name, start, end=len(files) if isinstance(paths, list) else None)
    return files


def chunk_jobs(stage, number, wildcards, input):
    """What the script of a stage is given for each experiment of a chunk."""
    info = SINGLE[stage].ruleinfo
    return [
        {
            "wildcards": Wildcards(fromdict={"cell_type": key[0], "tf": key[1]}),
            "input": named(InputFiles, files_of(info.input, key)),
            "output": named(OutputFiles, files_of(info.output, key)),
            "log": named(Log, files_of(info.log, key)),
            "params": Params(fromdict=chunk_params(stage, key)),
        }
        for key in CHUNKS[number]
    ]


def chunk_params(stage, key):
    wildcards = SimpleNamespace(cell_type=key[0], tf=key[1])
    return {k: v(wildcards) if callable(v) else v for k, v in SINGLE[stage].ruleinfo.params[1].items()}


def settings_of(stage):
    """The params of a stage that are the same for all experiments."""
    return {k: v for k, v in SINGLE[stage].ruleinfo.params[1].items() if not callable(v)}


def looked_up(stage, number, wildcards):
    """Digest of the params that are looked up for each experiment of a chunk."""
    names = set(SINGLE[stage].ruleinfo.params[1]) - set(settings_of(stage))
    values = [[chunk_params(stage, key)[name] for name in sorted(names)] for key in CHUNKS[number]] if names else []
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]


def chunk_resource(single, resource, number, wildcards, input, attempt):
    """A resource of a chunk: run time adds up, to a day at most, of all else the most that one experiment needs."""
    values = []
    for key in CHUNKS[number]:
        files = dict(files_of(single.ruleinfo.input, key))
        given = {"input": files, "attempt": attempt, "threads": single.resources["_cores"].value}
        where = Wildcards(fromdict={"cell_type": key[0], "tf": key[1]})
        values.append(
            resource.evaluate(where, **given, rulename=single.name, async_run=single.workflow.async_run).value
        )
    if resource.name == "runtime":
        return min(sum(values), LONGEST)
    return max(values) if all(isinstance(value, int) for value in values) else values[0]


def chunk_resources(stage, number):
    """The resources of a stage's own rule, `--set-resources` included, for a chunk."""
    single = SINGLE[stage]
    wanted = {name: Resource(name, value) for name, value in single.ruleinfo.resources[1].items()}
    wanted.update(single.workflow.resource_settings._parsed_overwrite_resources.get(single.name, {}))
    return {name: partial(chunk_resource, single, resource, number) for name, resource in wanted.items()}


def is_wanted(name):
    """Jobs on a cluster read the rules again, and need only their own."""
    return workflow.is_main_process or name in sys.argv


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
