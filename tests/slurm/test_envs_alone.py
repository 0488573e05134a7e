"""Every rule runs in its own environment alone: with a Snakemake that has no other package, and pip in the place of conda."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def test_every_rule_in_its_own_environment(tmp_path):
    """A run of the small demo with `--sdm conda`, each environment holding what its file lists."""
    pins = (ROOT / "requirements.txt").read_text()
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare/bin/python"
    snakemake = re.search(r"^snakemake==\S+", pins, re.M)[0]
    subprocess.run([python, "-m", "pip", "install", "--quiet", snakemake], check=True, capture_output=True, timeout=600)
    programs = tmp_path / "conda/bin"
    programs.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conda_by_pip.py"), programs)
    (programs / "conda").write_text(f'#!/bin/sh\nexec {sys.executable} {programs}/conda_by_pip.py "$@"\n')
    (programs / "activate").write_text(ACTIVATE)
    for name in ("conda", "activate"):
        (programs / name).chmod(0o755)
    system = [part for part in os.environ["PATH"].split(os.pathsep) if ".venv" not in part]
    run, every = tmp_path / "run", tmp_path / "every.yaml"
    every.write_text("{motifs: {modisco: true}}")  # the one rule that the small demo leaves out
    done = subprocess.run(
        [
            *(python, "-m", "snakemake", "--cores", "2", "--sdm", "conda", "--conda-prefix", tmp_path / "environments"),
            *("--configfile", "tests/slurm/small.yaml", every, "--directory", run),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
        env={**os.environ, "PATH": os.pathsep.join([str(programs), *system]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (run / "results/report.html").stat().st_size > 10**5
    built = [path for path in (tmp_path / "environments").iterdir() if (path / "bin/python").exists()]
    assert len(built) == len(list((ROOT / "envs").glob("*.yaml")))
    for path in (tmp_path / "environments").glob("*.yaml"):  # what was asked for is what is there
        assert yaml.safe_load(path.read_text())["channels"] == ["conda-forge", "bioconda", "nodefaults"]
