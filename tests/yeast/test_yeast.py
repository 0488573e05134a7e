"""The README's example in full, half an hour on 2 cores: its commands end well, and its figures are those of the README."""

import re

import pandas as pd
import pytest
from running import ROOT, typed

COLUMNS = {"CNN (95% interval)": "cnn", "delivered": "transfer", "gapped k-mers": "kmers", "best JASPAR matrix": "pwm"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the yeast run, from local copies where they lie beside the checkout, else from the internet."""
    folder, mirror = tmp_path_factory.mktemp("yeast") / "run", ROOT.parent / "shared/data/yeast"
    place = {"runs/yeast": folder}
    if mirror.is_dir():
        command = "snakemake --cores 2 --configfile config/yeast.yaml --directory runs/yeast --config mirror=FOLDER"
        typed(command, {**place, "FOLDER": mirror}, timeout=7200)
        more = {"yeast summary": f"yeast summary --config mirror={mirror}"}
    else:
        typed("snakemake --cores 2 --configfile config/yeast.yaml --directory runs/yeast", place, timeout=7200)
        more = {}
    told = typed("snakemake --cores 1 --configfile config/yeast.yaml --directory runs/yeast summary", {**more, **place})
    folder.with_suffix(".log").write_text(told)
    return folder / "results"


def table():
    """The README's table of the eight TFs: a row for each, numbers without their intervals."""
    text = (ROOT / "README.md").read_text()
    head, _, *lines = re.search(r"^\| TF \|.*?(?=\n\n)", text, re.M | re.S)[0].splitlines()
    cells = [[cell.strip().split(" (")[0] for cell in line.strip("|").split("|")] for line in (head, *lines)]
    frame = pd.DataFrame(cells[1:], columns=[cell.strip() for cell in head.strip("|").split("|")]).set_index("TF")
    return frame.drop("mean").rename(columns=COLUMNS)


def test_scores_are_those_of_the_readme(results):
    """Within 0.02 on single TFs (other processors round otherwise), within 0.01 in the mean."""
    summary = pd.read_csv(results / "summary.tsv", sep="\t")
    found = summary[summary["negatives"] == "matched"].pivot(index="tf", columns="model", values="auprc")
    stated = table()[list(COLUMNS.values())].astype(float)
    difference = (found.loc[stated.index, stated.columns] - stated).abs()
    assert difference.max().max() < 0.02, difference
    assert ((found[stated.columns].mean() - stated.mean()).abs() < 0.01).all()
    assert found["cnn"].mean() > found[["kmers", "pwm", "covariates"]].mean().max()


@pytest.mark.parametrize("tf", ["Abf1", "Reb1", "Rap1", "Cbf1", "Mcm1", "Fkh1", "Ume6", "Sko1"])
def test_the_strongest_motif_is_its_own(results, tf):
    """Its best match is the TF's own matrix, better than in all runs of both nulls."""
    best = pd.read_csv(results / f"motifs/yeast/{tf}/matches.tsv", sep="\t").iloc[0]
    assert best["own"] == "name" and best["own_rank"] == 1
    assert best["p"] <= 1e-7 and best["p"] < min(best["null_best"], best["untrained_best"])


def test_the_summary_names_all(results):
    told = results.parent.with_suffix(".log").read_text()
    assert len(re.findall(r"^yeast +\w+ ", told, re.M)) == 8
    assert (results / "report.html").stat().st_size < 5e6
