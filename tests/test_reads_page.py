"""What the report says of reads and replicates, and what it draws."""

import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from cisgrammar.reads_page import cross_correlations, describe_reads, draw_reads, two_replicates

PAIR = {
    "a": "1",
    "b": "NA",
    "n_a": 60,
    "n_b": 50,
    "n_shared": 40,
    "correlation": 0.5,
    "threshold": 0.05,
    "n_passing": 12,
}
FIT = {"mu": 2.0, "sigma": 1.0, "rho": 0.5, "p": 0.5, "gain": 30.0}
READS = {"role": "treatment", "replicate": "1", "format": "BED", "fragment_bp": 200.0, "read_bp": 50.0, "flags": ""}


def put(folder, **tables):
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.tsv", sep="\t", index=False)


def svg(uri):
    text = unquote(uri.removeprefix("data:image/svg+xml,"))
    assert text.startswith("<?xml") and len(text) < 200_000
    return text


@pytest.fixture
def folder(tmp_path):
    """Tables of an experiment with two files of reads and replicates 1 and NA."""
    rng = np.random.default_rng(1)
    score = rng.lognormal(2, 1, 45)
    idr = np.sort(rng.random(45))
    idr[:12], idr[12:], idr[40:] = 0.01, 0.3, np.nan
    peaks = {
        "chrom": "NA",
        "start": 1,
        "end": 9,
        "score_1": score,
        "score_NA": np.where(np.isnan(idr), np.nan, score),
        "idr": idr,
    }
    put(
        tmp_path,
        quality=[
            READS | {"flags": "NRF 0.6 < 0.8: acceptable; usable fragments 9 < 10"},
            READS | {"role": "control", "replicate": "1, NA", "flags": "x"},
        ],
        correlation=[
            {"role": role, "replicate": name, "format": "BED", "shift": shift, "smoothed": 1 / (1 + shift)}
            for role, name in (("treatment", "1"), ("control", "1, NA"))
            for shift in range(300)
        ],
        agreement=[PAIR | {"a": "0", "n_passing": 3} | FIT, PAIR | FIT],
        replicates=peaks,
        support={"chrom": ["NA", "2", "2"], "start": 1, "end": 2, "replicate_1": [1, 1, 0], "replicate_NA": [1, 0, 1]},
    )
    return tmp_path


def test_description(folder):
    found = describe_reads(folder, {"quality", "agreement", "support"})
    assert [row["replicate"] for row in found["quality"]] == ["1", "1, NA"]
    assert [(row["a"], row["b"]) for row in found["pairs"]] == [("0", "NA"), ("1", "NA")]
    assert found["supported"] == [0, 2, 1]
    assert found["flags"] == ["reads: NRF 0.6 < 0.8: acceptable"]
    assert describe_reads(folder, set()) == {"quality": [], "pairs": [], "supported": [], "flags": []}


def test_replicates_without_a_reproducible_peak_are_flagged(folder):
    put(folder, agreement=[PAIR | FIT | {"n_passing": 0}, PAIR | FIT | {"n_passing": 0}])
    assert describe_reads(folder, {"agreement"})["flags"] == ["replicates do not agree: no peak with IDR ≤ 0.05"]


def test_figures(folder):
    drawn = draw_reads(folder, describe_reads(folder, {"quality", "agreement"}))
    assert (drawn["best_pair"]["a"], drawn["best_pair"]["b"]) == ("1", "NA")
    assert svg(drawn["replicates_figure"])
    figure = drawn["correlation_figure"]
    assert figure["n_panels"] == len(figure["data"]) == 2 and len(figure["layout"]["shapes"]) == 4
    assert draw_reads(folder, describe_reads(folder, {"quality", "agreement"})) == drawn
    nothing = {"correlation_figure": None, "replicates_figure": None, "best_pair": None}
    assert draw_reads(folder, None) == draw_reads(folder, describe_reads(folder, {"support"})) == nothing


def test_no_figure_of_replicates_that_share_too_few_peaks(folder):
    put(folder, agreement=[PAIR | dict.fromkeys(FIT, np.nan) | {"n_passing": 0}])
    assert draw_reads(folder, describe_reads(folder, {"agreement"}))["replicates_figure"] is None


def test_cross_correlation_of_a_file_of_which_nothing_is_known(folder):
    """Reads on one strand: no curve, no fragment length."""
    table = pd.DataFrame({"role": "treatment", "replicate": "$x", "shift": range(100), "smoothed": np.nan})
    row = READS | {"replicate": "$x", "fragment_bp": np.nan, "read_bp": np.nan}
    figure = cross_correlations(table, [row | {"replicate": "<b>"}, row])
    assert figure["layout"]["shapes"] == [] and set(figure["data"][1]["y"]) == {None}
    assert figure["layout"]["annotations"][0]["text"] == "<b>treatment &lt;b&gt;</b>"


@pytest.mark.parametrize("n_passing", [0, 1, 40])
def test_two_replicates_at_the_edges(n_passing):
    """No peak passes, as where none has an idr; one; all, with a score of zero, so that axes are not logarithmic."""
    peaks = np.column_stack([np.arange(40.0), np.arange(40.0), np.full(40, np.nan if n_passing == 0 else 0.5)])
    peaks[:n_passing, 2] = 0.01
    assert svg(two_replicates(peaks, PAIR | {"n_passing": n_passing}))


def test_many_peaks_make_a_small_figure():
    rng = np.random.default_rng(1)
    peaks = np.column_stack([rng.lognormal(2, 1, (200_000, 2)), rng.random(200_000)])
    text = svg(two_replicates(peaks, PAIR))
    assert len(re.findall("<image", text)) <= 4
