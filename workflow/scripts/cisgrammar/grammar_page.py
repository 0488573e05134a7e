"""The report on the gates of contributions and on pairs of motifs of one experiment: tables, flags and a figure."""

from cisgrammar.page import read_table
from cisgrammar.scores_page import between, line, panels

GATES = {
    "deletion": "replacing the bases that contribute most lowers the score more than random ones (share of windows)",
    "randomisation": "contributions of a network with randomised weights are others (correlation)",
    "sites": "known sites contribute more than other bases (AUROC)",
}
ARRANGEMENTS = {  # of the second motif, read on the strand of the first; Okabe and Ito's colours
    "downstream_same": ("downstream, same strand", "#0072B2", "solid"),
    "downstream_opposite": ("downstream, opposite strand", "#D55E00", "dash"),
    "upstream_same": ("upstream, same strand", "#009E73", "dashdot"),
    "upstream_opposite": ("upstream, opposite strand", "#666666", "dot"),
}
KEYS = ["a", "b", "arrangement"]
N_PAIRS = 6


def describe_gates(folder):
    """Gates of one experiment: (rows of gates.tsv as dicts with what they ask for in words, flags of those that failed).

    folder: results/interpretation/<cell_type>/<tf>
    """
    rows = read_table(folder / "gates.tsv", ("gate",)).to_dict("records")
    rows = [row | {"words": GATES[row["gate"]]} for row in rows]
    flags = [f"contributions fail the gate of {row['gate']}" for row in rows if row["passed"] == 0]
    return rows, flags


def describe_pairs(folder, names):
    """Pairs of motifs of one experiment, the most regular spacing first, as dicts with what the network makes of them.

    folder: results/motifs/<cell_type>/<tf>; names: dict of motif id to its name in the report
    A dict has the columns of pairs.tsv, name_a, name_b, words (the arrangement), and model: of pairs in insertions.tsv the
    row with the largest interaction and its words, of the others None.
    """
    pairs = read_table(folder / "pairs.tsv", KEYS)
    inserted = read_table(folder / "insertions.tsv", KEYS)
    found = []
    for row in pairs.head(N_PAIRS).to_dict("records"):
        rows = inserted[(inserted["a"] == row["a"]) & (inserted["b"] == row["b"])]
        model = rows.loc[rows["interaction"].idxmax()].to_dict() if len(rows) else None
        if model:
            model["words"] = ARRANGEMENTS[model["arrangement"]][0]
        named = {f"name_{key}": names.get(row[key], row[key]) for key in "ab"}
        found.append(row | named | {"words": ARRANGEMENTS[row["arrangement"]][0], "model": model})
    return found


def draw_pair(folder, a, b):
    """How often two motifs lie how far apart (left), and what the network makes of them beyond each alone (right)."""
    spacing, inserted = (read_table(folder / f"{name}.tsv", KEYS) for name in ("spacing", "insertions"))
    data = []
    for kind, (words, color, dash) in ARRANGEMENTS.items():
        found, made = (
            table[(table["a"] == a) & (table["b"] == b) & (table["arrangement"] == kind)]
            for table in (spacing, inserted)
        )
        data.append(line(found["gap"], found["count"], words, color, dash))
        data.append(line(made["gap"], made["interaction"], words, color, dash, 2))
        data.append(between(*made[["gap", "low", "high"]].to_numpy().T, words, color, 2))
    titles = ["In the windows", "To the network"]
    layout = panels(titles, "bases between the two", ["pairs of sites", "interaction (logit)"], 0.12)
    return {"data": data, "layout": layout}
