# What the rules of chunks.smk are made of: which experiments share a job, and their files, settings and resources.
import hashlib
import json
import sys
from functools import cache, partial
from types import SimpleNamespace

from snakemake.common import get_function_params
from snakemake.io import AnnotatedString
from snakemake.iocontainers import Wildcards
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
if not all(single.ruleinfo for single in SINGLE.values()):  # another workflow takes but some rules of this one
    SINGLE = {}


def varies(item):
    """Whether a file, list of files or function of a rule is of an experiment."""
    return any(map(varies, item)) if isinstance(item, list | tuple) else callable(item) or "{" in item


def fill(item, key):
    """A file, list of files or function of a rule for one experiment; marks such as `directory` stay."""
    if callable(item):
        item = item(SimpleNamespace(cell_type=key[0], tf=key[1]))
    if isinstance(item, list | tuple):
        return [fill(part, key) for part in item]
    path = item.replace("{cell_type}", key[0]).replace("{tf}", key[1])
    if not getattr(item, "flags", None):
        return str(path)
    path = AnnotatedString(path)
    path.flags.update(item.flags)
    return path


@cache
def items_of(stage, part):
    """What stands under `input`, `output` or `log` of a stage: list of (name or None, item, whether it varies)."""
    part = getattr(SINGLE[stage].ruleinfo, part)
    items = [*((None, item) for item in part.paths), *part.kwpaths.items()]
    return [(name, item, varies(item)) for name, item in items]


def files_of(stage, part, key):
    """The same for one experiment: list of (name or None, path or list of paths)."""
    return [(name, fill(item, key) if of_one else item) for name, item, of_one in items_of(stage, part)]


def chunk_outputs(stage, number):
    return [path for key in CHUNKS[number] for _, path in files_of(stage, "output", key)]


MAKERS = {str(path): stage for stage in SINGLE for _, path, _ in items_of(stage, "output")}


def chunk_files(stage, number, wildcards):
    """Inputs of a chunk; of the files that another chunk makes the first, as Snakemake notes all inputs of each output."""
    found = {}
    for _, item, of_one in items_of(stage, "input"):
        for key in CHUNKS[number] if of_one else [None]:
            paths = fill(item, key) if of_one else item
            for path in paths if isinstance(paths, list) else [paths]:
                folders = path.split("/")
                maker = MAKERS.get(os.path.join(*folders[:2], "{cell_type}", "{tf}", *folders[4:]))
                if maker and tuple(folders[2:4]) in CHUNK_OF:
                    found[maker, CHUNK_OF[tuple(folders[2:4])]] = None
                else:
                    found[path] = None
    return [
        place if isinstance(place, str) else files_of(place[0], "output", CHUNKS[place[1]][0])[0][1] for place in found
    ]


def chunk_params(stage, key):
    wildcards = SimpleNamespace(cell_type=key[0], tf=key[1])
    return {k: v(wildcards) if callable(v) else v for k, v in SINGLE[stage].ruleinfo.params[1].items()}


def plain_files(stage, part, key):
    """The same as plain words, which a script can read where Snakemake is not installed."""
    return [
        (name, [str(path) for path in paths] if isinstance(paths, list) else str(paths))
        for name, paths in files_of(stage, part, key)
    ]


def chunk_jobs(stage, number, wildcards, input):
    """What the script of a stage is given for each experiment of a chunk, as `cisgrammar.chunks.Named` takes it."""
    return [
        {
            "wildcards": [("cell_type", key[0]), ("tf", key[1])],
            **{part: plain_files(stage, part, key) for part in ("input", "output", "log")},
            "params": list(chunk_params(stage, key).items()),
        }
        for key in CHUNKS[number]
    ]


def settings_of(stage):
    """The params of a stage that are the same for all experiments."""
    return {k: v for k, v in SINGLE[stage].ruleinfo.params[1].items() if not callable(v)}


def looked_up(stage, number, wildcards):
    """Digest of the params that are looked up for each experiment of a chunk."""
    names = sorted(set(SINGLE[stage].ruleinfo.params[1]) - set(settings_of(stage)))
    values = [[chunk_params(stage, key)[name] for name in names] for key in CHUNKS[number]] if names else []
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]


def chunk_resource(stage, number, name, function, wildcards, input, attempt):
    """A resource of a chunk: run time adds up, to a day at most, of all else the most that one experiment needs."""
    single = SINGLE[stage]
    more = {"threads": single.resources["_cores"].value, "rulename": single.name, "async_run": workflow.async_run}
    more = {k: v for k, v in more.items() if k in get_function_params(function)}
    values = []
    for key in CHUNKS[number]:
        of_one = Wildcards(fromdict={"cell_type": key[0], "tf": key[1]})
        values.append(function(of_one, input=dict(files_of(stage, "input", key)), attempt=attempt, **more))
    if name == "runtime":
        return min(sum(values), LONGEST)
    return values[0] if isinstance(values[0], str) else max(values)


def chunk_resources(stage, number):
    """The resources of a stage's own rule, `--set-resources` included, for a chunk."""
    single = SINGLE[stage]
    wanted = {name: Resource(name, value) for name, value in single.ruleinfo.resources[1].items()}
    wanted.update(workflow.resource_settings._parsed_overwrite_resources.get(single.name, {}))
    return {
        name: (
            partial(chunk_resource, stage, number, name, resource._evaluator)
            if resource.is_evaluable()
            else resource.value
        )
        for name, resource in wanted.items()
    }


def is_wanted(name):
    """Jobs on a cluster read the rules again and need only their own, whose name a workflow around this one lengthens."""
    return workflow.is_main_process or any(word.endswith(name) for word in sys.argv)
