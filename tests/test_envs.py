"""The conda environment of each rule holds what its script reaches, nothing more, in the versions that pip installs."""

import ast
import re
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
DISTRIBUTIONS = packages_distributions()
PROGRAMS = {"pybedtools": {"bedtools"}}  # packages that call programs which they do not bring


def name_of(requirement):
    """Name of a package as indices compare names: `pyBigWig>=0.3; extra == "x"` is pybigwig."""
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def parts(tree):
    """Top-level functions and classes of a parsed file by name, and under "" the statements that an import runs."""
    named = {node.name: [node] for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return {**named, "": [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]}


def imports(nodes):
    """Imports of statements: set of modules, and a dict from local name to (module of cisgrammar, name in it)."""
    modules, names = set(), {}
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
            if node.module.startswith("cisgrammar."):
                names |= {alias.asname or alias.name: (node.module.split(".")[1], alias.name) for alias in node.names}
    return modules, names


def calls(nodes):
    """Programs looked for by name (`shutil.which("macs3")`) in statements."""
    found = [inner for outer in nodes for inner in ast.walk(outer) if isinstance(inner, ast.Call)]
    return {
        call.args[0].value
        for call in found
        if isinstance(call.func, ast.Attribute) and call.func.attr == "which" and isinstance(call.args[0], ast.Constant)
    }


def versions_asked(nodes):
    """Distributions whose version is looked up: those in the constant PACKAGES."""
    for node in nodes:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PACKAGES":
            return set(ast.literal_eval(node.value))
    return set()


def needs(script):
    """Conda packages that a script needs, through the functions of cisgrammar that it reaches.

    An import inside a function counts when the function is reached: some runs of a rule then need the package.
    """
    trees = {"script": parts(ast.parse(script.read_text()))}
    trees["script"] = {"": [node for nodes in trees["script"].values() for node in nodes]}
    todo, done, modules, programs = [("script", "")], set(), set(), versions_asked(trees["script"][""])
    while todo:
        module, name = place = todo.pop()
        if module not in trees:
            trees[module] = parts(ast.parse((SCRIPTS / f"cisgrammar/{module}.py").read_text()))
        if place in done or name not in trees[module]:
            continue
        done.add(place)
        nodes = trees[module][name]
        found, names = imports(nodes)
        modules |= found
        programs |= calls(nodes)
        todo += [(other.split(".")[1], "") for other in found if other.startswith("cisgrammar.")]
        names |= imports(trees[module][""])[1]
        used = {node.id for outer in nodes for node in ast.walk(outer) if isinstance(node, ast.Name)}
        todo += [names.get(word, (module, word)) for word in used]
    tops = {module.split(".")[0] for module in modules}
    packages = {name_of(DISTRIBUTIONS[top][0]) for top in tops if top in DISTRIBUTIONS}
    return packages | programs | set().union(*(PROGRAMS.get(package, set()) for package in packages))


def rules():
    """Rules with an action: list of (name, text)."""
    texts = [text for path in sorted((ROOT / "workflow/rules").glob("*.smk")) for text in split(path.read_text())]
    return [text for text in texts if re.search(r"^\s+(script|shell|run|notebook|wrapper):", text[1], re.M)]


def split(text):
    """Rules of a file, as (name, text)."""
    return re.findall(r"^ *(?:rule|checkpoint) (\w+):\n(.*?)(?=^ *(?:rule|checkpoint) |\Z)", text, re.M | re.S)


def environment(name):
    """Packages of envs/NAME.yaml: dict of those from conda, dict of those from pip, name to version."""
    listed = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())["dependencies"]
    conda = dict(item.split("=") for item in listed if isinstance(item, str) and item != "pip")
    pip = dict(item.split("==") for entry in listed if isinstance(entry, dict) for item in entry["pip"])
    return conda, pip


def environment_of(rule):
    return re.search(r'conda:\n\s+"\.\./\.\./envs/(\w+)\.yaml"', rule)[1]


def script_of(rule):
    return SCRIPTS / re.search(r"scripts/(\w+\.py)", rule)[1]


LOCK = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))


def test_every_rule_names_an_environment():
    assert len(rules()) > 15
    for name, text in rules():
        assert re.search(r"^\s+conda:$", text, re.M), name
        assert "script:" in text, f"{name}: programs of a shell: are not looked at here"
        assert environment_of(text) in ENVIRONMENTS
    assert {environment_of(text) for _, text in rules()} == set(ENVIRONMENTS)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule[0])
def test_environment_is_enough(rule):
    name, text = rule
    conda, pip = environment(environment_of(text))
    missing = needs(script_of(text)) - set(conda) - set(pip)
    assert not missing, f"envs/{environment_of(text)}.yaml lacks {missing} for {name}"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_holds_nothing_stale(name):
    """A package is there for a script, or because one from pip needs it, which would else fetch any version of it."""
    conda, pip = environment(name)
    used = set().union(*(needs(script_of(text)) for _, text in rules() if environment_of(text) == name))
    wanted = {name_of(line) for package in pip for line in requires(package) or () if "extra ==" not in line}
    assert set(conda) | set(pip) <= used | wanted | {"python"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_versions_are_those_of_the_lock(name):
    conda, pip = environment(name)
    assert conda.pop("python") == "3.11"
    conda.pop("bedtools", None)  # a program, not on PyPI
    assert {**conda, **pip} == {package: LOCK[package] for package in {**conda, **pip}}
    channels = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())["channels"]
    assert channels == ["conda-forge", "bioconda", "nodefaults"]


def test_needs_are_found():
    """What the test itself relies on: imports at the top, in functions that are reached and not, programs, versions."""
    assert {"torch", "h5py", "pybigwig"} <= needs(SCRIPTS / "extract_sequences.py")
    negatives = needs(SCRIPTS / "match_negatives.py")
    assert "scikit-learn" in negatives and "torch" not in negatives
    assert {"macs3", "pyfaidx"} <= needs(SCRIPTS / "call_peaks.py")
    assert "bedtools" in needs(SCRIPTS / "prepare_genome.py")
    assert {"tangermeme", "memelite"} <= needs(SCRIPTS / "write_report.py")
