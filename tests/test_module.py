"""The workflow as a module of another one, fetched by `github(...)` from a git remote that stands in for the real one."""

import re
import shutil

import pytest
import yaml
from running import ROOT, typed

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


@pytest.fixture
def elsewhere(remote, tmp_path):
    """Function that types a command in a folder of its own, from which GitHub is the remote; and that folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{remote.parents[1]}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": tmp_path / "cache",
    }
    return lambda command, instead=None: typed(command, instead, folder, 300, **environment), folder


def jobs(plan):
    return {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", plan, re.M)}


def test_other_workflow_plans_and_runs_it(elsewhere):
    """All its rules are planned under their new names; a job finds the package beside its script in the cache."""
    run, folder = elsewhere
    shutil.copy(ROOT / "config/demo.tsv", folder / "samples.tsv")
    settings = {"samples": str(folder / "samples.tsv"), "references": {"genome": "simulated"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "Snakefile").write_text(OTHER)
    plan = run("snakemake --cores 1 -n")
    assert jobs(plan)["cisgrammar_train_model"] == jobs(plan)["cisgrammar_evaluate_model"] == 6
    assert jobs(plan)["count_models"] == 1
    assert "mem_mb=9000" in plan
    run("snakemake --cores 1 resources/jaspar/motifs.meme")
    assert (folder / "resources/jaspar/motifs.meme").read_text().startswith("MEME version")


def test_it_is_deployed(elsewhere):
    """snakedeploy writes a Snakefile and the configuration; with the path of the table in full, all is planned."""
    run, folder = elsewhere
    run(
        "snakedeploy deploy-workflow <address of this repository> . --branch main",
        {"<address of this repository>": "https://github.com/laboratory/cisgrammar"},
    )
    settings = folder / "config/config.yaml"
    text = settings.read_text()
    full, n = re.subn(r"^samples: config/samples\.tsv", f"samples: {folder}/config/samples.tsv", text, flags=re.M)
    assert n == 1
    settings.write_text(full)
    assert jobs(run("snakemake --cores 1 -n"))["train_model"] == 6
