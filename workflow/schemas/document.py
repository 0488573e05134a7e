"""Writes config/config.yaml and the tables of config/README.md from the schemas: `python workflow/schemas/document.py`.

A test fails when they are not what this script writes.
"""

import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HEAD = """\
# Settings of cisgrammar, one section per stage in the order of the stages. What stands here describes the embedded demo and
# is the default, so a file of your own needs only what differs: often three lines,
#
#   samples: config/samples.tsv
#   references:
#     genome: /data/genome.fa
#
# Relative paths start from the folder of the Snakefile, here, in the table of experiments and on the command line alike.
# Only resources/simulation/... names files that the demo makes in the run's own folder.
# Run it with: snakemake --cores 2 [--directory runs/NAME] [--configfile config/NAME.yaml]
samples: config/samples.tsv  # Table of the experiments, one row per replicate; its columns are explained in README.md.
"""


def load(name):
    return yaml.safe_load((ROOT / "workflow" / "schemas" / f"{name}.schema.yaml").read_text())


def scalar(value):
    return yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).removesuffix("\n...\n").strip()


def entry(key, schema, indent):
    """Lines of one setting: its description as a comment, then its default."""
    space = " " * indent
    comment = textwrap.wrap(schema["description"], 116 - indent)
    lines = [f"{space}# {line}" for line in comment]
    if schema.get("properties"):
        settings = {name: inner for name, inner in schema["properties"].items() if "default" in inner}
        lines.append(f"{space}{key}:" if settings else f"{space}{key}: {{}}")
        for inner, inner_schema in settings.items():
            lines += entry(inner, inner_schema, indent + 2)
    elif isinstance(schema["default"], list | dict) and schema["default"] and not isinstance(schema["default"], list):
        lines.append(f"{space}{key}:")
        lines += [f"{space}  {k}: {scalar(v)}" for k, v in schema["default"].items()]
    elif isinstance(schema["default"], list) and schema["default"] and isinstance(schema["default"][0], dict):
        lines.append(f"{space}{key}:")
        lines += [f"{space}  - {scalar(item)}" for item in schema["default"]]
    else:
        lines.append(f"{space}{key}: {scalar(schema['default'])}")
    return lines


def config():
    lines = []
    for key, schema in load("config")["properties"].items():
        if key != "samples":
            lines += ["", *entry(key, schema, 0)]
    return HEAD + "\n".join(lines) + "\n"


def kind(schema):
    """Type and range of a setting in words."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    words = schema["type"] if isinstance(schema["type"], str) else " or ".join(schema["type"])
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    return " ".join([words, ", ".join(limits)]).strip()


def rows(properties, prefix=""):
    for key, schema in properties.items():
        if schema.get("properties"):
            yield from rows(schema["properties"], f"{prefix}{key}.")
        else:
            default = f"`{scalar(schema['default'])}`" if "default" in schema else ""
            yield f"| `{prefix}{key}` | {kind(schema)} | {default} | {schema['description']} |".replace("<TAB>", "TAB")


def readme():
    """config/README.md with its two tables renewed; the text around the markers is written by hand."""
    text = (ROOT / "config" / "README.md").read_text()
    head = "| setting | type, range | default | meaning |\n| --- | --- | --- | --- |\n"
    for name in ("samples", "config"):
        start, end = f"<!-- {name}: from the schema -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        after = rest.split(end)[1]
        text = before + start + head + "\n".join(rows(load(name)["properties"])) + "\n" + end + after
    return text


if __name__ == "__main__":
    (ROOT / "config" / "config.yaml").write_text(config())
    (ROOT / "config" / "README.md").write_text(readme())
