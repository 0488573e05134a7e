from cisgrammar.log import start_log

start_log(snakemake.log[0])
from importlib.metadata import version
from pathlib import Path

import cisgrammar
import yaml
from cisgrammar.report import write_report
from plotly.offline import get_plotlyjs

PACKAGES = ("torch", "tangermeme", "memelite", "scikit-learn", "numpy", "pandas", "h5py", "matplotlib", "plotly")
provenance = {
    "config": yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True),
    "versions": {"cisgrammar": cisgrammar.__version__, **{name: version(name) for name in PACKAGES}},
    "seed": snakemake.params.config["seed"],
    "sources": snakemake.params.config["transfer"]["sources"],
    "rules": Path(snakemake.input.rules).read_text(),
}
write_report(
    [tuple(key) for key in snakemake.params.experiments],
    "results",
    snakemake.output.report,
    provenance,
    snakemake.input.template,
    snakemake.input.splits,
    {name: [tuple(key) for key in keys] for name, keys in snakemake.params.measured.items()},
    get_plotlyjs(),
    snakemake.params.config["evaluation"]["block_bp"],
    snakemake.output.overview,
    snakemake.params.designs,
)
