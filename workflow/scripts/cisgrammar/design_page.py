"""The report on designed sequences."""

from cisgrammar.page import read_table


def describe_designs(folder, name):
    """Designs of one name: a list of dicts, the columns of designs.tsv and models, the rows of scores.tsv.

    folder: results/design; name: of the entry in the section `design`
    """
    designs = read_table(folder / name / "designs.tsv", ("design", "sequence")).to_dict("records")
    scores = read_table(folder / name / "scores.tsv", ("design", "model"))
    return [row | {"models": scores[scores["design"] == row["design"]].to_dict("records")} for row in designs]
