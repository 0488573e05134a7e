"""The workflow as a user runs it: one demo run, shared, and what Snakemake plans or refuses after changes."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import pandas as pd
import pysam
import pytest
import yaml
from cisgrammar.meme import read_meme
from running import ROOT, said, snakemake, typed

EXPERIMENTS = [(cell_type, tf) for cell_type in ("erythroid", "myeloid") for tf in ("CTCF", "NRF1", "SPI1")]
PLANTED = {"CTCF": "MA0139.2", "NRF1": "MA0506.3", "SPI1": "MA0080.7"}


def planned(done):
    """Jobs of a dry run: dict from rule to number."""
    assert done.returncode == 0, said(done)
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", said(done), re.M) if name != "total"}


@pytest.fixture()
def again(demo):
    """Ask for the demo's folder again, with its own settings and what a test adds."""
    config = yaml.safe_load(demo.with_suffix(".yaml").read_text())

    def run(*arguments, **more):
        return snakemake(demo, *arguments, config={**config, **more}, extra=demo.with_name("changed.yaml"), timeout=600)

    return run


def test_networks_and_baselines_are_measured(demo):
    summary = pd.read_csv(demo / "results/summary.tsv", sep="\t")
    measures = ("auroc", "auprc", "precision_at_5_recall", "recall_at_10_fdr", "ece", "ece_scaled")
    assert list(summary.columns) == [
        *("cell_type", "tf", "model", "negatives", "n_pos", "n_neg", "prevalence"),
        *(f"{name}{end}" for name in measures for end in ("", "_low", "_high")),
        *("temperature", "auprc_worst_member", "auprc_best_member"),
    ]
    wide = summary[summary["negatives"] == "genome_wide"]
    assert len(wide) == 5 * len(EXPERIMENTS) and wide["prevalence"].between(0.005, 0.05).all()
    assert set(zip(summary["cell_type"], summary["tf"], strict=True)) == set(EXPERIMENTS)
    for _, rows in summary[summary["negatives"] == "matched"].groupby(["cell_type", "tf"]):
        rows = rows.set_index("model")
        assert set(rows.index) == {"cnn", "transfer", "pwm", "kmers", "covariates"}
        assert rows.loc["cnn", "auprc"] > rows.loc[["pwm", "covariates"], "auprc"].max()
        assert rows.loc["kmers", "auprc"] > rows.loc["pwm", "auprc"]
        assert ((rows["auprc_low"] <= rows["auprc"]) & (rows["auprc"] <= rows["auprc_high"])).all()
        spread = rows["auprc_best_member"] - rows["auprc_worst_member"]
        assert spread[["cnn", "transfer"]].between(0, 0.2).all() and spread.isna().sum() == 3
        assert rows["prevalence"].between(0.08, 0.1).all()


@pytest.mark.parametrize(("cell_type", "tf"), EXPERIMENTS)
def test_best_motif_is_the_planted_one(demo, cell_type, tf):
    matches = pd.read_csv(demo / f"results/motifs/{cell_type}/{tf}/matches.tsv", sep="\t")
    assert list(matches.columns) == [
        *("motif", "n_sites", "jaspar_id", "jaspar_name", "p", "q", "offset", "strand", "e"),
        *("overlap", "js", "kl", "own", "own_rank", "own_p", "null_p", "null_best", "untrained_p"),
        *("untrained_best", "untrained_same", "better", "members", "n_members"),
    ]
    known = pd.read_csv(demo / "resources/jaspar/motifs.tsv", sep="\t").set_index("jaspar_id")
    assert known.loc[matches["jaspar_id"][0], "tf_family"] == known.loc[PLANTED[tf], "tf_family"]
    assert matches["q"][0] < 0.01


def test_reads_are_assessed(demo):
    """Fragments of about 200 bp with a tenth of duplicates, as simulated; the reads of the input are in no peak."""
    for cell_type, tf in EXPERIMENTS:
        quality = pd.read_csv(demo / f"results/peaks/{cell_type}/{tf}/quality.tsv", sep="\t", dtype={"replicate": str})
        assert set(quality["role"]) == {"treatment", "control"}
        assert quality["duplicates"].between(0.08, 0.12).all()
        assert quality["fragment_bp"].between(150, 250).all()
        frip = quality.groupby("role")["frip"].mean()
        assert frip["treatment"] > 5 * frip["control"]


def test_negatives_are_balanced(demo):
    """In every split the means agree, and a classifier that sees the covariates alone is of no use."""
    for cell_type, tf in EXPERIMENTS:
        folder = demo / f"results/negatives/{cell_type}/{tf}"
        balance = pd.read_csv(folder / "balance.tsv", sep="\t").query("negatives == 'matched'")
        assert set(balance["covariate"]) == {"gc", "cpg", "repeats"}
        assert (balance["smd_after"].abs() <= 0.05).all()
        assert balance.loc[balance["covariate"] == "gc", "smd_before"].min() > 0.3
        separable = pd.read_csv(folder / "separability.tsv", sep="\t").query("negatives == 'matched'")
        assert separable["split"].tolist() == ["train", "validation", "test", "all"]
        assert separable["auroc"].max() <= 0.55
    assert "covariates tell negatives from peaks" not in (demo / "results/report.html").read_text()


def test_replicates_can_be_asked_to_agree(demo, again):
    """Of CTCF's peaks most are called in both replicates; the others have one replicate, and nothing to compare."""
    path = "results/peaks/erythroid/CTCF/reproducible.narrowPeak"
    counts = {}
    for consensus in ("reproducible", "idr"):
        settings = {"peaks": {"consensus": consensus}}
        jobs = planned(again("-n", "results/peaks/erythroid/SPI1/peaks.bed", **settings))
        assert not {"call_replicate", "compare_replicates", "keep_reproducible"} & set(jobs)
        done = again(path, **settings)
        assert done.returncode == 0, said(done)[-3000:]
        counts[consensus] = (demo / path).read_text().splitlines()
    called = (demo / "results/peaks/erythroid/CTCF/called.narrowPeak").read_text().splitlines()
    for kept in counts.values():
        assert set(kept) <= set(called)
        assert 0.5 * len(called) < len(kept)


def test_replicates_are_compared(demo, again):
    """CTCF has two replicates that see most of its sites; others have one, and nothing is called twice for them."""
    for cell_type in ("erythroid", "myeloid"):
        folder = demo / f"results/peaks/{cell_type}/CTCF"
        windows = pd.read_csv(folder / "peaks.bed", sep="\t", header=None)
        support = pd.read_csv(folder / "support.tsv", sep="\t")
        assert list(support.columns) == ["chrom", "start", "end", "replicate_1", "replicate_2"]
        assert support[["chrom", "start", "end"]].to_numpy().tolist() == windows[[0, 1, 2]].to_numpy().tolist()
        assert (support[["replicate_1", "replicate_2"]].mean() > 0.8).all()
        (pair,) = pd.read_csv(folder / "agreement.tsv", sep="\t").to_dict("records")
        assert pair["n_passing"] > 0.5 * pair["n_shared"] and pair["correlation"] > 0.5
        quality = pd.read_csv(folder / "quality.tsv", sep="\t", dtype={"replicate": str})
        assert quality["replicate"].tolist() == ["1", "1, 2", "2"]
    assert not (demo / "results/peaks/erythroid/SPI1/support.tsv").exists()
    jobs = planned(again("-n", "peaks", "--forceall", peaks={"compare_replicates": False}))
    assert jobs["call_peaks"] == len(EXPERIMENTS)
    assert not {"call_replicate", "compare_replicates", "find_support"} & set(jobs)


def test_called_peaks_are_the_planted_sites(demo):
    truth = pd.read_csv(demo / "resources/simulation/truth.tsv", sep="\t")
    for cell_type, tf in EXPERIMENTS:
        sites = truth[(truth["cell_type"] == cell_type) & (truth["tf"] == tf)]
        peaks = pd.read_csv(demo / f"results/peaks/{cell_type}/{tf}/peaks.bed", sep="\t", header=None)
        middle = {chrom: (rows[1] + 100).to_numpy() for chrom, rows in peaks.groupby(0)}
        near = [
            abs(middle.get(chrom, [10**9]) - place).min() <= 50
            for chrom, place in zip(sites["chrom"], (sites["start"] + sites["end"]) // 2, strict=True)
        ]
        assert sum(near) / len(near) > 0.85


def test_splits_never_mix(demo):
    splits = pd.read_csv(demo / "resources/genome/splits.tsv", sep="\t").set_index("chrom")["split"]
    for cell_type, tf in EXPERIMENTS:
        for kind in ("peaks", "negatives"):
            table = pd.read_csv(demo / f"results/{kind}/{cell_type}/{tf}/{kind}.bed", sep="\t", header=None)
            assert (table[0].map(splits) == table[3]).all()


def test_device_seed_and_sources_are_recorded(demo):
    model = json.loads((demo / "results/transfer/myeloid/SPI1/from_related/model.json").read_text())
    assert model["device"] in ("cpu", "cuda")
    assert model["seed"] == 1
    assert model["delivered"] in model["delivered_from"]
    assert (model["sources"] == []) == (model["delivered"] == "scratch")
    # Of five experiments the one of the same TF, in the other cell type, tells its peaks best.
    ranking = pd.read_csv(demo / "results/transfer/myeloid/SPI1/from_related/sources.tsv", sep="\t")
    assert set(ranking["source"]) == {"/".join(key) for key in EXPERIMENTS} - {"myeloid/SPI1"}
    assert ranking["source"][0] == "erythroid/SPI1"
    assert ranking["weight"][0] > 0


def test_predictions_are_probabilities(demo):
    for name, ids in (("fasta", ["short", "long"]), ("bed", ["place", "sim2:60000-61000"])):
        for cell_type, tf in EXPERIMENTS:
            table = pd.read_csv(demo / f"results/predict/{cell_type}/{tf}/{name}.tsv", sep="\t")
            assert list(table.columns) == ["id", "score"]
            assert table["id"].tolist() == ids
            assert table["score"].between(0, 1).all()


def test_contributions_pass_their_gates(demo):
    for cell_type, tf in EXPERIMENTS:
        gates = pd.read_csv(demo / f"results/interpretation/{cell_type}/{tf}/gates.tsv", sep="\t").set_index("gate")
        assert gates.index.tolist() == ["deletion", "randomisation", "sites"]
        assert (gates["passed"] == 1).all(), (cell_type, tf)


def test_the_planted_pair_comes_first(demo):
    """RUNX1 lies 6 bp behind SPI1 on its strand: in the windows, and to the network."""
    for cell_type in ("erythroid", "myeloid"):
        folder = demo / f"results/motifs/{cell_type}/SPI1"
        matches = pd.read_csv(folder / "matches.tsv", sep="\t").drop_duplicates("motif").set_index("motif")
        top = pd.read_csv(folder / "pairs.tsv", sep="\t").iloc[0]
        assert matches.loc[[top["a"], top["b"]], "jaspar_id"].tolist() == ["MA0080.7", "MA0002.3"]
        assert (top["arrangement"], top["gap"]) == ("downstream_same", 6)
        assert top["count"] > 10 * top["count_expected"] and top["p"] < 0.01
        model = pd.read_csv(folder / "insertions.tsv", sep="\t").sort_values("interaction").iloc[-1]
        assert (model["a"], model["b"], model["arrangement"], model["gap"]) == (
            top["a"],
            top["b"],
            "downstream_same",
            6,
        )
        assert model["low"] > 0


def test_motifs_are_the_planted_ones(demo):
    found = 0
    for cell_type, tf in EXPERIMENTS:
        best = pd.read_csv(demo / f"results/motifs/{cell_type}/{tf}/matches.tsv", sep="\t").iloc[0]
        assert (best["jaspar_id"], best["own"], best["own_rank"]) == (PLANTED[tf], "name", 1)
        assert best["p"] < 1e-6 and best["p"] < min(best["null_best"], best["untrained_best"])
        assert (best["better"], best["members"], best["n_members"]) == (1, 2, 2)
        filters = pd.read_csv(demo / f"results/motifs/{cell_type}/{tf}/filters.tsv", sep="\t")
        own = filters[(filters["own"] == "name") & (filters["better"] == 1)]
        found += "windows" in set(own["source"])
        assert filters["members"].between(0, 2).all()
        with h5py.File(demo / f"results/interpretation/{cell_type}/{tf}/negatives.h5") as store:
            assert 1 <= len(store["contributions"]) <= 20
    assert found >= 4  # single filters are weaker evidence than motifs of contributions


def test_modisco_finds_site_and_partner_as_one(demo, tmp_path):
    """SPI1 binds only where RUNX1 is 6 bp away, so that a pattern of its windows holds both."""
    second, place = tmp_path / "second", "myeloid/SPI1"
    for part in ("resources", *(f"results/{stage}/{place}" for stage in ("negatives", "sequences", "training"))):
        shutil.copytree(demo / part, second / part)
    config = {"motifs": {"modisco": True}, "interpretation": {"shuffles": 5, "untrained": 1}}
    done = snakemake(second, f"results/motifs/{place}/patterns.tsv", "--rerun-triggers", "mtime", config=config)
    assert done.returncode == 0, said(done)[-3000:]
    best = pd.read_csv(second / f"results/motifs/{place}/patterns.tsv", sep="\t").iloc[0]
    assert (best["motif"], best["own"], best["better"]) == ("positive_1", "name", 1)
    matrix = read_meme(second / f"results/motifs/{place}/patterns.meme")["positive_1"][1]
    consensus = "".join("ACGT"[base] for base in matrix.argmax(axis=0))
    assert re.search("GGAAGT.{4,12}TGTGG|CCACA.{4,12}ACTTCC", consensus), consensus


def test_few_peaks_gain_from_another_cell_type(demo, tmp_path):
    """Of SPI1 in myeloid cells 25 peaks are enough beside the network of erythroid ones: AUPRC is 0.2 higher, or more."""
    second, place = tmp_path / "second", "results/transfer/myeloid/SPI1/from_related"
    for part in ("resources", "results/sequences", "results/training"):
        shutil.copytree(demo / part, second / part)
    config = {"training": {"members": 1}, "transfer": {"curve": True, "sizes": [25], "seeds": 2}}
    done = snakemake(second, f"{place}/curve_summary.tsv", "--rerun-triggers", "mtime", config=config)
    assert done.returncode == 0, said(done)[-3000:]
    curve = pd.read_csv(second / place / "curve.tsv", sep="\t").query("negatives == 'matched' and n_peaks == 25")
    wide = curve.pivot(index="seed", columns="model", values="auprc")
    assert len(wide) == 2 and (wide["delivered"] - wide["scratch"]).min() > 0.2, wide
    summary = pd.read_csv(second / place / "curve_summary.tsv", sep="\t").query("negatives == 'matched'")
    assert summary["n_peaks"].nunique() == 2 and summary["n"].eq(2).all()


def test_a_network_goes_to_another_genome(demo, tmp_path):
    """Two genomes in one table, the second the other strand of the first: 30 peaks gain from the network of the first."""
    place, second = tmp_path / "place", tmp_path / "place/run"
    place.mkdir()
    lengths, table = {}, []
    with pysam.FastaFile(str(demo / "resources/genome/genome.fa")) as genome, open(place / "other.fa", "w") as other:
        for chrom in genome.references:
            bases = genome.fetch(chrom)
            lengths[chrom] = len(bases)
            other.write(f">{chrom}\n{bases.translate(str.maketrans('ACGTacgt', 'TGCAtgca'))[::-1]}\n")
    splits = pd.read_csv(demo / "resources/genome/splits.tsv", sep="\t").groupby("split")["chrom"].apply(list)
    peaks = pd.read_csv(demo / "results/peaks/erythroid/SPI1/peaks.bed", sep="\t", header=None)
    peaks = peaks.assign(summit=(peaks[1] + peaks[2]) // 2, length=peaks[0].map(lengths))
    few = pd.concat(
        [peaks[peaks[3] == split].head(n) for split, n in (("train", 20), ("validation", 10), ("test", 60))]
    )
    few = few.assign(summit=few["length"] - 1 - few["summit"])
    for name, rows in (("first", peaks), ("other", few)):
        bed = rows[[0, "summit"]].assign(end=rows["summit"] + 1)
        bed.to_csv(place / f"{name}.bed", sep="\t", header=False, index=False)
        table.append(f"{name}\tSPI1\t{place}/{name}.bed\t{name if name == 'other' else ''}\n")
    (place / "samples.tsv").write_text("cell_type\ttf\tpeaks\tgenome\n" + "".join(table))
    kept = {"splits": {"test": splits["test"], "validation": splits["validation"]}}
    config = {
        "samples": str(place / "samples.tsv"),
        "references": {"genome": str(demo / "resources/genome/genome.fa"), **kept},
        "genomes": {"other": {"genome": str(place / "other.fa"), **kept}},
        "negatives": {"evaluation": ["matched"], "accessible": None},
        "evaluation": {"genome_wide": False},
        "design": [],
    }
    target = "results/evaluation/other/SPI1/metrics.tsv"
    done = snakemake(second, target, config=config)
    assert done.returncode == 0, said(done)[-3000:]
    metrics = pd.read_csv(second / target, sep="\t").query("negatives == 'matched'").set_index("model")["auprc"]
    assert metrics["transfer"] > metrics["cnn"] + 0.1, metrics
    checksums = [
        json.loads((second / f"resources/{name}/genome.json").read_text())["checksum"] for name in ("genome", "other")
    ]
    model = json.loads((second / "results/transfer/other/SPI1/from_related/model.json").read_text())
    assert model["sources"] == ["first/SPI1"] and model["delivered"] != "scratch"
    assert model["genome"] == checksums[1] != checksums[0] and model["seen"] == {checksums[0]: sorted(splits["train"])}


def test_a_design_obeys_the_rule_of_the_simulation(demo):
    """Made for SPI1's network, it holds SPI1 with its partner behind it, and no site of the others."""
    folder = demo / "results/design/spi1"
    designs, scores, edits = (pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("designs", "scores", "edits"))
    assert designs["reached"].tolist() == [1] and designs["edits"].between(1, 20).all()
    assert (scores["rule"] == scores["wanted"]).all()
    assert len(edits) == designs["edits"][0] and edits["need"].mean() > 0.1
    assert (folder / "designs.fa").read_text().endswith(f"\n{designs['sequence'][0]}\n")


def test_variants_break_planted_sites(demo, again, tmp_path):
    """A change of SPI1's GGAA lowers the logit, one 45 bp away does not; rows that do not fit are reported."""
    truth = pd.read_csv(demo / "resources/simulation/truth.tsv", sep="\t")
    sites = truth[(truth["tf"] == "SPI1") & (truth["cell_type"] == "erythroid") & (truth["chrom"] == "sim1")].head(20)
    rows = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT", "sim1\t1\tedge\tA\tC", "chr1\t9\tother\tA\tC,<DEL>"]
    with pysam.FastaFile(str(demo / "resources/genome/genome.fa")) as genome:
        for site in sites.itertuples():
            middle = site.start + 6 if site.strand == "+" else site.end - 7
            for place, name in ((middle, "break"), (site.start - 45, "neutral")):
                base = genome.fetch(site.chrom, place, place + 1).upper()
                rows.append(f"{site.chrom}\t{place + 1}\t{name}\t{base}\t{'ACGT'[3 - 'ACGT'.index(base)]}")
    path = tmp_path / "in.vcf"
    path.write_text("\n".join(rows) + "\n")
    variants = {"vcf": str(path), "models": ["erythroid/SPI1"]}
    done = again("variants", "--rerun-triggers", "mtime", variants=variants)
    assert done.returncode == 0, said(done)
    table = pd.read_csv(demo / "results/variants/erythroid/SPI1/variants.tsv", sep="\t")
    assert len(table) == 2 * (3 + 2 * len(sites))  # alleles, for both models
    assert set(table.loc[table["id"].isin(["edge", "other"]), "status"]) == {"other reference", "unknown chromosome"}
    delta = table[table["status"] == "ok"].groupby(["model", "id"])["delta"].mean()
    for model in ("cnn", "transfer"):
        assert delta[model, "break"] < -0.5 and abs(delta[model, "neutral"]) < 0.2
    refused = again("-n", "variants", variants={"vcf": str(path), "models": ["erythroid/NONE"]})
    assert "variants.models: erythroid/NONE is no experiment" in said(refused)


def test_report_needs_no_network(demo):
    report = (demo / "results/report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", report)
    for cell_type, tf in EXPERIMENTS:
        assert tf in report and cell_type in report


def test_archive_of_snakemake(demo, tmp_path):
    """Tables and logos by category, with captions and the report itself."""
    command = "snakemake --cores 1 --configfile config/demo.yaml --directory runs/demo --report report.zip"
    archive = tmp_path / "report.zip"
    typed(command, {"runs/demo": demo, "report.zip": archive})
    with zipfile.ZipFile(archive) as packed:
        names = Counter(Path(name).name for name in packed.namelist())
        page = packed.read("report/report.html").decode()
    assert names["matches.tsv"] == len(EXPERIMENTS) and names["motif_1.png"] == len(EXPERIMENTS)
    assert names["summary.tsv"] == names["overview.tsv"] == 1 and names["report.html"] == 2
    assert all(category in page for category in ("Overview", "Motifs"))


def test_finished_run_has_nothing_to_do(again):
    assert "Nothing to be done" in said(again("-n"))


def test_training_rate_leaves_peaks_and_negatives(again):
    jobs = planned(again("-n", training={"learning_rate": 0.001}))
    assert jobs["train_model"] == len(EXPERIMENTS)
    assert not {"check_inputs", "call_peaks", "center_peaks", "match_negatives", "extract_sequences"} & set(jobs)


def test_one_row_reruns_that_experiment(again, demo):
    """Its peaks are the negatives `other_peaks` of that cell type and of that TF, so these are drawn anew as well."""
    samples = (ROOT / "config/demo.tsv").read_text().splitlines()
    changed = demo.with_name("changed.tsv")
    row = next(i for i, line in enumerate(samples) if line.startswith("myeloid\tSPI1"))
    samples[row] = samples[row].replace("resources/simulation/reads/myeloid_input.bam", "")
    changed.write_text("\n".join(samples) + "\n")
    done = again("-n", samples=str(changed))
    assert planned(done)["check_inputs"] == 1
    related = [key for key in EXPERIMENTS if "myeloid" in key or "SPI1" in key]
    for rule, keys in (("call_peaks", [("myeloid", "SPI1")]), ("match_negatives", related)):
        blocks = re.findall(rf"rule {rule}:.*?wildcards: ([^\n]+)", said(done), re.S)
        assert sorted(blocks) == [f"cell_type={cell_type}, tf={tf}" for cell_type, tf in keys]


def test_edited_module_reruns_its_users(tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "runs", ".snakemake", "results", "resources")
    )

    def run(*arguments):
        return subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", str(copy / "Snakefile")),
                *("--configfile", str(copy / "config/demo.yaml"), "--directory", str(tmp_path / "run"), *arguments),
                "resources/jaspar/motifs.meme",
            ],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=300,
        )

    assert run().returncode == 0
    assert "Nothing to be done" in said(run("-n"))
    with open(copy / "workflow/scripts/cisgrammar/meme.py", "a") as module:
        module.write("# edited\n")
    assert planned(run("-n")) == {"export_jaspar": 1}


def test_small_stages_share_jobs(tmp_path):
    """Two chunks for six experiments; a network that is asked for brings its chunk alone."""
    jobs = planned(snakemake(tmp_path / "run", "-n", config={"models_per_job": 3}))
    stages = "check_inputs center_peaks match_negatives extract_sequences train_model evaluate_model explain_model"
    for stage in (*stages.split(), "find_motifs"):
        assert stage not in jobs and {name: n for name, n in jobs.items() if name.startswith(stage)} == {
            f"{stage}_0": 1,
            f"{stage}_1": 1,
        }
    assert jobs["call_peaks"] == jobs["fine_tune_model"] == len(EXPERIMENTS)
    target = "results/training/myeloid/NRF1/model.safetensors"
    jobs = planned(snakemake(tmp_path / "run", "-n", target, config={"models_per_job": 3}))
    assert sum(n for name, n in jobs.items() if name.startswith("train_model")) == 1


def test_networks_of_a_chunk_are_as_alone(demo, tmp_path):
    """To the byte; one that fails holds up none of the others, and is the only one that the next run trains."""
    target, bad = "results/training/myeloid/NRF1/model.safetensors", "results/sequences/erythroid/CTCF/sequences.h5"
    settings, now = {"training": {"members": 1, "filters": 8, "epochs": 1}}, time.time()
    for name in ("alone", "chunk"):
        for part in ("resources", "results/peaks", "results/negatives", "results/sequences"):
            shutil.copytree(demo / part, tmp_path / name / part)
            for path in (tmp_path / name / part).rglob("*"):
                os.utime(path, (now, now))  # no file that a chunk made is newer than what another needed
    assert snakemake(tmp_path / "alone", target, "--rerun-triggers", "mtime", config=settings).returncode == 0

    def run():
        return snakemake(
            tmp_path / "chunk", target, "--rerun-triggers", "mtime", config={**settings, "models_per_job": 3}
        )

    (tmp_path / "chunk" / bad).write_bytes(b"no sequences")
    done = run()
    assert done.returncode != 0 and "1 of 3 failed: erythroid/CTCF" in said(done), said(done)[-3000:]
    shutil.copy2(demo / bad, tmp_path / "chunk" / bad)
    os.utime(tmp_path / "chunk" / bad)
    done = run()
    assert done.returncode == 0, said(done)[-3000:]
    (log,) = (tmp_path / "chunk/logs/train_model").glob("*.log")
    assert log.read_text().count("finished before") == 2
    assert (tmp_path / "chunk" / target).read_bytes() == (tmp_path / "alone" / target).read_bytes()


def imported(path):
    """Modules of cisgrammar that a Python file imports."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[1] for name in names if name.startswith("cisgrammar.")}


def test_rules_name_the_modules_they_use():
    """`code=library(...)` lists just the modules that the rule's script imports, and those that they import."""
    common = (ROOT / "workflow/rules/common.smk").read_text()
    groups = {name: re.search(rf"^{name} = \((.*?)\)", common, re.M)[1] for name in ("NETWORKS", "ENGINE")}
    for rules in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?=\s*rule )", rules.read_text(), flags=re.M):
            script = re.search(r"scripts/(\w+)\.py", rule)
            if not script or rules.name == "common.smk":
                continue
            listed = re.search(r"library\((.*?)\)", rule, re.S)[1]
            for name in ("ENGINE", "NETWORKS"):
                listed = listed.replace(f"*{name}", groups[name])
            named = set(re.findall(r'"(\w+)"', listed))
            used, new = set(), imported(ROOT / f"workflow/scripts/{script[1]}.py")
            while new:
                used |= new
                new = set().union(*(imported(ROOT / f"workflow/scripts/cisgrammar/{m}.py") for m in new)) - used
            assert named == used, script[1]


def test_same_seed_same_bytes(demo, tmp_path):
    """A second run in another folder draws the same negatives and ends with the same weights."""
    second = tmp_path / "second"
    for part in ("resources", "results/peaks"):
        shutil.copytree(demo / part, second / part)
    targets = [
        "results/negatives/myeloid/NRF1/negatives.bed",
        "results/training/myeloid/NRF1/model.safetensors",
    ]
    done = snakemake(second, *targets, "--rerun-triggers", "mtime", config={})
    assert done.returncode == 0, said(done)[-3000:]
    for target in targets:
        assert (second / target).read_bytes() == (demo / target).read_bytes(), target


def test_channels_go_from_tracks_to_predictions(demo, tmp_path):
    """Accessibility of the cell type as a fifth row and the position as a sixth; sequences alone are refused in one line."""
    second, (sequences, regions) = tmp_path / "second", (tmp_path / "in.fa", tmp_path / "in.bed")
    for part in ("resources", "results/peaks/erythroid/SPI1", "results/negatives/erythroid/SPI1"):
        shutil.copytree(demo / part, second / part)
    sequences.write_text(">one\n" + "ACGTTGCAAC" * 20 + "\n")
    regions.write_text("sim1\t50000\t50200\tplace\n")
    config = {
        "sequences": {
            "channels": {"accessible": "resources/simulation/accessible/{cell_type}.bed"},
            "position_channel": True,
        },
        "training": {"members": 1, "filters": 8, "epochs": 1},
        "interpretation": {"windows": 10, "shuffles": 2},
        "predict": [{"name": "bed", "file": str(regions)}, {"name": "fasta", "file": str(sequences)}],
    }
    predicted, explained = (f"results/{stage}/erythroid/SPI1" for stage in ("predict", "interpretation"))
    arguments = [f"{predicted}/bed.tsv", f"{explained}/contributions.h5", "--rerun-triggers", "mtime"]
    done = snakemake(second, *arguments, config=config)
    assert done.returncode == 0, said(done)[-3000:]
    model = json.loads((second / "results/training/erythroid/SPI1/model.json").read_text())
    (channel,) = model["channels"]
    assert channel["name"] == "accessible" and 0 < channel["mean"] < 1 and 0 < channel["sd"] <= 0.5
    assert (model["network"]["channels"], model["encoding"]["position_channel"]) == (6, True)
    assert pd.read_csv(second / predicted / "bed.tsv", sep="\t")["score"].between(0, 1).all()
    refused = snakemake(second, f"{predicted}/fasta.tsv", "--rerun-triggers", "mtime", config=config)
    assert refused.returncode != 0
    assert re.search(r"^Error: \S+in\.fa: the model also reads accessible .* give a BED file", said(refused), re.M)


@pytest.mark.parametrize("config", ["yeast", "encode"])
def test_example_configs_are_sound(config, tmp_path, shared):
    arguments = ["--config", f"mirror={shared / 'yeast'}"] if config == "yeast" else []
    done = snakemake(tmp_path / "run", "-n", *arguments, configfile=ROOT / "config" / f"{config}.yaml")
    assert planned(done)["train_model"] >= 3


@pytest.mark.parametrize("mappability", [None, "track.bedGraph", 50])
def test_mappability_is_measured_when_asked_for(mappability, tmp_path):
    """With a length of reads; a track is taken as it is, and without either there is none."""
    track = tmp_path / "track.bedGraph"
    track.touch()
    setting = str(track) if mappability == track.name else mappability
    done = snakemake(tmp_path / "run", "-n", "resources/genome/store", config={"references": {"mappability": setting}})
    assert planned(done).get("measure_mappability", 0) == (mappability == 50)
    (inputs,) = re.findall(r"rule encode_genome:\n +input: ([^\n]+)", said(done))
    assert ("resources/genome/mappability.npy" in inputs) == (mappability == 50)
    assert (str(track) in inputs) == (mappability == track.name)


def test_every_stage_is_a_target(tmp_path):
    first, later = "references peaks negatives sequences training search transfer", "evaluation interpretation motifs"
    for stage in f"{first} {later} predict variants design report summary export".split():
        done = snakemake(tmp_path / "run", "-n", stage)
        assert done.returncode == 0, said(done)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"training": {"learning_rat": 0.1}}, ["training.learning_rat", "did you mean learning_rate"]),
        ({"training": {"filters": "many"}}, ["training.filters", "'many' is not of type 'integer'"]),
        ({"negatives": {"ratio": -1}}, ["negatives.ratio"]),
        ({"search": {"space": {"filter": [8]}}}, ["search.space: filter", "did you mean filters"]),
        ({"search": {"space": {"filters": [0, 8]}}}, ["search.space: filters", "0 is less than the minimum of 1"]),
        ({"references": {"mappability": 5}}, ["references.mappability", "5 is less than the minimum of 10"]),
        ({"samples": "nowhere.tsv"}, ["nowhere.tsv", "missing"]),
        ({"design": [{"name": "a", "bound": ["erythroid/NONE"]}]}, ["design: a: erythroid/NONE is no experiment"]),
        (
            {"design": [{"name": "a", "bound": ["erythroid/CTCF"], "unbound": ["erythroid/CTCF"]}]},
            ["design: a", "named more than once"],
        ),
        ({"design": [{"name": "a", "bound": ["erythroid/CTCF"], "start": "no.fa"}]}, ["design: a", "no.fa is missing"]),
        (
            {"sequences": {"channels": {"open": "no/{cell_type}.bw"}}},
            ["sequences.channels: open", "erythroid.bw", "missing"],
        ),
        ({"references": {"genome": "https://example.org/genome.fa"}, "mirror": "nowhere"}, ["mirror", "genome.fa.gz"]),
        ({"references": {"genome": "https://example.org/g.fa"}}, ["references.genome_checksum", "g.fa", "write md5"]),
        ({"genomes": {"mm10": {"genome": "mm10.fa"}}}, ["the simulated genome stands alone"]),
        ({"genomes": {"mm10": {"mappability": 50}}}, ["genomes.mm10", "name its FASTA file"]),
        ({"predict": [{"name": "a", "file": "a.fa", "genome": "mm10"}]}, ["predict: a: genome mm10 is not among"]),
        ({"variants": {"vcf": "a.vcf", "genome": "mm10"}}, ["variants.genome: genome mm10 is not among"]),
        ({"genomes": {"mm10": {"genome": "mm10.fa", "splitz": {}}}}, ["genomes.mm10.splitz", "did you mean splits"]),
    ],
)
def test_bad_settings_stop_at_once(config, words, tmp_path):
    done = snakemake(tmp_path / "run", "-n", config=config)
    assert done.returncode != 0
    assert all(word in said(done) for word in words), said(done)


def test_search(again, demo):
    """The settings as they are come first; what was found can be named after one's own settings."""
    quick = {"training": {"members": 1, "epochs": 3, "filters": 32}, "search": {"trials": 3}}
    done = again("results/search/erythroid/SPI1/best.yaml", **quick)
    assert done.returncode == 0, said(done)
    trials = pd.read_csv(demo / "results/search/erythroid/SPI1/trials.tsv", sep="\t")
    assert trials["filters"][0] == 32 and trials["trial"].tolist() == [1, 2, 3] and trials["best"].sum() == 1
    assert trials["validation_auprc"].idxmax() == trials["best"].idxmax()
    best = yaml.safe_load((demo / "results/search/erythroid/SPI1/best.yaml").read_text())
    assert best["training"]["filters"] == trials["filters"][trials["best"].idxmax()]
    assert planned(again("-n", **best))["train_model"] == len(EXPERIMENTS)
    assert not (demo / "results/search/erythroid/SPI1/trials.partial.json").exists()


HEADER = "cell_type\ttf\treplicate\ttreatment\tcontrol\tpeaks\tbatch\n"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("K562\tGATA1\t1\tnowhere.bam\t\t\t\n", ["row 2", "nowhere.bam is missing"]),
        ("K562\tGATA1\t1\t\t\t{bed}\t\nK562\tGATA1\t1\t\t\t{bed}\t\n", ["row 3", "is there already", "row 2"]),
        ("K562\tGATA 1\t1\t\t\t{bed}\t\n", ["row 2", "tf"]),
        ("K562\tGATA1\t1\t{bam}\t\t\t\n", ["row 2", "samtools index"]),
        ("K562\tGATA1\t1\t\t\t\t\n", ["row 2", "either a treatment"]),
        ("K562\tGATA1\t1\t{bed}\t\t{bed}\t\n", ["row 2", "either a treatment"]),
        ("", ["no row"]),
    ],
)
def test_bad_rows_stop_at_once(rows, words, tmp_path):
    bed, bam = tmp_path / "peaks.bed", tmp_path / "reads.bam"
    bed.write_text("chr1\t1\t2\n")
    bam.write_bytes(b"")
    table = tmp_path / "samples.tsv"
    table.write_text(HEADER + rows.format(bed=bed, bam=bam))
    done = snakemake(tmp_path / "run", "-n", config={"samples": str(table)})
    assert done.returncode != 0
    assert all(word in said(done) for word in [*words, "samples.tsv"]), said(done)


def test_bad_bam_leaves_earlier_results(again, demo, tmp_path):
    """A truncated replacement of a BAM file stops the run with its row; peaks and model of before are still there."""
    bam = tmp_path / "cut.bam"
    whole = (demo / "resources/simulation/reads/myeloid_NRF1_1.bam").read_bytes()
    bam.write_bytes(whole)
    pysam.index(str(bam))
    bam.write_bytes(whole[: len(whole) // 2])
    samples = (ROOT / "config/demo.tsv").read_text()
    table = tmp_path / "samples.tsv"
    table.write_text(samples.replace("resources/simulation/reads/myeloid_NRF1_1.bam", str(bam)))
    kept = [
        demo / "results/peaks/myeloid/NRF1/called.narrowPeak",
        demo / "results/peaks/myeloid/NRF1/peaks.bed",
        demo / "results/training/myeloid/NRF1/model.safetensors",
    ]
    before = [path.read_bytes() for path in kept]
    checked = demo / "results/peaks/myeloid/NRF1/inputs.json"
    saved, times = checked.read_bytes(), checked.stat()
    done = again("results/training/myeloid/NRF1/model.safetensors", samples=str(table))
    assert done.returncode != 0
    line = next(line for line in said(done).splitlines() if "cut short" in line)
    assert str(bam) in line and "samples.tsv, row" in line and "copy it again" in line
    assert [path.read_bytes() for path in kept] == before
    checked.write_bytes(saved)
    os.utime(checked, (times.st_atime, times.st_mtime))
