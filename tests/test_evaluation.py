"""Tables of metrics and comparisons; the windows of the test chromosomes and their labels."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.evaluation import describe_calibration, evaluate, measure, scan, score_windows, tile_test
from cisgrammar.log import InputError


def example_windows(n, rng):
    labels = (rng.random(n) < 0.3).astype(np.uint8)
    chrom = np.repeat(["chr8", "chr9"], [n // 2, n - n // 2])
    windows = {"label": labels, "chrom": chrom, "start": np.arange(n, dtype=np.int64) * 100}
    return {**windows, "negatives": np.where(labels == 1, "", "matched")}, 1 / (
        1 + np.exp(rng.normal(0, 1, n) - labels.astype(float))
    )


def test_each_model_has_the_same_samples():
    windows, scores = example_windows(100, np.random.default_rng(3))
    models = {"cnn": scores, "pwm": scores.copy(), "kmers": 1 - scores}
    table, compared = evaluate(windows, models, {"cnn": 1.0, "kmers": 2.0}, 50, 1000, 4, ["cnn"])
    assert table["model"].tolist() == ["cnn", "pwm", "kmers"]
    assert table["negatives"].tolist() == ["matched"] * 3
    ranks = [name for name in table if name[:2] in ("au", "pr", "re", "n_")]
    assert table[ranks].iloc[0].equals(table[ranks].iloc[1])
    assert table["auroc"][2] == pytest.approx(1 - table["auroc"][0])
    assert (table["n_pos"] + table["n_neg"] == 100).all()
    assert table.loc[0, "ece"] == pytest.approx(table.loc[0, "ece_scaled"])
    assert table.loc[1, ["ece", "ece_low", "ece_scaled", "temperature"]].isna().all()
    assert list(zip(compared["model"], compared["other"], strict=True)) == [("cnn", "pwm"), ("cnn", "kmers")]
    assert compared.loc[0, ["difference", "low", "high"]].tolist() == [0, 0, 0]
    gap = table["auprc"][0] - table["auprc"][2]
    assert compared.loc[1, "difference"] == pytest.approx(gap)
    assert 0 < compared.loc[1, "low"] < gap < compared.loc[1, "high"]


def test_metrics_without_a_positive_are_not_known():
    windows = {"label": np.zeros(5), "chrom": ["chr1"] * 5, "start": np.arange(5)}
    table, compared = measure("matched", windows, {"cnn": np.linspace(0, 1, 5)}, {"cnn": 1.0}, 20, 1, 0, ["cnn"])
    row = table.iloc[0]
    assert (row["n_pos"], row["n_neg"], row["prevalence"]) == (0, 5, 0)
    assert row[["auprc", "auroc", "auprc_low", "ece_low"]].isna().all()
    assert row["ece"] == pytest.approx(0.5) and compared.empty


def test_each_set_of_negatives_is_scored_on_its_own_against_all_peaks():
    label = np.array([1, 1, 0, 0, 0, 0, 0])
    windows = {"label": label, "chrom": np.full(7, "chr8"), "start": np.arange(7) * 1000}
    windows["negatives"] = np.array(["", "", "matched", "matched", "matched", "motif", "motif"])
    one, other = np.array([3.0, 2, 1, 1, 1, 4, 2.5]), np.array([3.0, 0, 1, 1, 1, 4, 2.5])
    scores, members = {"cnn": one, "pwm": one}, {"cnn": np.stack([one, other], axis=1)}
    table, _ = evaluate(windows, scores, {}, 10, 1000, 0, members=members)
    assert table.loc[table["model"] == "pwm", ["auprc_worst_member", "auprc_best_member"]].isna().all(axis=None)
    table = table[table["model"] == "cnn"].set_index("negatives")
    assert table["n_neg"].to_dict() == {"matched": 3, "motif": 2}
    assert (table["n_pos"] == 2).all()
    assert table.loc["matched", "auroc"] == 1
    assert table.loc["motif", "auroc"] == pytest.approx(1 / 4)
    # the second member finds the second peak below three others: (1 + 2/5) / 2
    assert table.loc["matched", ["auprc_worst_member", "auprc_best_member"]].tolist() == pytest.approx([0.7, 1])
    assert table.loc["motif", ["auprc_worst_member", "auprc_best_member"]].tolist() == pytest.approx([0.5, 0.5])


def test_calibration_is_told_of_peaks_and_matched_negatives():
    windows = {"label": np.array([1, 0, 0]), "negatives": np.array(["", "matched", "motif"])}
    found = describe_calibration(windows, {"cnn": np.array([0.8, 0.2, 0.5]), "pwm": np.arange(3)}, {"cnn": 2.0})
    assert list(found) == ["cnn"] and found["cnn"]["temperature"] == 2
    assert [one["n"] for one in found["cnn"]["before"]] == [1, 1]
    assert found["cnn"]["after"][1] == {"n": 1, "predicted": pytest.approx(2 / 3), "observed": 1.0}


def bed(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"chrom": str, "start": int, "end": int})


@pytest.fixture
def genome(write_genome):
    sequences = {"chr1": "ACGT" * 25 + "N" * 20 + "ACGTACGTAC", "chr2": "ACGT" * 50, "chr3": "ACGTA"}
    splits = {"chrom": list(sequences), "length_bp": [130, 200, 5], "split": ["test", "train", "test"]}
    return pd.DataFrame(splits), write_genome(sequences)


def test_stretches_of_the_test_chromosomes_by_hand(genome):
    """Of 20 bp on chr1, from 10 on: the summit at 75 is in 70-90, its window reaches 65, the region 88-91 touches 90-110."""
    splits, store = genome
    windows, regions = bed(("chr1", 65, 85)), bed(("chr1", 60, 66), ("chr1", 88, 91))
    tiles = tile_test(splits, store, 20, 20, windows, regions, bed(("chr1", 31, 32)), 0.3)
    assert set(tiles["chrom"]) == {"chr1"}
    assert tiles["start"].tolist() == [10, 70]  # 30 is excluded, 50 and 90 hold a part of a peak
    assert tiles["label"].tolist() == [0, 1]
    plain = tile_test(splits, store, 20, 20, bed(), bed(), bed(), 1)
    assert plain["start"].tolist() == [10, 30, 50, 70, 90] and not plain["label"].any()
    with pytest.raises(InputError, match=r"of 0 stretches of 130 bp .* none has enough known"):
        tile_test(splits, store, 130, 130, bed(), bed(), bed(), 0.1)


def test_a_scan_takes_the_best_window_of_a_stretch(genome):
    """Windows of 20 bp with their middles at 2, 6, 10, 14 and 18 of the stretch; the score is the place of the window."""
    tiles, seen = bed(("chr1", 30, 50), ("chr1", 70, 90)), []

    def place(codes, channels, windows):
        seen.append(windows["start"].tolist())
        return -(np.abs(windows["start"].to_numpy() + 10.0 - 44))

    found = scan(tiles, 20, 4, genome[1], [], {"cnn": place})
    assert seen == [[30 + at - 10, 70 + at - 10] for at in (2, 6, 10, 14, 18)]
    assert found["cnn"].tolist() == [0, -28]


def test_windows_are_scored_some_at_a_time(genome, monkeypatch):
    monkeypatch.setattr("cisgrammar.evaluation.AT_ONCE", 45)
    seen = []

    def count(codes, channels, windows):
        assert channels is None and len(codes) == len(windows)
        seen.append(len(codes))
        return (codes == 4).sum(axis=1)

    windows = bed(*(("chr1", start, start + 20) for start in (0, 90, 100, 110, 20)))
    found = score_windows(windows, genome[1], [], {"a": count, "b": lambda codes, *_: codes[:, 0]})
    assert found["a"].tolist() == [0, 10, 20, 10, 0] and seen == [2, 2, 1]
    assert found["b"].tolist() == [0, 2, 4, 4, 0]


def test_channels_are_read_as_networks_are_to_see_them(genome, tmp_path):
    track = tmp_path / "track.bedGraph"
    track.write_text("chr1\t0\t10\t3\n")
    windows = bed(("chr1", 0, 20), ("chr1", 5, 25))
    tracks = [{"path": str(track), "mean": 1.0, "sd": 2.0}]
    found = score_windows(windows, genome[1], tracks, {"cnn": lambda codes, channels, _: channels[:, 0].sum(axis=1)})
    assert found["cnn"] == pytest.approx([10 * 1 - 10 * 0.5, 5 * 1 - 15 * 0.5])
