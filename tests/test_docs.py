"""What the documents quote is in the code, what they link to is there, and their commands are known to Snakemake and make."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").glob("*.md"))
BLOCKS = [block for path in DOCUMENTS for block in re.findall(r"^ *```bash\n(.*?)```", path.read_text(), re.M | re.S)]
COMMANDS = sorted(
    {re.split(r"\s#", line)[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()}
)


def test_quoted_errors_are_in_the_code():
    places = [*(ROOT / "workflow/scripts/cisgrammar").glob("*.py"), *(ROOT / "workflow/rules").glob("*.smk")]
    # Strings over several lines are joined, as Python does.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in places))
    quoted = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(quoted) > 10
    assert [words for words in quoted if words not in code] == []


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_rules_of_make_are_there():
    targets = {
        word for line in COMMANDS for word in re.findall(r"^make ([a-z-]+)|&& make ([a-z-]+)", line) for word in word
    }
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test", "lint", "docs"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets - {""})


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python workflow/scripts/")])
def test_our_programs_know_their_options(command):
    """The program is there, and knows the options that the documents give it."""
    _, script, *words = shlex.split(command)
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(word in done.stdout for word in words if word.startswith("--"))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("snakemake") and "..." not in c])
def test_commands_of_snakemake_are_planned(command, tmp_path, request):
    """A dry run of each, where `mine` is a copy of the demo and FOLDER holds the yeast data."""
    if "FOLDER" in command:
        command = command.replace("FOLDER", str(request.getfixturevalue("shared") / "yeast"))
    words = shlex.split(command.replace("config/mine.yaml", "config/demo.yaml"))[1:]
    words[words.index("--directory") + 1] = str(tmp_path / "run")
    done = subprocess.run([sys.executable, "-m", "snakemake", *words, "-n"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
