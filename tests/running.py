"""Snakemake and the commands of the documents, run as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "config" / "demo.yaml"


def snakemake(folder, *arguments, config=None, extra=None, configfile=DEMO, timeout=2700):
    """Run Snakemake from the repository with the run's folder `folder`.

    config: further settings as a dict, written to `extra`, by default a file beside the folder
    """
    files = [str(configfile)]
    if config is not None:
        extra = Path(extra or Path(folder).with_suffix(".yaml"))
        extra.write_text(yaml.safe_dump(config))
        files.append(str(extra))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *files, "--directory", str(folder)]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def said(done):
    return done.stdout + done.stderr


def typed(command, instead=None, folder=ROOT, timeout=1800, **environment):
    """What a command of the documents says when it is typed into a shell in `folder`; it must end well.

    instead: dict from words of the command, such as <this repository>, to what stands in their place
    """
    for word, value in (instead or {}).items():
        assert word in command, f"{word} is not in: {command}"
        command = command.replace(word, str(value))
    environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=timeout, env=environment
    )
    assert done.returncode == 0, f"{command}\n{said(done)[-4000:]}"
    return said(done)
