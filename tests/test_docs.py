"""What the documents quote is in the code, what they link to is there, and their commands are typed and end well."""

import io
import json
import re
import shutil
import urllib.request

import pandas as pd
import pysam
import pytest
from running import ROOT, typed

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").glob("*.md"))
BLOCKS = [block for path in DOCUMENTS for block in re.findall(r"^ *```bash\n(.*?)```", path.read_text(), re.M | re.S)]
COMMANDS = sorted(
    {re.split(r"\s#", line)[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()}
)

# Added to the settings of the own experiment, so that it takes one minute instead of four.
QUICK = """
training: {members: 1, filters: 64, epochs: 20}
evaluation: {kmer_bp: 8, kmer_known: 5, genome_wide: false}
interpretation: {windows: 100, untrained: 1}
"""


def test_quoted_errors_are_in_the_code():
    places = [*(ROOT / "workflow/scripts/cisgrammar").glob("*.py"), *(ROOT / "workflow/rules").glob("*.smk")]
    # Strings over several lines are joined, as Python does.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in places))
    quoted = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(quoted) > 10
    assert [words for words in quoted if words not in code] == []


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_every_command_is_run():
    """Each stands, word for word, in a test that runs it; `make test` itself in what continuous integration runs."""
    tests = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    tests += [f'"{line}"' for line in (ROOT / ".ci/run").read_text().splitlines()]
    assert [command for command in COMMANDS if not any(f'"{command}"' in t or f"'{command}'" in t for t in tests)] == []


def test_setup(clone):
    told = typed('make setup && .venv/bin/python -c "import torch; print(torch.cuda.is_available())"', folder=clone)
    assert told.split()[-1] in ("True", "False")


def test_a_build_of_torch_for_cuda_is_offered(tmp_path):
    """Asked for, not installed, since it holds gigabytes."""
    try:
        urllib.request.urlopen("https://download.pytorch.org/whl/cu128/torch/", timeout=10)
    except OSError:
        pytest.skip("download.pytorch.org is out of reach")
    told = typed(
        "python3 -m venv .venv && .venv/bin/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cu128",
        {"install torch==2.13.0": "index versions torch"},
        tmp_path,
    )
    assert "2.13.0" in told


def test_lint(clone):
    typed("make lint", folder=clone)


def test_generated_documents_are_current(clone):
    typed("make docs", folder=clone)
    assert typed("git diff", folder=clone) == ""


def test_demo_tells_its_table(demo):
    """`make demo` ends with the table that `summary` prints, and with the place of the report."""
    told = demo.with_suffix(".log").read_text()
    for name in ("CTCF", "NRF1", "SPI1"):
        assert len(re.findall(rf"^(?:erythroid|myeloid) +{name} ", told, re.M)) == 2 * 2  # the second time by `summary`
    assert f"Look at {demo}/results/report.html" in told


def test_own_reads_from_the_start_to_scores(clone, demo, tmp_path):
    """The tutorial's third and fourth part with reads of the demo: the new network scores sites above other sequences."""
    reads = tmp_path / "reads"
    reads.mkdir()
    for old, new in (("erythroid_SPI1_1", "yeast_Reb1_rep1"), ("erythroid_input", "yeast_input")):
        for end in ("bam", "bam.bai"):
            shutil.copy2(demo / f"resources/simulation/reads/{old}.{end}", reads / f"{new}.{end}")
    told = typed("python workflow/scripts/init.py /data/reads mine", {"/data/reads": reads}, clone)
    assert "config/mine.yaml: write the FASTA file of your genome for GENOME.fa.gz" in told
    settings = clone / "config/mine.yaml"
    genome = str(demo / "resources/simulation/genome.fa")
    settings.write_text(settings.read_text().replace("GENOME.fa.gz", genome) + QUICK)
    typed("snakemake --cores 8 --configfile config/mine.yaml --directory runs/mine", {"--cores 8": "--cores 2"}, clone)
    results = clone / "runs/mine/results"
    assert "Reb1" in (results / "report.html").read_text()
    matches = pd.read_csv(results / "motifs/yeast/Reb1/matches.tsv", sep="\t")
    assert matches["jaspar_id"][0].split(".")[0] in ("MA0080", "MA0081")  # SPI1, SPIB
    with open(clone / "sequences.fa", "w") as handle, pysam.FastaFile(genome) as fasta:
        for name in ("peaks/yeast/Reb1/peaks", "negatives/yeast/Reb1/negatives"):
            windows = pd.read_csv(results / f"{name}.bed", sep="\t", header=None, comment="#")
            for place in windows[windows[3] == "test"].itertuples():
                handle.write(f">{name[:5]}\n{fasta.fetch(place[1], place[2], place[3])}\n")
    told = typed("python workflow/scripts/predict.py runs/mine/results/training/yeast/Reb1 sequences.fa", folder=clone)
    means = pd.read_csv(io.StringIO(told), sep="\t").groupby("id")["score"].mean()
    assert means["peaks"] > 0.5 and means["negat"] < 0.1, means


def test_yeast_starts(clone, shared):
    """One network of the real data; `make test-yeast` runs all of it."""
    plan = typed("snakemake --cores 2 --configfile config/yeast.yaml --directory runs/yeast -n", folder=clone)
    assert re.search(r"^train_model +8$", plan, re.M)
    target = "results/training/yeast/Cbf1/model.json"
    typed(
        "snakemake --cores 2 --configfile config/yeast.yaml --directory runs/yeast --config mirror=FOLDER",
        {"snakemake": f"snakemake {target}", "FOLDER": shared / "yeast"},
        clone,
    )
    assert json.loads((clone / "runs/yeast" / target).read_text())["validation_auprc"] > 0.5
