"""Whole chromosomes dealt out to training, validation and test."""

import numpy as np
import pandas as pd
import pytest
from cisgrammar.log import InputError
from cisgrammar.splits import read_splits, split_chromosomes


def split(lengths, test=(), validation=(), shares=(0.2, 0.12), ignore=(), seed=1):
    rng = np.random.default_rng(seed)
    return split_chromosomes(lengths, list(test), list(validation), *shares, list(ignore), rng)


def parts(table):
    """Dict of split to the names of its chromosomes."""
    return {name: rows["chrom"].tolist() for name, rows in table.groupby("split")}


def test_split_by_names(tmp_path):
    table = split({"a": 5, "b": 4, "c": 3, "c_random": 1}, test=["b"], validation=["c"], ignore=["*_random"])
    assert table["chrom"].tolist() == ["a", "b", "c", "c_random"]
    assert table["length_bp"].tolist() == [5, 4, 3, 1]
    assert table["split"].tolist() == ["train", "test", "validation", "ignored"]
    table.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    pd.testing.assert_frame_equal(read_splits(tmp_path / "splits.tsv"), table)


def test_split_uses_a_named_chromosome_in_spite_of_the_patterns():
    table = split({"a": 5, "b": 4, "chrM": 3}, test=["chrM"], validation=["b"], ignore=["chrM"])
    assert table["split"].tolist() == ["train", "validation", "test"]


def test_split_reads_numbers_as_names(tmp_path):
    path = tmp_path / "splits.tsv"
    path.write_text("chrom\tlength_bp\tsplit\n1\t10\ttrain\n02\t5\ttest\n")
    assert read_splits(path)["chrom"].tolist() == ["1", "02"]


def test_split_draws_near_the_wanted_shares():
    # lengths in kb of the nuclear chromosomes of yeast
    lengths = dict(
        zip(
            [f"chr{i}" for i in range(1, 17)],
            [230, 813, 317, 1532, 577, 270, 1091, 563, 440, 746, 667, 1078, 924, 784, 1091, 948],
            strict=True,
        )
    )
    table = split(lengths | {"chrM": 86}, ignore=["chrM"])
    share = table.groupby("split")["length_bp"].sum() / sum(lengths.values())
    assert share["test"] == pytest.approx(0.2, abs=0.02)
    assert share["validation"] == pytest.approx(0.12, abs=0.02)
    assert parts(table)["ignored"] == ["chrM"]
    assert table["chrom"].is_unique and len(table) == 17


def test_split_is_seeded():
    lengths = {f"chr{i}": 100 + 13 * i for i in range(1, 20)}
    pd.testing.assert_frame_equal(split(lengths), split(lengths))
    assert any(split(lengths)["split"].ne(split(lengths, seed=seed)["split"]).any() for seed in (2, 3))


def test_split_draws_only_what_is_not_named():
    lengths = {f"chr{i}": 10 for i in range(1, 11)}
    drawn = parts(split(lengths, test=["chr3"]))
    assert drawn["test"] == ["chr3"]
    assert len(drawn["validation"]) == 1 and len(drawn["train"]) == 8


def test_split_gives_each_part_a_chromosome_of_a_small_genome():
    """Three chromosomes of one length are enough for three splits, whatever the shares."""
    drawn = parts(split({"a": 100, "b": 100, "c": 100}))
    assert {name: len(names) for name, names in drawn.items()} == {"test": 1, "train": 1, "validation": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(test=["chr9"]), "references.splits names chromosome 'chr9', which the genome lacks; it has a, b, c"),
        (dict(validation=["A"]), "names chromosome 'A', which the genome lacks"),
        (dict(test=["a"], validation=["a", "b"]), "references.splits: a cannot be in test and in validation"),
        (dict(test=["a", "c"], validation=["b"]), "no chromosome is left for train among 3 usable ones"),
        (dict(test=["a"], ignore=["b"]), "no chromosome is left for"),
    ],
)
def test_split_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=r"references\.") as caught:
        split({"a": 5, "b": 4, "c": 3}, **arguments)
    assert message in str(caught.value)


def test_split_where_every_chromosome_is_ignored():
    with pytest.raises(InputError, match="no chromosome is left for train and validation and test among 0"):
        split({"scaffold_1": 100, "scaffold_2": 50}, ignore=["scaffold_*"])
