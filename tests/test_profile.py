"""The profile for Slurm, without a Slurm; with one see tests/slurm."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def planned(folder, *arguments):
    """Jobs of a dry run: list of (rule, what is said about it)."""
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "-n", "--configfile", "config/demo.yaml"]
    command += ["--directory", str(folder), "--nocolor"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = re.split(r"^ *(?:local)?rule (\w+):$", done.stdout + done.stderr, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("device", "gpus"), [("cuda", "1"), ("cpu", "0"), ("auto", "0")])
def test_only_training_on_cuda_asks_for_a_gpu(device, gpus, tmp_path):
    jobs = planned(tmp_path / "run", "--config", f"device={device}", "transfer={'sources': 'all_others'}")
    asked = {name: found[1] for name, text in jobs if (found := re.search(r"resources: .*gpu=(\d)", text))}
    assert asked == dict.fromkeys(("train_model", "pretrain_model", "fine_tune_model"), gpus)


def test_every_job_says_how_much_it_needs(tmp_path):
    """Memory, enough for Snakemake itself, and a time, unless they follow from a file that is still to be made."""
    jobs = planned(tmp_path / "run")
    assert len({name for name, _ in jobs}) > 15
    for name, text in jobs:
        if "output:" in text:
            memory, minutes = (re.search(rf"{what}=(\d+|<TBD>)", text)[1] for what in ("mem_mb", "runtime"))
            assert memory == "<TBD>" or int(memory) >= 1000, name
            assert minutes == "<TBD>" or int(minutes) >= 10, name


def test_profile_names_rules_that_are_there():
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert set(profile["groups"]) <= set(re.findall(r"^ *rule (\w+):", text, re.M))
    assert set(profile["group-components"]) == set(profile["groups"].values())
    assert profile["retries"] == 2
