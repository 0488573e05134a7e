import base64
import html
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd
import pytest
from cisgrammar import overview_page, page, report, scores_page
from cisgrammar.contributions_page import picture
from cisgrammar.log import InputError
from cisgrammar.reads_page import describe_reads
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "workflow" / "report" / "report.html.jinja"
PROVENANCE = {
    "config": "seed: 7\nnote: <script>alert(1)</script> https://example.org",
    "versions": {"torch": "2.13.0"},
    "seed": 7,
    "rules": '<svg id="rules"></svg>',
}
LIBRARY = "window.Plotly = {newPlot: (place, data) => { place.dataset.traces = data.length; }};"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADDRESSES = ("src", "href", "action", "data", "poster", "srcset")
MATCHES = [
    ("motif_1", 143, "MA0139.2", "<b>x</b>", 1e-15, 1.25e-12, -2, "+"),
    ("motif_1", 143, "MA1929.1", "CTCFL", 0.0004, 0.0123, 0, "-"),
    ("motif_2", 31, "MA0001.1", "AGL3", 0.2, 0.9, 1, "+"),
]

SPLITS = ("train", "validation", "test")
READS = {
    "role": "treatment",
    "replicate": "1",
    "format": "BAM",
    "paired": False,
    "n_reads": 12_345_678,
    "n_distinct": 11_111_110,
    "duplicates": 0.1,
    "nrf": 0.9,
    "pbc1": 0.912,
    "pbc2": 10.26,
    "n_elsewhere": 5,
    "read_bp": 50,
    "fragment_bp": 201,
    "nsc": 1.349,
    "rsc": 1.02,
    "frip": 0.1234,
    "flags": "",
}
INPUT = READS | {
    "role": "control",
    "replicate": "<i>2</i>",
    "pbc2": np.inf,
    "rsc": np.nan,
    "nsc": 1.01,
    "flags": "NSC 1 < 1.05: weak enrichment",
}


def put(rows, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)


def put_model(folder, phases):
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "n_parameters": 12345,
        "window_bp": 120,
        "receptive_field_bp": 57,
        "seed": 7,
        "device": "cpu",
        "sources": ["b/B"],
    }
    (folder / "model.json").write_text(json.dumps(settings))
    rows = [
        {
            "phase": phase,
            "epoch": epoch,
            "train_loss": 1 / epoch if epoch else np.nan,
            "validation_loss": 1.2 / (epoch + 1),
            "validation_auprc": 0.2 * epoch,
            "learning_rate": 0.01,
            "kept": int(epoch == 2),
        }
        for phase in phases
        for epoch in range(4)
    ]
    put(rows, folder / "history.tsv")


def put_grammar(results, place, passed, found):
    """Gates, and one pair of motifs (none where `found` is False)."""
    gates = {"gate": ["deletion", "randomisation"], "value": [0.71, 0.13], "limit": [0.8, 0.5], "passed": passed}
    put(gates, results / "interpretation" / place / "gates.tsv")
    key = {"a": "motif_1", "b": "motif_2", "arrangement": "downstream_same"}
    numbers = {"n_a": 50, "n_b": 40, "n_both": 37, "expected": 33.3, "co_p": 0.1, "co_q": 0.1, "gap": 6, "count": 31}
    pair = key | numbers | {"count_expected": 2.5, "p": 0.005, "q": 0.015}
    rows = [key | {"gap": gap, "count": 31 * (gap == 6), "expected": 2.5} for gap in range(10)]
    made = {"gain": 2.0, "interaction": 0.1, "low": 0.0, "high": 0.2}
    inserted = [key | {"gap": gap} | made | ({"interaction": 1.52} if gap == 7 else {}) for gap in range(10)]
    for name, table in (("pairs", [pair]), ("spacing", rows), ("insertions", inserted)):
        table = pd.DataFrame(table)
        put(table if found else table[:0], results / "motifs" / place / f"{name}.tsv")


def put_experiment(
    results,
    cell_type,
    tf,
    matches=MATCHES,
    transfer=True,
    n_pos=40,
    smds=None,
    aurocs=(0.51, 0.52, 0.53),
    reads=(),
    drawn=1003,
    seed=1,
    passed=(1, 1),
):
    """Write the files of one experiment; return its rows of summary.tsv.

    smds: dict of covariate to its SMD after matching, default GC alone; aurocs: of separability.tsv, one per split
    reads: rows of quality.tsv; without rows there is no such file, as for ready peaks
    """
    place, rng = Path(cell_type) / tf, np.random.default_rng(seed)
    steps = {"peaks read": 950, "best summit within 100 bp": 812, "train": 612, "validation": 100, "test": 100}
    put([{"step": step, "n": n} for step, n in steps.items()], results / "peaks" / place / "counts.tsv")
    given = {
        "file": "reads.bam",
        "role": "treatment",
        "replicate": "1",
        "format": "BAM",
        "n": 4321,
        "sha256": "ab" * 32,
    }
    (results / "peaks" / place / "inputs.json").write_text(json.dumps([given]))
    if reads:
        put(reads, results / "peaks" / place / "quality.tsv")
        curves = [
            {
                **{name: row[name] for name in ("role", "replicate", "format")},
                "shift": shift,
                "smoothed": 1 / (50 + shift),
            }
            for row in reads
            for shift in range(300)
        ]
        put(curves, results / "peaks" / place / "correlation.tsv")
    balance = {
        "n_peaks": 100,
        "n_candidates": 5000,
        "n_negatives": 1003,
        "mean_peaks": 0.5,
        "mean_candidates": 0.4,
    }
    balance |= {
        "mean_negatives": 0.49,
        "smd_before": 0.8,
        "ks_before": 0.4,
        "ks_after": 0.05,
    }
    rows = [
        dict(split=split, covariate=covariate, **balance, smd_after=smd, negatives="matched")
        for split in SPLITS
        for covariate, smd in (smds or {"gc": 0.02}).items()
    ]
    put(rows, results / "negatives" / place / "balance.tsv")
    put({"split": SPLITS, "auroc": aurocs, "negatives": "matched"}, results / "negatives" / place / "separability.tsv")
    put(
        {"split": SPLITS, "wanted": 1003, "drawn": drawn, "negatives": "matched"},
        results / "negatives" / place / "draws.tsv",
    )
    put_model(results / "training" / place, ["train"])
    models = {"cnn": 3, "transfer": 2.5, "pwm": 1.5, "kmers": 1.4, "covariates": 0.2}
    if transfer:
        put_model(results / "transfer" / place / "from_related", ["head", "all"])
    else:
        del models["transfer"]
    label = np.repeat([1, 0], [n_pos, 360])
    scores = {model: rng.normal(size=len(label)) + gap * label for model, gap in models.items()}
    windows = {
        "chrom": "chr3",
        "start": np.arange(len(label)),
        "end": np.arange(len(label)) + 120,
        "label": label,
        "negatives": np.where(label == 1, "", "matched"),
    }
    put({**windows, **scores}, results / "evaluation" / place / "predictions.tsv")
    pairs = [
        {"model": "cnn", "other": other, "negatives": "matched", "difference": 0.3, "low": 0.1, "high": 0.5}
        for other in list(models)[1:]
    ]
    put(pairs, results / "evaluation" / place / "comparisons.tsv")
    bins = [{"n": 300, "predicted": 0.02, "observed": 0.03}, {"n": 100, "predicted": 0.4, "observed": 0.31}]
    calibrated = {model: {"temperature": 1.25, "before": bins, "after": bins} for model in models if model != "pwm"}
    (results / "evaluation" / place / "calibration.json").write_text(json.dumps(calibrated))
    columns = ["motif", "n_sites", "jaspar_id", "jaspar_name", "p", "q", "offset", "strand"]
    put(pd.DataFrame(matches, columns=columns).assign(better=1), results / "motifs" / place / "matches.tsv")
    filters = pd.DataFrame(matches, columns=["filter", *columns[1:]]).assign(better=[1, 1, 0][: len(matches)])
    put(filters.assign(source="windows"), results / "motifs" / place / "filters.tsv")
    for motif in {row[0] for row in matches}:
        logo = results / "motifs" / place / "logos" / f"{motif}.png"
        logo.parent.mkdir(exist_ok=True)
        logo.write_bytes(PIXEL)
    put_grammar(results, place, passed, bool(matches))
    with h5py.File(results / "interpretation" / place / "contributions.h5", "w") as file:
        values = np.zeros((3, 4, 120), dtype=np.float32)
        values[:, 2, 100:110] = 0.5
        values[:, 1, 10] = -0.2
        file["contributions"] = values
        file["chrom"] = ["chr3"] * 3
        file["start"], file["end"], file["score"] = [1000, 2000, 3000], [1120, 2120, 3120], [0.5, 4.25, 1.0]
    rows = []
    for model, score in scores.items():
        row = {
            "cell_type": cell_type,
            "tf": tf,
            "model": model,
            "negatives": "matched",
            "n_pos": n_pos,
            "n_neg": 360,
        }
        row["prevalence"] = n_pos / (n_pos + 360)
        for name, area in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
            value = area(label, score)
            row |= {name: value, f"{name}_low": value - 0.0321, f"{name}_high": min(1, value + 0.0123)}
        for i, name in enumerate(("precision_at_5_recall", "recall_at_10_fdr", "ece", "ece_scaled")):
            value = np.nan if name.startswith("ece") and model == "pwm" else 0.0357 + i / 300
            row |= {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.01}
        rows.append(row)
    return rows


def render(tmp_path, rows, name="report.html", measured=None, designs=(), genomes=("genome",)):
    """Write summary.tsv and splits.tsv of each genome, then the report of all experiments in `rows`; return its text.

    measured: as for `write_report`; default, the experiments with a quality.tsv
    """
    results = tmp_path / "results"
    put(rows, results / "summary.tsv")
    chromosomes = {"chr1": "train", "chr2": "validation", "chr3": "test", "chrM": "ignored"}
    splits = [{"chrom": chrom, "length_bp": 1_500_000, "split": split} for chrom, split in chromosomes.items()]
    paths = [tmp_path / genome / "splits.tsv" for genome in genomes]
    for path in paths:
        put(splits, path)
    experiments = list(dict.fromkeys((row["cell_type"], row["tf"]) for row in rows))
    if measured is None:
        measured = {
            "quality": [key for key in experiments if (results / "peaks" / key[0] / key[1] / "quality.tsv").exists()]
        }
    files = [tmp_path / name, PROVENANCE, TEMPLATE, paths]
    report.write_report(experiments, results, *files, measured, LIBRARY, 100, tmp_path / "overview.tsv", designs)
    return (tmp_path / name).read_text()


class Page(HTMLParser):
    """Tags, addresses, ids, images without words, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.ids, self.silent, self.words, self.open = [], [], [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "br", "input"):
            self.open.append(tag)
        self.addresses += [attributes[name] for name in ADDRESSES if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.silent += [tag] if tag == "img" and not attributes.get("alt") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def put_two(folder):
    results = folder / "results"
    rows = put_experiment(results, "NA", "CTCF", smds={"gc": 0.02, "<u>x</u>": -0.345}, reads=[READS, INPUT])
    return rows + put_experiment(results, "K562", "GATA1", seed=2)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Rows of summary.tsv and the report of two experiments, and their folder."""
    folder = tmp_path_factory.mktemp("two")
    rows = put_two(folder)
    return rows, render(folder, rows), folder


def test_page_is_whole_and_asks_for_nothing(two):
    text = two[1]
    page = Page(text)
    assert not page.open and not page.silent
    assert len(page.ids) == len(set(page.ids))
    outside = [a for a in page.addresses if not a.startswith("data:") and a[1:] not in page.ids]
    assert not outside
    assert page.tags.count("h1") == 1
    own = re.sub(r'"data:[^"]+"', "", text)
    assert "@import" not in own and "url(" not in own
    assert page.tags.count("table") == page.tags.count("caption")


def test_figures_are_json_and_say_the_same_in_words(two):
    """Curves, reliability, balance, a pair of motifs and two trainings of each experiment, and the reads of one."""
    found = re.findall(
        r'aria-label="([^"]+)"[^>]*><noscript>(.*?)</noscript><script type="application/json">(.*?)<', two[1]
    )
    assert len(found) == 2 * 6 + 1
    for label, words, figure in found:
        figure = json.loads(figure)
        assert label == words and figure["data"] and "xaxis" in figure["layout"]
        assert all(len(trace["x"]) == len(trace["y"]) for trace in figure["data"])


def test_numbers_stand_as_given(two):
    page = Page(two[1])
    for row in two[0]:
        assert f"{row['auprc']:.3f} ({row['auprc_low']:.3f}–{row['auprc_high']:.3f})" in page.text
        assert f"{row['auroc']:.3f} ({row['auroc_low']:.3f}–{row['auroc_high']:.3f})" in page.text
    assert "trained on 612 peaks of CTCF in NA and 1,003 matched windows" in page.text
    assert "On 400 unseen test windows, 10% of them peaks" in page.text
    assert "Its most frequent motif (143 sites) matches <b>x</b> MA0139.2 (q = 1.2e-12)" in page.text
    assert "31 sites; nearest is AGL3 MA0001.1" in page.text
    kept = "Kept were the weights of epoch 2 of the phase all , with a validation AUPRC of 0.400"
    assert f"Transfer: 6 epochs. {kept}" in page.text
    assert "Best: chr3 2040 2120 in the test peak chr3 2000 2120 , network score 4.25" in page.text
    assert "Worst: chr3 1040 1120 in the test peak chr3 1000 1120 , network score 0.50" in page.text
    assert "training 1.50 33.3% 1 chr1" in page.text and "chrM" not in page.text


def test_chromosomes_of_each_genome_are_listed(two):
    rows, _, folder = two
    page = Page(render(folder, rows, "genomes.html", genomes=("genome", "mm10")))
    assert "genome training 1.50 33.3% 1 chr1" in page.text and "mm10 training 1.50 33.3% 1 chr1" in page.text


def test_markup_in_names_and_config_is_text(two):
    text = two[1]
    assert "<b>x</b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text
    assert "<u>x" not in text and "&lt;u&gt;x&lt;/u&gt; not balanced" in text
    assert "<i>2</i>" not in text and "control &lt;i&gt;2&lt;/i&gt;" in text
    assert "alert(1)</script>" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; https://example.org" in text


def test_same_files_give_same_bytes(two):
    rows, text, folder = two
    assert render(folder, rows, "again.html") == text


def test_single_experiment_without_transfer(tmp_path):
    page = Page(render(tmp_path, put_experiment(tmp_path / "results", "K562", "CTCF", transfer=False)))
    assert "ransfer" not in page.text and "re-trained" not in page.text


def test_no_motif_is_said_in_words(tmp_path):
    page = Page(render(tmp_path, put_experiment(tmp_path / "results", "K562", "CTCF", matches=[])))
    assert "No motif was found in its contributions." in page.text
    assert "no motif found" in page.text
    assert "0 of 1" in page.text


def test_flags(tmp_path):
    results = tmp_path / "results"
    remarks = "NRF 0.6 < 0.8: acceptable; usable fragments 9 < 10,000,000: too few for a human genome"
    rows = put_experiment(
        results,
        "K562",
        "CTCF",
        matches=MATCHES[2:],
        n_pos=29,
        smds={"cpg": 0.09, "gc": -0.11, "tss": np.inf},
        aurocs=(0.59, 0.61, 0.7),
        reads=[READS | {"flags": remarks}],
    )
    compared = results / "evaluation/K562/CTCF/comparisons.tsv"
    table = pd.read_csv(compared, sep="\t")
    put(table.assign(low=np.where(table["other"] == "pwm", 0.0, 0.1)), compared)
    folder = tmp_path / "results"
    put(rows, folder / "summary.tsv")
    reads = describe_reads(folder / "peaks/K562/CTCF", {"quality"})
    entry = report.summarise("K562", "CTCF", folder, report.read_table(folder / "summary.tsv"), reads)
    flags = [text for _, text in entry["flags"]]
    assert flags == [
        "CNN not better than PWM",
        "fewer than 30 test peaks",
        "GC not balanced (|SMD| > 0.1) in training, validation, test",
        "distance to a TSS not balanced (|SMD| > 0.1) in training, validation, test",
        "covariates tell negatives from peaks in validation, test",
        "reads: NRF 0.6 < 0.8: acceptable",
        "no motif match at q < 0.01",
    ]
    page = Page(render(tmp_path, rows))
    assert all(flag in page.text for flag in flags)
    assert "the network is not better than PWM: the 95% interval" in page.text
    assert "matches no JASPAR matrix at q < 0.01; the nearest is AGL3 MA0001.1 (q = 0.9)" in page.text
    sound = put_experiment(results, "K562", "GATA1", n_pos=30, smds={"gc": 0.1, "cpg": -0.1}, aurocs=(0.6, 0.3, np.nan))
    assert report.summarise("K562", "GATA1", results, pd.DataFrame(sound))["flags"] == []


def flags_of(folder, tf, **given):
    """Flags of an experiment that is sound but for what is given."""
    rows = put_experiment(folder, "K562", tf, **given)
    reads = describe_reads(folder / "peaks" / "K562" / tf, {"quality"} if "reads" in given else set())
    return [text for _, text in report.summarise("K562", tf, folder, pd.DataFrame(rows), reads)["flags"]]


def test_flag_of_covariates_names_the_splits_and_takes_what_is_unknown_for_unbalanced(tmp_path):
    smds = {"cpg": np.nan, "gc": 0.1, "ca": -0.5, "gc_step": 0.2, "<b>dnase</b>": 0.2}
    rows = pd.DataFrame(put_experiment(tmp_path, "K562", "A", smds=smds))
    assert report.summarise("K562", "A", tmp_path, rows)["flags"] == [
        ("unbalanced", f"{name} not balanced (|SMD| > 0.1) in training, validation, test")
        for name in ("CpG", "CA", "GC dinucleotides", "<b>dnase</b>")
    ]
    path = tmp_path / "negatives" / "K562" / "A" / "balance.tsv"
    table = report.read_table(path)
    put(table.assign(smd_after=np.where((table["split"] == "test") & (table["covariate"] == "gc"), 0.2, 0)), path)
    assert report.summarise("K562", "A", tmp_path, rows)["flags"] == [
        ("unbalanced", "GC not balanced (|SMD| > 0.1) in test")
    ]


def test_failed_gates_are_flags(tmp_path):
    given = {"passed": (0, 1)}
    assert flags_of(tmp_path, "CTCF", **given) == ["contributions fail the gate of deletion"]


def test_pairs_stand_as_given(two, tmp_path):
    row = "37 33.3 downstream, same strand 6 31 2.5 0.005 downstream, same strand 7 1.52"
    assert row in " ".join(Page(two[1]).text.split())
    figures = re.findall(r'aria-label="Pairs of [^"]+"[^>]*><noscript>.*?</noscript><script[^>]*>(.*?)<', two[1])
    counts, interaction, band = json.loads(figures[0])["data"][:3]
    assert counts["x"] == list(range(10)) and counts["y"] == [0] * 6 + [31] + [0] * 3
    assert interaction["y"] == [0.1] * 7 + [1.52] + [0.1] * 2
    assert band["x"] == [*range(10), *range(9, -1, -1)] and band["y"] == [0.0] * 10 + [0.2] * 10
    page = Page(render(tmp_path, put_experiment(tmp_path / "results", "K562", "CTCF", matches=[])))
    assert "No motif was found, so there is no pair" in page.text


def test_a_pair_is_named_when_many_sites_have_its_spacing(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF")
    words = "lie 6 bp apart (downstream, same strand) more often than by chance: 31 pairs, 2.5 expected (q = 0.015)"
    assert words in " ".join(Page(render(tmp_path, rows)).text.split())
    pairs = tmp_path / "results/motifs/K562/CTCF/pairs.tsv"
    pairs.write_text(pairs.read_text().replace("\t31\t", "\t2\t"))
    assert "bp apart" not in Page(render(tmp_path, rows)).text


def test_motifs_by_other_routes_stand_as_given(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF")
    filters = "filters of the first layer, by the windows that excite them 2 1 <b>x</b> MA0139.2 1.0e-15 yes"
    whole = " ".join(Page(render(tmp_path, rows)).text.split())
    assert filters in whole and "TF-MoDISco" not in whole
    pattern = {
        "motif": "positive_1",
        "jaspar_id": "",
        "jaspar_name": "",
        "p": np.nan,
        "strand": "",
        "own": "",
        "better": 0,
    }
    put([pattern], tmp_path / "results/motifs/K562/CTCF/patterns.tsv")
    whole = " ".join(Page(render(tmp_path, rows, measured={"patterns": [("K562", "CTCF")]})).text.split())
    assert filters in whole and "patterns of TF-MoDISco 1 0 none" in whole


def test_remarks_on_the_treatment_alone_are_flags_and_each_one_once(tmp_path):
    reads = [
        READS | {"flags": "RSC 0.5 < 0.8: weak enrichment; PBC1 0.3 < 0.5: severe bottleneck"},
        READS | {"replicate": "2", "flags": "PBC1 0.3 < 0.5: severe bottleneck"},
        READS | {"replicate": "3", "flags": "usable fragments 12 < 10,000,000: too few for a human genome"},
        INPUT,
    ]
    assert flags_of(tmp_path, "A", reads=reads) == [
        "reads: PBC1 0.3 < 0.5: severe bottleneck",
        "reads: RSC 0.5 < 0.8: weak enrichment",
    ]
    assert flags_of(tmp_path, "B") == []


def test_quality_of_reads_stands_with_the_experiments_that_have_reads(two):
    whole = Page(two[1]).text
    reads, ready = whole.split("GATA1 in K562", 1)
    assert "Quality of the reads" in reads and "Quality of the reads" not in ready
    assert "treatment 1 12,345,678 10% 0.90 0.91 10.3 201 1.35 1.02 0.123 –" in reads
    remark = "NSC 1 < 1.05: weak enrichment"
    assert f"control <i>2</i> 12,345,678 10% 0.90 0.91 ∞ 201 1.01 n/a 0.123 {remark}" in reads
    assert f"reads: {remark}" not in whole


def test_quality_of_earlier_reads_is_not_shown_with_ready_peaks(tmp_path):
    """The table still lies there when ready peaks have taken the place of the reads."""
    rows = put_experiment(tmp_path / "results", "K562", "CTCF", reads=[READS | {"flags": "RSC 0.5 < 0.8: weak"}])
    assert "RSC 0.5" in render(tmp_path, rows)
    text = render(tmp_path, rows, measured={"quality": [("K562", "MAX")], "agreement": []})
    assert "RSC 0.5" not in text and "Quality of the reads" not in text


def test_replicates(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF")
    folder = tmp_path / "results/peaks/K562/CTCF"
    pair = {
        "a": "1",
        "b": "<i>2</i>",
        "n_a": 1234,
        "n_b": 1100,
        "n_shared": 3,
        "correlation": 0.4567,
        "threshold": 0.05,
    }
    put([pair | {"n_passing": 2, "gain": 20.0}], folder / "agreement.tsv")
    scores = {"score_1": [3.0, 2.0, 1.0], "score_<i>2</i>": [5.0, 4.0, 1.0], "idr": [0.01, 0.02, 0.9]}
    put({"chrom": "1", "start": 1, "end": 2, **scores}, folder / "replicates.tsv")
    put(
        {"chrom": "1", "start": 1, "end": 2, "replicate_1": [1, 1, 1], "replicate_2": [1, 0, 1]}, folder / "support.tsv"
    )
    experiments = [("K562", "CTCF")]
    text = render(tmp_path, rows, measured={"agreement": experiments, "support": experiments})
    page = Page(text)
    assert "1 and <i>2</i> 1,234 1,100 3 0.46 2" in page.text
    hold = (
        "2 hold a peak in 2 of 2 replicates, 1 holds a peak in 1 of 2 replicates, 0 hold a peak in 0 of 2 replicates."
    )
    assert f"Of the 3 windows, {hold}" in page.text
    assert not page.silent and not page.open
    assert page.text.count("Replicates 1 and <i>2</i>: scores of the peaks that both have") == 1
    (image,) = re.findall(r'src="data:image/svg\+xml,([^"]+)"', text)
    svg = unquote(html.unescape(image))
    assert ElementTree.fromstring(svg).tag.endswith("}svg") and "<dc:date>" not in svg
    addresses = re.findall(r'href="([^"]*)"', svg)
    assert addresses and [address for address in addresses if not address.startswith(("#", "data:"))] == []
    alone = Page(render(tmp_path, rows, measured={"support": experiments})).text
    assert hold in alone and "IDR" not in alone


def test_balance_of_every_covariate_and_separability_stand_as_given(two):
    text = Page(two[1]).text
    assert "training GC 100 5,000 1,003 0.500 0.400 0.490 0.800 0.020 0.400 0.050" in text
    assert "validation <u>x</u> 100 5,000 1,003 0.500 0.400 0.490 0.800 −0.345 0.400 0.050" in text
    assert text.count("0.510 (training), 0.520 (validation), 0.530 (test).") == 2


def test_fewer_negatives_than_asked_for_are_flagged(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF", drawn=(1003, 1003, 877))
    text = Page(render(tmp_path, rows)).text
    assert "877 of 1003 negatives in test" in text
    assert "negatives in training" not in text


def test_other_sets_of_negatives_have_a_table_of_their_own(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF")
    assert "against other negatives" not in Page(render(tmp_path, rows)).text
    others = [{**row, "negatives": "motif", "auprc": 0.4321, "n_neg": 77} for row in rows]
    text = Page(render(tmp_path, [*rows, *others])).text
    assert "sites of the JASPAR matrices without a peak 77" in text
    assert text.count("0.432") == len(rows)


def test_auroc_that_is_not_known(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF", aurocs=(0.612, 0.5, np.nan))
    text = Page(render(tmp_path, rows)).text
    assert "0.612 (training), 0.500 (validation), n/a (test)" in text
    assert "covariates tell negatives from peaks in training" in text


def test_overview_says_the_same_as_a_table(two):
    table = pd.read_csv(two[2] / "overview.tsv", sep="\t", keep_default_na=False)
    first, second = table.to_dict("records")
    rows = {(row["cell_type"], row["model"]): row for row in two[0]}
    assert (first["cell_type"], first["tf"], first["test_peaks"], first["jaspar_id"]) == ("NA", "CTCF", 40, "MA0139.2")
    assert first["auprc"] == pytest.approx(rows["NA", "cnn"]["auprc"], rel=1e-5)
    assert first["over_share"] == pytest.approx(rows["NA", "cnn"]["auprc"] / 0.1, rel=1e-5)
    assert first["take_care"].startswith("<u>x</u> not balanced") and second["take_care"] == ""
    best = max(("pwm", "kmers", "covariates"), key=lambda model: rows["K562", model]["auprc"])
    assert second["baseline"] == best and second["baseline_auprc"] == pytest.approx(
        rows["K562", best]["auprc"], rel=1e-5
    )


def test_table_as_text():
    table = pd.DataFrame(
        {"tf": ["A", "LONG"], "auprc": [0.12345, np.nan], "q": [0.0, 3.2e-7], "take_care": ["", "x; y"]}
    )
    lines = page.table_text(table).splitlines()
    assert lines == ["tf    auprc  q        take_care", "A     0.123  ≈ 0      -", "LONG  -      3.2e-07  x; y"]


def test_heat_map_by_hand():
    """A perfect ranking is the bright end of cividis, a random one the dark end; what was not run is empty."""
    entry = {"prevalence": 0.1, "anchor": "a.A", "cell_type": "a", "tf": "A"}
    grid = overview_page.heat_map([entry | {"lift": 10.0}, entry | {"lift": 0.9, "cell_type": "b", "tf": "B"}])
    assert grid["cell_types"] == ["a", "b"] and [row["tf"] for row in grid["rows"]] == ["A", "B"]
    bright, empty, _, dark = [cell for row in grid["rows"] for cell in row["cells"]]
    assert empty is None
    assert (bright["color"], bright["ink"]) == ("#fee838", "#000000")
    assert (dark["color"], dark["ink"]) == ("#00224e", "#ffffff")


def test_poor_calibration_is_flagged_when_it_is_sure(tmp_path):
    rows = put_experiment(tmp_path, "K562", "A")
    for low, flagged in ((0.051, True), (0.05, False), (np.nan, False)):
        table = pd.DataFrame(rows).assign(ece=0.06, ece_low=low)
        kinds = [kind for kind, _ in report.summarise("K562", "A", tmp_path, table)["flags"]]
        assert ("calibration" in kinds) == flagged


def test_run_times_and_inputs_stand_in_the_provenance(tmp_path):
    rows = put_experiment(tmp_path / "results", "K562", "CTCF")
    assert "no folder benchmarks" in Page(render(tmp_path, rows)).text
    for name, seconds, memory in (("CTCF", 30.25, 512.4), ("MAX", 61, "-")):
        put(
            [{"s": seconds, "h:m:s": "0:00:30", "max_rss": memory}],
            tmp_path / f"benchmarks/train_model/K562/{name}.tsv",
        )
    put([{"s": 2, "h:m:s": "0:00:02", "max_rss": 100}], tmp_path / "benchmarks/prepare_genome.tsv")
    text = Page(render(tmp_path, rows)).text
    assert "train_model 2 91.2 61.0 512 prepare_genome 1 2.0 2.0 100" in text
    assert "CTCF, K562 treatment 1 reads.bam BAM 4,321 abababababababab" in text


def test_bands_hold_the_curve():
    """Two blocks that are alike: every sample is the data, so the band is the curve itself."""
    label = np.tile([1, 0, 1, 0], 2)
    scores = np.tile([4.0, 3.0, 2.0, 1.0], 2)
    (low, high), (_, wide) = scores_page.bands(label, scores, np.repeat([0, 1], 4), 2)
    assert low == pytest.approx(high)
    assert low == pytest.approx(np.where(scores_page.GRID <= 0.5, 1, 2 / 3))
    assert wide[-1] == 1


def test_picture_of_contributions_by_hand():
    """200 bases, the third of the letters goes down: it hangs below the axis and is as high as its share of the scale."""
    values = np.zeros((4, 200))
    values[0, 60], values[3, 62] = 1.0, -0.25
    found = picture(values, 60, -0.25, 1.0)
    assert found["letters"] == [("A", 0.0, 44.0, 11.0, 88.0), ("T", 22.0, 154.0, 11.0, -22.0)]
    assert (found["zero"], found["shade"]) == (132.0, (264.0, 352.0))
    assert found["track"].split()[60] == "266.2,0.0" and found["track"].split()[0] == "2.2,28.8"


def test_the_drawn_rules_are_those_of_the_workflow(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "workflow/report")
    import draw_rules

    assert (ROOT / "workflow/report/rules.svg").read_text() == draw_rules.draw(draw_rules.rule_graph())


def test_variants_and_designs(tmp_path):
    rows = put_experiment(tmp_path / "results", "NA", "CTCF")
    variant = {"row": 1, "chrom": "chr3", "pos": 1234, "id": "<i>rs1", "ref": "A", "alt": "C", "model": "cnn"}
    variants = [variant | {"status": "ok", "delta": -1.5}, variant | {"row": 2, "status": "unknown chromosome"}]
    put(variants, tmp_path / "results/variants/NA/CTCF/variants.tsv")
    put([{"design": "one", "edits": 2, "sequence": "ACGT"}], tmp_path / "results/design/new/designs.tsv")
    scores = [{"design": "one", "model": "NA/CTCF", "wanted": 1, "logit_before": -2, "logit_after": 3.25, "reached": 1}]
    put(scores, tmp_path / "results/design/new/scores.tsv")
    text = render(tmp_path, rows, measured={"variants": [("NA", "CTCF")]}, designs=["new"])
    page = Page(text)
    assert "2 alleles; 1 without a score: unknown chromosome" in page.text
    assert "1,234 <i>rs1 A → C −1.500 yes" in page.text and "<i>rs1" not in text
    assert "one NA/CTCF bound −2.000 3.250 yes" in page.text
    without = Page(render(tmp_path, rows))
    assert "Variants" not in without.text and "Designed sequences" not in without.text


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("auprc", 0.123, "auprc of cnn is .*, but summary.tsv says 0.1230"),
        ("n_pos", 41, "40 peaks and 360 negatives, but summary.tsv says 41 and 360"),
        ("model", "rf", "no row for NA, CTCF, cnn"),
    ],
)
def test_files_that_disagree_stop(tmp_path, column, value, message):
    rows = put_experiment(tmp_path / "results", "NA", "CTCF")
    rows[0][column] = value
    with pytest.raises(InputError, match=message):
        render(tmp_path, rows)
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.parametrize(("p", "text"), [(0, "≈ 0"), (3.2e-7, "3.2e-07"), (0.01234, "0.0123"), (float("nan"), "n/a")])
def test_small_numbers(p, text):
    assert page.tiny(p) == text


def test_thin_keeps_ends_and_steps():
    x = np.array([0, 0.001, 0.002, 0.003, 0.5, 1.0])
    y = np.array([0, 0.001, 0.002, 0.003, 0.5, 1.0])
    assert scores_page.thin(x, y)[0].tolist() == [0, 0.003, 0.5, 1.0]
    assert scores_page.thin(x[:2], y[:2])[1].tolist() == [0, 0.001]


def test_baselines_that_are_not_beaten_are_named(tmp_path):
    """0 in the interval, an interval below 0 and an unknown one count as not better; other models' rows do not."""
    rows = [
        ("cnn", "pwm", "matched", -0.1, 0.2),
        ("cnn", "kmers", "matched", 0.001, 0.2),
        ("cnn", "covariates", "matched", -0.3, -0.2),
        ("cnn", "transfer", "matched", -0.3, -0.2),
        ("transfer", "kmers", "matched", -0.3, 0.2),
        ("cnn", "pwm", "motif", 0.1, 0.2),
        ("cnn", "kmers", "genome_wide", np.nan, np.nan),
    ]
    put(pd.DataFrame(rows, columns=["model", "other", "negatives", "low", "high"]), tmp_path / "comparisons.tsv")
    found = report.unbeaten_baselines(tmp_path / "comparisons.tsv")
    assert found == {"matched": ["PWM", "Covariates"], "genome_wide": ["k-mers"]}
