"""Stands in for conda where no channel can be reached: builds the environments of envs/ with venv and pip.

Knows what Snakemake asks of conda, and nothing else: conda --version, info --json, config --get channel_priority --json,
env create --file FILE --prefix PREFIX, clean. What conda has and PyPI has not (bedtools) is left to the system.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import yaml

NOT_ON_PYPI = ("python", "pip", "bedtools")
PREFIX = Path(__file__).resolve().parents[1]
WHEELS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cisgrammar/wheels"


def create(file, prefix):
    listed = yaml.safe_load(Path(file).read_text())["dependencies"]
    conda = [item.replace("=", "==") for item in listed if isinstance(item, str)]
    pip = [item for entry in listed if isinstance(entry, dict) for item in entry["pip"]]
    wanted = [item for item in conda if item.split("==")[0] not in NOT_ON_PYPI] + pip
    venv.create(prefix, with_pip=True)
    command = [f"{prefix}/bin/python", "-m", "pip", "install", "--quiet", "--find-links", str(WHEELS), *wanted]
    subprocess.run(command, check=True, capture_output=True, timeout=900)


if __name__ == "__main__":
    asked = sys.argv[1:]
    if asked == ["--version"]:
        print("conda 26.1.0")
    elif asked[:1] == ["info"]:
        print(json.dumps({"conda_prefix": str(PREFIX), "platform": "linux-64", "root_prefix": str(PREFIX)}))
    elif asked[:1] == ["config"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif asked[:1] == ["clean"]:
        pass
    elif asked[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--file")
        parser.add_argument("--prefix")
        arguments, _ = parser.parse_known_args(asked[2:])
        create(arguments.file, arguments.prefix)
    else:
        sys.exit(f"not known here: conda {' '.join(asked)}")
