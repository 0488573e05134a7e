"""The report on transfer: what was delivered, that a loss is flagged, and the curve."""

import json

import pandas as pd
import pytest
from cisgrammar.curves import summarize
from cisgrammar.transfer_page import describe_transfer, draw_curve, transfer_fragment


@pytest.fixture
def folder(tmp_path):
    """Function that writes the files of a transfer model and returns their folder."""

    def write(auprc, delivered="transfer", tasks=(), weight="0.7"):
        model = {"delivered": delivered, "delivered_from": auprc, "source_tasks": list(tasks)}
        (tmp_path / "model.json").write_text(json.dumps(model))
        rows = f"source\ttrain_auprc\tweight\nx/A<b>\t0.5\t\nx/NA\t0.4\t{weight}\n"
        (tmp_path / "sources.tsv").write_text(rows)
        return tmp_path

    return write


def test_where_it_helps(folder):
    tasks = [{"source": "x/NA", "task": "x/NA", "before": 0.6, "after": 0.45}]
    tasks.append({"source": "x/B", "task": "x/B", "before": 0.6, "after": None})
    place = folder({"scratch": 0.3, "transfer": 0.4}, tasks=tasks)
    found = describe_transfer(place)
    assert found["flag"] is None
    assert [row["source"] for row in found["sources"]] == ["x/NA", "x/A<b>"]
    assert found["forgotten"]["after"] == 0.45
    text = transfer_fragment(place)
    assert "x/NA 0.400 (taken), x/A&lt;b&gt; 0.500." in text
    assert "went from 0.600 to\n0.450" in text
    assert "<figure>" not in text


def test_where_it_makes_it_worse(folder):
    text = transfer_fragment(folder({"scratch": 0.5, "transfer": 0.4, "both": 0.45}, "scratch"))
    assert "delivers the network trained from scratch" in text
    assert "Transfer made the network worse on the validation windows (AUPRC 0.400, from scratch 0.500)." in text


def test_without_a_relative(folder):
    text = transfer_fragment(folder({"scratch": 0.5}, "scratch", weight=""))
    assert "nothing was transferred" in text
    assert "taken" not in text


def test_no_model_no_text(tmp_path):
    assert transfer_fragment(tmp_path) == ""


def test_curve(folder):
    rows = [
        (size, seed, negatives, model, 0.3 + 0.01 * seed + 0.1 * (model == "transfer"))
        for size in (50, 100)
        for seed in (1, 2)
        for negatives in ("matched", "other_peaks")
        for model in ("scratch", "transfer")
    ]
    summary = summarize(pd.DataFrame(rows, columns=["n_peaks", "seed", "negatives", "model", "auprc"]))
    place = folder({"scratch": 0.3, "transfer": 0.4})
    summary.to_csv(place / "curve_summary.tsv", sep="\t", index=False)
    assert "Transfer still helps at 100 peaks" in transfer_fragment(place)
    panels = draw_curve(summary).axes
    assert [axes.get_title(loc="left") or axes.get_title() for axes in panels] == [
        "Negatives: matched",
        "Negatives: other_peaks",
    ]
    assert [line.get_xdata().tolist() for line in panels[0].lines[:2]] == [[50, 100]] * 2
    assert panels[0].lines[1].get_ydata().tolist() == pytest.approx([0.415, 0.415])
