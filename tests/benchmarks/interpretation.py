"""Time and memory of contributions and of the search for motifs: `python tests/benchmarks/interpretation.py [WINDOWS ...]`.

Each step is a process of its own. Contributions: DeepLIFT/SHAP of random windows of 1 kb with 20 shuffles each, the default
network with random weights, for as many windows as are given, by default 4 and 20. Motifs: seqlets and clusters, and
TF-MoDISco, of 2,000 and of 10,000 windows of 1 kb, of which each has a site on either strand that contributes, among noise.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))
from cisgrammar.interpretation import contributions
from cisgrammar.layers import one_hot
from cisgrammar.model import untrained_network, use_threads
from cisgrammar.modisco import find_patterns
from cisgrammar.motifs import find_motifs

ROOT = Path(__file__).resolve().parents[2]
WINDOW_BP = 1000
SETTINGS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SITE = np.array([3, 2, 0, 1, 3, 1, 0, 2, 1], dtype=np.uint8)


def measure_contributions(n):
    training = {name: SETTINGS["training"][name] for name in ("filters", "filter_bp", "hidden", "members")}
    network = untrained_network({"architecture": SETTINGS["training"]["architecture"], "channels": 5, **training}, 1)
    codes = np.random.default_rng(1).integers(0, 4, (n, WINDOW_BP)).astype(np.uint8)
    shuffles = SETTINGS["interpretation"]["shuffles"]
    contributions(network, codes, shuffles, 1, np.inf, encoding={"position_channel": True})


def simulate(n):
    """Codes of windows with a site each, and float32 (windows, 4, bases) what each base would contribute."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (n, WINDOW_BP)).astype(np.uint8)
    values = rng.normal(0, 0.02, (n, 4, WINDOW_BP)).astype(np.float32)
    for row, at in enumerate(rng.integers(0, WINDOW_BP - len(SITE), n)):
        site = SITE if rng.random() < 0.5 else 3 - SITE[::-1]
        place = slice(at, at + len(SITE))
        values[row, :, place] += (one_hot(site).numpy() - 0.25) * rng.uniform(0.5, 1.5)
        codes[row, place] = site
        codes[row, at + rng.integers(len(SITE))] = rng.integers(4)
    return codes, values


def measure_motifs(n):
    (codes, values), settings = simulate(n), SETTINGS["motifs"]
    values *= one_hot(codes).numpy()
    found = find_motifs(values, codes, settings["seqlet_p"], settings["minimum_sites"], settings["maximum"])
    assert len(found) >= 1


def measure_modisco(n):
    (codes, values), settings = simulate(n), SETTINGS["motifs"]
    assert find_patterns(values, codes, settings["seqlets"], settings["minimum_sites"])


STEPS = {"contributions": measure_contributions, "motifs": measure_motifs, "modisco": measure_modisco}


def peak_gb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def run(step, n):
    """Measure a step in this process and print what it took beyond the imports."""
    use_threads(1)
    before, began, used = peak_gb(), time.perf_counter(), time.process_time()
    STEPS[step](n)
    print(
        f"{step} of {n} windows: {time.perf_counter() - began:.1f} s ({time.process_time() - used:.1f} s of a processor), "
        f"{peak_gb():.2f} GB at most, {before:.2f} GB with imports",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        run(sys.argv[1], int(sys.argv[2]))
    else:
        asked = [("contributions", int(n)) for n in sys.argv[1:] or ("4", "20")]
        more = [(step, n) for step in ("motifs", "modisco") for n in (2000, 10_000)]
        for step, n in [*asked, *more]:
            subprocess.run([sys.executable, __file__, step, str(n)], check=True)
