"""Puts the package and the tools of this environment on the search paths; fixtures that several tests share."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture
def shared():
    """Folder of the real test data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real test data are not there (folder shared/data beside the checkout)")
    return SHARED


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
