"""Puts the package and the tools of this environment on the search paths; fixtures that several tests share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT, said, snakemake, typed

SHARED = ROOT.parent / "shared" / "data"

sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture
def shared():
    """Folder of the real test data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real test data are not there (folder shared/data beside the checkout)")
    return SHARED


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Folder of a finished run of the demo, as the README makes it, and then with two entries of `predict`."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    told = typed("make demo", RUN=folder, CORES=2, timeout=2700)
    summary = "snakemake --cores 1 --configfile config/demo.yaml --directory runs/demo summary"
    folder.with_suffix(".log").write_text(told + typed(summary, {"runs/demo": folder}))
    sequences = folder.with_name("sequences.fa")
    sequences.write_text(">short\n" + "ACGTTGCAAC" * 2 + "\n>long\n" + "GATTACAGCC" * 90 + "\n")
    regions = folder.with_name("regions.bed")
    regions.write_text("sim1\t50000\t50200\tplace\nsim2\t60000\t61000\t.\n")
    config = {"predict": [{"name": "fasta", "file": str(sequences)}, {"name": "bed", "file": str(regions)}]}
    done = snakemake(folder, config=config)
    assert done.returncode == 0, said(done)[-4000:]
    return folder


@pytest.fixture(scope="session")
def remote(tmp_path_factory):
    """Git repository of this checkout as it stands, with what is not yet committed."""
    folder = tmp_path_factory.mktemp("remotes") / "laboratory/cisgrammar"
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this folder is no checkout of Git")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    identity = "-c user.name=test -c user.email=test@example.org"
    typed(f"git init --initial-branch=main && git add --all && git {identity} commit --message=all", folder=folder)
    return folder


@pytest.fixture(scope="session")
def clone(remote, tmp_path_factory):
    """What the README's first line makes, with the environment of this checkout in the place of one of its own."""
    environment = Path(sys.prefix)
    if not (environment / "ready").exists():
        pytest.skip("the tests do not run in the environment of `make setup`")
    folder = tmp_path_factory.mktemp("clone")
    typed("git clone <this repository> cisgrammar && cd cisgrammar", {"<this repository>": f"file://{remote}"}, folder)
    os.utime(folder / "cisgrammar/requirements.txt", (0, 0))
    (folder / "cisgrammar/.venv").symlink_to(environment)
    return folder / "cisgrammar"


@pytest.fixture
def write_fasta(tmp_path):
    """Function that writes a dict of name to sequence as FASTA, lines of 60 bases, and returns its path."""

    def write(sequences, name="genome.fa"):
        path = tmp_path / name
        with open(path, "w") as handle:
            for chrom, sequence in sequences.items():
                lines = (sequence[i : i + 60] for i in range(0, len(sequence), 60))
                handle.write(f">{chrom}\n" + "".join(line + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def write_genome(write_fasta, tmp_path):
    """Function that encodes a dict of name to sequence as a genome store and returns it open."""
    from cisgrammar.covariates import open_store, write_store

    def write(sequences, folder="store"):
        lengths = {chrom: len(sequence) for chrom, sequence in sequences.items()}
        write_store(write_fasta(sequences), lengths, tmp_path / folder)
        return open_store(tmp_path / folder)

    return write
