"""The workflow as a module of another one, fetched by `github(...)` from a git remote that stands in for the real one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
OTHER = """
configfile: "config.yaml"

module cisgrammar:
    snakefile: github("laboratory/cisgrammar", path="Snakefile", branch="main")
    config: config

use rule * from cisgrammar as cisgrammar_*

use rule train_model from cisgrammar as cisgrammar_train_model with:
    resources:
        mem_mb=9000,

rule count_models:
    default_target: True
    input: "results/summary.tsv"
    output: "models.txt"
    shell: "wc -l < {input} > {output}"
"""


def git(*arguments, folder):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def other(tmp_path):
    """Function that runs another workflow, which knows of this one only its address."""
    remote = tmp_path / "remotes/laboratory/cisgrammar"
    unwanted = shutil.ignore_patterns(".*", "runs", "results", "resources", "tests", "logs", "benchmarks")
    shutil.copytree(ROOT, remote, ignore=unwanted)
    git("init", "--initial-branch=main", folder=remote)
    git("add", "--all", folder=remote)
    git("commit", "--message=all", folder=remote)
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(ROOT / "config/demo.tsv", work / "samples.tsv")
    settings = {"samples": str(work / "samples.tsv"), "references": {"genome": "simulated"}}
    (work / "config.yaml").write_text(yaml.safe_dump(settings))
    (work / "Snakefile").write_text(OTHER)
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/remotes/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **instead, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.folder = work
    return run


def test_other_workflow_plans_and_runs_it(other):
    """All its rules are planned under their new names; a job finds the package beside its script in the cache."""
    plan = other("-n")
    jobs = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", plan, re.M)}
    assert jobs["cisgrammar_train_model"] == jobs["cisgrammar_evaluate_model"] == 6
    assert jobs["count_models"] == 1
    assert "mem_mb=9000" in plan
    other("resources/jaspar/motifs.meme")
    assert (other.folder / "resources/jaspar/motifs.meme").read_text().startswith("MEME version")
