"""Draws how the rules follow from each other into rules.svg, which the report shows: `python workflow/report/draw_rules.py`.

The picture is of the demo, whose plan Snakemake gives (`--rulegraph`); a test fails when it is not what this script writes.
"""

import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH, BOX, HIGH, STEP = 880, 138, 24, 52


def rule_graph():
    """Rules of the demo: dict of a rule to the rules whose files it reads, without those that others of them read, too."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "--rulegraph", "--configfile", "config/demo.yaml"]
        done = subprocess.run([*command, "--directory", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', done.stdout))
    before = {name: set() for name in names.values() if name != "all"}
    for source, target in re.findall(r"(\d+) -> (\d+)", done.stdout):
        if names[target] != "all":
            before[names[target]].add(names[source])

    @cache
    def behind(rule):
        return set().union(before[rule], *(behind(source) for source in before[rule]))

    return {rule: {s for s in sources if not any(s in behind(o) for o in sources)} for rule, sources in before.items()}


def draw(before):
    """The graph as SVG, sources above what follows from them."""

    @cache
    def depth(rule):
        return 1 + max((depth(source) for source in before[rule]), default=-1)

    place = {}
    for level in range(max(map(depth, before)) + 1):
        rules = sorted(rule for rule in before if depth(rule) == level)
        rules.sort(key=lambda rule: sum(place[s][0] for s in before[rule]) / max(1, len(before[rule])))
        for i, rule in enumerate(rules):
            place[rule] = (WIDTH * (i + 0.5) / len(rules), 16 + level * STEP)
    height = max(y for _, y in place.values()) + 16
    words = "Graph of the rules; below each rule stand those that read its files."
    lines = [f'<svg class="peak" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">']
    for rule, (x, y) in place.items():
        for x0, y0 in sorted(place[source] for source in before[rule]):
            path = f"M{x0:.0f} {y0 + 12}C{x0:.0f} {y0 + 34} {x:.0f} {y - 34} {x:.0f} {y - 12}"
            lines.append(f'<path d="{path}" fill="none" stroke="#8a949e"/>')
    for rule, (x, y) in place.items():
        box = f'x="{x - BOX / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{BOX}" height="{HIGH}"'
        lines.append(f'<rect {box} rx="4" fill="#f5f7f9" stroke="#525c66"/>')
        lines.append(f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{rule}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    (ROOT / "workflow/report/rules.svg").write_text(draw(rule_graph()))
