"""Many experiments in one job: the script of a rule is run for each, and what is finished is kept for the next try."""

import ast
import hashlib
import importlib.metadata
import json
import logging
import multiprocessing
import os
import runpy
import shutil
import sys
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from cisgrammar.files import atomic, checksum
from cisgrammar.log import InputError, start_log

PARTS = ("input", "output", "log", "params", "wildcards")
LARGE = 10**8  # bytes from which a file counts as unchanged when its size and time are


class Named(list):
    """Files or settings by place and by name, as scripts find them in `snakemake.input` and its like.

    items: list of (name or None, value); flat: whether a value that is a list counts as so many places, as files do
    """

    def __init__(self, items, flat=True):
        for _, value in items:
            self.extend(value if flat and isinstance(value, list) else [value])
        self.named = {name: value for name, value in items if name}

    def keys(self):
        return self.named.keys()

    def __getitem__(self, place):
        return self.named[place] if isinstance(place, str) else super().__getitem__(place)

    def __getattr__(self, name):
        try:
            return self.__dict__["named"][name]
        except KeyError:
            raise AttributeError(f"nothing is called {name} here") from None


def state(path):
    """What tells whether a file or folder is the same as before: the checksum, or size and time of large ones."""
    path = Path(path)
    if path.is_dir():
        return [[str(file.relative_to(path)), *times(file)] for file in sorted(path.rglob("*")) if file.is_file()]
    return times(path) if path.stat().st_size > LARGE else checksum(path)


def times(path):
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


@cache
def software():
    """Name and version of every installed package, and of Python."""
    found = {(package.name, package.version) for package in importlib.metadata.distributions()}
    return [sys.version, *sorted(found, key=str)]


def fingerprint(script, job, state=state):
    """SHA-256 of all that the files of a job depend on: script, inputs, params, names, threads and software.

    Not on where inputs lie: Snakemake hands modules over under another path in each run.
    job: dict with `input`, `output`, `params`, `wildcards`, each Named, and `threads`
    state: function that tells the state of a file
    """
    parts = [
        *(state(script), [state(path) for path in job["input"]], job["params"].named),
        *(list(job["output"]), list(job["wildcards"]), job["threads"], software()),
    ]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def link(source, target):
    """A hard link of a file or of all files of a folder; a copy where the disk knows no links."""

    def one(source, target):
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    if Path(source).is_dir():
        shutil.copytree(source, target, copy_function=one)
    else:
        one(source, target)


def keep(folder, key, paths):
    """Keep finished files under their number in a folder, with the fingerprint of what they were made of."""
    shutil.rmtree(folder, ignore_errors=True)
    with atomic(folder) as temporary:
        temporary.mkdir()
        for i, path in enumerate(paths):
            link(path, temporary / str(i))
        (temporary / "fingerprint").write_text(key)


def take_back(folder, key, paths):
    """Put kept files back to their places; False, and nothing done, when there are none or they are of something else."""
    folder = Path(folder)
    kept = folder / "fingerprint"
    if not kept.exists() or kept.read_text() != key:
        return False
    for i, path in enumerate(paths):
        if Path(path).is_dir():
            shutil.rmtree(path)
        with atomic(path) as temporary:
            link(folder / str(i), temporary)
    return True


def load_imports(script):
    """Import what the script imports at its top, so that the processes that run it find it loaded."""
    tree = ast.parse(Path(script).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(tree, str(script), "exec"), {})


def run_one(script, job):
    """Run a script in this process, which ends: with 1 after an error, which is in the job's log."""
    start_log(job["log"][0])
    try:
        missing = [path for path in job["input"] if not os.path.exists(path)]
        if missing:
            raise InputError(f"{missing[0]} is missing; ask for it: snakemake ... {missing[0]}")
        runpy.run_path(str(script), {"snakemake": SimpleNamespace(**job)}, "__main__")
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


def run_all(script, jobs, store):
    """Run a script for each of many jobs; one that fails, or whose process is killed, does not stop the others.

    script: path; jobs: list of dicts, what `snakemake` holds for each, those of PARTS as Named takes them
    store: folder for finished results
    Each runs in a process of its own that is split off from this one, which has loaded all modules and done nothing else: a
    job finds neither random numbers drawn nor memory filled by one before it, and ends with the same bytes as alone.
    Finished files are linked into the store, and taken from there when they would be made of the same again.
    Raises InputError with the names of those that failed.
    """
    load_imports(script)
    failed, look = [], cache(state)  # of files that many share
    for i, job in enumerate(jobs, 1):
        job = {**job, **{part: Named(job[part], flat=part != "params") for part in PARTS}}
        name, began = "/".join(job["wildcards"]), time.monotonic()
        folder = Path(store, Path(script).stem, *job["wildcards"])
        key = fingerprint(script, job, look) if all(map(os.path.exists, job["input"])) else None
        if key and take_back(folder, key, job["output"]):
            logging.info("%d of %d, %s: finished before", i, len(jobs), name)
            continue
        process = multiprocessing.get_context("fork").Process(target=run_one, args=(script, job))
        Path(job["log"][0]).parent.mkdir(parents=True, exist_ok=True)
        process.start()
        process.join()
        if process.exitcode == 0:
            keep(folder, key, job["output"])
            logging.info("%d of %d, %s: %.1f s", i, len(jobs), name, time.monotonic() - began)
        else:
            end = f"by signal {-process.exitcode}" if process.exitcode < 0 else f"see {job['log'][0]}"
            logging.error("%d of %d, %s: failed, %s", i, len(jobs), name, end)
            failed.append(name)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} failed: {', '.join(failed)}; each has its own log. The others are kept: mend "
            "these and start again, or go on without them: # before their rows in the table of the experiments"
        )
