"""Where the numbers of a run come from: its input files and the time that its rules took."""

import pandas as pd

from cisgrammar.files import read_json


def input_files(results, experiments):
    """The files that experiments were given: list of dicts cell_type, tf, role, replicate, file, format, n, sha256.

    results: folder of results; experiments: list of (cell_type, tf). What an earlier version did not write is None.
    """
    columns = ("role", "replicate", "file", "format", "n", "sha256")
    return [
        {"cell_type": cell_type, "tf": tf} | {name: row.get(name) for name in columns}
        for cell_type, tf in experiments
        for row in read_json(results / "peaks" / cell_type / tf / "inputs.json")
    ]


def run_times(folder):
    """What jobs took, by rule, the longest first: list of dicts rule, jobs, seconds (all jobs), longest_s, memory_mb.

    folder: benchmarks, as Snakemake writes them; empty where there are none. Memory is that of the largest job, nan where
    a job was too short to be measured.
    """
    tables = []
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        tables.append(pd.read_csv(path, sep="\t", usecols=["s", "max_rss"], na_values="-").assign(rule=rule))
    if not tables:
        return []
    jobs = pd.concat(tables).groupby("rule")
    table = jobs.agg(jobs=("s", "size"), seconds=("s", "sum"), longest_s=("s", "max"), memory_mb=("max_rss", "max"))
    return table.sort_values("seconds", ascending=False).reset_index().to_dict("records")
