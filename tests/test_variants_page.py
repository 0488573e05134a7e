"""What the report says of variants and designs, from small tables."""

import pytest
from cisgrammar.design_page import describe_designs
from cisgrammar.variants_page import describe_variants

HEAD = "row chrom pos id ref alt start aligned_ref aligned_alt model status ref_logit alt_logit delta"


def write(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(line) for line in (header.split(), *(row.split(",") for row in rows))) + "\n")


def test_variants_by_hand(tmp_path):
    """Of four alleles one has no score; the mean changes are -2, 0.5 and -1, and of the last the models disagree."""
    rows = []
    for model, deltas in (("cnn", (-3, 1, -4)), ("transfer", (-1, 0, 2))):
        rows += [
            f"{row},1,{row},{name},A,{alt},{row - 1},A,{alt},{model},ok,0,0,{delta}"
            for row, name, alt, delta in zip((1, 2, 2), ("NA", ".", "."), "CGT", deltas, strict=True)
        ]
        rows.append(f"3,x,3,.,A,C,-1,,,{model},unknown chromosome,,,")
    write(tmp_path / "variants.tsv", HEAD, *rows)
    found = describe_variants(tmp_path / "variants.tsv", n=2)
    assert (found["n_alleles"], found["unscored"]) == (4, {"unknown chromosome": 1})
    assert [(row["id"], row["alt"], row["delta"], row["agree"]) for row in found["top"]] == [
        ("NA", "C", -2, True),
        (".", "T", -1, False),
    ]
    assert found["top"][0]["models"] == {"cnn": -3, "transfer": -1} and found["top"][0]["chrom"] == "1"


def test_no_variant_has_a_score(tmp_path):
    write(tmp_path / "variants.tsv", HEAD, "3,x,3,.,A,C,-1,,,cnn,unknown chromosome,,,")
    assert describe_variants(tmp_path / "variants.tsv") == {
        "n_alleles": 1,
        "unscored": {"unknown chromosome": 1},
        "top": [],
    }


def test_designs_by_hand(tmp_path):
    write(tmp_path / "one/designs.tsv", "design edits sequence", "b_1,3,ACGT", "b_2,0,CCGT")
    write(tmp_path / "one/scores.tsv", "design model logit_after", "b_1,x/Y,1.5", "b_2,x/Y,2", "b_1,x/Z,-3")
    first, second = describe_designs(tmp_path, "one")
    assert (first["design"], first["edits"], first["sequence"]) == ("b_1", 3, "ACGT")
    assert [(row["model"], row["logit_after"]) for row in first["models"]] == [("x/Y", 1.5), ("x/Z", -3)]
    assert [row["logit_after"] for row in second["models"]] == [pytest.approx(2)]
