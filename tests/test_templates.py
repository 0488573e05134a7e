"""Each template of config/templates is planned by the workflow, with empty files where it says /data."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = sorted(path.stem for path in (ROOT / "config/templates").glob("*.yaml"))
JOBS = {  # (train_model, fine_tune_model, call_peaks)
    "atac": (2, 2, 2),
    "many_tfs": (6, 6, 6),
    "one_tf": (1, 0, 1),
    "other_species": (1, 0, 1),
    "ready_peaks": (2, 2, 0),
    "replicates": (1, 0, 1),
    "two_genomes": (3, 3, 2),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_is_planned(name, tmp_path):
    table = (ROOT / f"config/templates/{name}.tsv").read_text().replace("/data", str(tmp_path))
    settings = (ROOT / f"config/templates/{name}.yaml").read_text().replace("/data", str(tmp_path))
    for word in f"{table}\n{settings}".replace("{cell_type}", "K562").split():
        if word.startswith(f"{tmp_path}/"):
            for path in (Path(word), Path(f"{word}.bai"), Path(word.replace("K562", "HepG2"))):
                path.touch()
    (tmp_path / "mine.tsv").write_text(table)
    (tmp_path / "mine.yaml").write_text(settings.replace(f"config/templates/{name}.tsv", str(tmp_path / "mine.tsv")))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--configfile", str(tmp_path / "mine.yaml")]
    done = subprocess.run([*command, "--directory", str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    jobs = tuple(int(lines.get(rule, 0)) for rule in ("train_model", "fine_tune_model", "call_peaks"))
    assert jobs == JOBS[name]
