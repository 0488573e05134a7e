import json
import logging
import os
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from cisgrammar import chunks
from cisgrammar.chunks import Named, fingerprint, keep, run_all, take_back
from cisgrammar.log import InputError, start_log

SCRIPT = """
from cisgrammar.log import start_log

start_log(snakemake.log[0])
import decimal
import os
import signal
from cisgrammar.log import InputError
from pathlib import Path

words = Path(snakemake.input[0]).read_text()
if words == "bad":
    raise InputError("a bad word; mend it")
if words == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
decimal.getcontext().prec += snakemake.params.more  # a state of the process, as torch has many
Path(snakemake.output[0]).write_text(f"{words} {decimal.getcontext().prec} {snakemake.threads}")
Path(snakemake.output[1]).mkdir()
Path(snakemake.output[1], "within").write_text(str(os.getpid()))
"""


@pytest.fixture
def chunk(tmp_path, monkeypatch):
    """Function that runs the script for a dict from TF to what its input says, as Snakemake would, and tells what it made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    handlers, level = logging.root.handlers[:], logging.root.level
    Path("script.py").write_text(SCRIPT)

    def run(words, more=1, threads=1):
        jobs = []
        for tf, word in words.items():
            Path(f"{tf}.in").write_text(word)
            output = [f"{tf}.out", f"{tf}.folder"]
            Path(output[0]).unlink(missing_ok=True)  # as Snakemake does before a job
            shutil.rmtree(output[1], ignore_errors=True)
            files = {"input": [(None, f"{tf}.in")], "output": [(None, output)], "log": [(None, f"logs/{tf}.log")]}
            named = {"params": [("more", more)], "wildcards": [("cell_type", "cell"), ("tf", tf)]}
            jobs.append({**files, **named, "threads": threads})
        start_log("chunk.log")
        run_all("script.py", jobs, "kept")

    with warnings.catch_warnings():
        yield run
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def made(tf):
    """Text of the file that the script made, and the process that made it."""
    return Path(f"{tf}.out").read_text(), Path(f"{tf}.folder/within").read_text()


def test_each_is_made_as_if_alone(chunk):
    """The precision of decimals is 28; the second would have 30, had the first left its own behind."""
    chunk({"A": "one", "B": "two"})
    assert [made(tf)[0] for tf in "AB"] == ["one 29 1", "two 29 1"]
    assert len({made(tf)[1] for tf in "AB"} | {str(os.getpid())}) == 3
    assert "Started on" in Path("logs/B.log").read_text()


def test_others_go_on_when_some_fail(chunk, capfd):
    """The next run does those alone that failed; the log of each tells why."""
    with pytest.raises(InputError, match=r"2 of 4 failed: cell/B, cell/C; "):
        chunk({"A": "one", "B": "bad", "C": "killed", "D": "two"})
    before = {tf: made(tf) for tf in "AD"}
    assert Path("logs/B.log").read_text().splitlines()[-1].endswith("ERROR a bad word; mend it")
    assert "Error: a bad word; mend it [logs/B.log]" in capfd.readouterr().err
    log = Path("chunk.log").read_text()
    assert "2 of 4, cell/B: failed, see logs/B.log" in log and "3 of 4, cell/C: failed, by signal 9" in log
    chunk({"A": "one", "B": "three", "C": "four", "D": "two"})
    assert {tf: made(tf) for tf in "AD"} == before
    assert [made(tf)[0] for tf in "BC"] == ["three 29 1", "four 29 1"]
    log = Path("chunk.log").read_text()
    assert "1 of 4, cell/A: finished before" in log and "4 of 4, cell/D: finished before" in log


@pytest.mark.parametrize("change", [{"more": 2}, {"threads": 2}, {"words": {"A": "other"}}])
def test_what_would_differ_is_made_again(chunk, change):
    chunk({"A": "one"})
    before = made("A")
    chunk(**{"words": {"A": "one"}, **change})
    assert made("A")[0] != before[0] and made("A")[1] != before[1]


def test_missing_input_is_named(chunk):
    """Nothing kept is taken for it either."""
    chunk({"A": "one"})
    Path("A.in").unlink()
    files = {"input": [("words", ["A.in"])], "output": [(None, "A.out")], "log": [(None, "logs/A.log")]}
    job = {**files, "params": [], "wildcards": [("cell_type", "cell"), ("tf", "A")], "threads": 1}
    with pytest.raises(InputError, match="1 of 1 failed: cell/A"):
        run_all("script.py", [job], "kept")
    assert "A.in is missing; ask for it" in Path("logs/A.log").read_text()


def test_named_is_as_snakemake_has_it():
    files = Named([(None, "first"), ("code", ["a", "b"]), ("one", "c"), ("none", [])])
    assert list(files) == ["first", "a", "b", "c"] and files[0] == "first" and files[-1] == "c"
    assert files.code == files["code"] == ["a", "b"] and files.one == "c" and files.none == []
    params = Named([("rows", [1, 2]), ("seed", 3)], flat=False)
    assert {**params} == dict(params) == {"rows": [1, 2], "seed": 3} and list(params) == [[1, 2], 3]
    assert not hasattr(params, "other")


def test_script_that_cannot_be_imported_stops_all(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run_all(script, [], tmp_path)


def test_kept_files_are_links_and_replaced(tmp_path):
    """Another fingerprint takes nothing back; keeping again forgets what was kept before."""
    path, store = tmp_path / "file", tmp_path / "store"
    path.write_text("first")
    keep(store, "key", [path])
    assert (store / "0").samefile(path)
    path.unlink()
    assert not take_back(store, "other", [path]) and not path.exists()
    assert take_back(store, "key", [path]) and path.read_text() == "first"
    path.unlink()
    path.write_text("second")
    keep(store, "key", [path])
    assert (store / "0").read_text() == "second"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "store"]


def test_fingerprint_knows_large_files_by_size_and_time(tmp_path, monkeypatch):
    paths = {name: tmp_path / name for name in ("script", "large")}
    for path in paths.values():
        path.write_text("1234")
    monkeypatch.setattr(chunks, "LARGE", 3)
    nothing = {part: Named([]) for part in ("output", "params", "wildcards")}
    job = {"input": Named([(None, str(paths["large"]))]), **nothing, "threads": 1}
    first = fingerprint(paths["script"], job)
    assert fingerprint(paths["script"], job) == first
    shutil.copy2(paths["large"], tmp_path / "moved")
    assert fingerprint(paths["script"], {**job, "input": [str(tmp_path / "moved")]}) == first
    os.utime(paths["large"], (1, 1))
    assert fingerprint(paths["script"], job) != first
    assert json.loads(json.dumps(chunks.state(str(tmp_path))))  # a folder: its files
