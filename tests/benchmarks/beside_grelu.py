"""Training speed beside gReLU's trainer: the same architecture, batch and windows; by hand.

    python tests/benchmarks/beside_grelu.py PYTHON

PYTHON is the interpreter of an environment of its own with gReLU (pip install gReLU). 128 filters of 19 bp, ReLU, the
largest value of each, one output; 12,800 random windows of 200 bp in batches of 64, shifted by up to 10 bp, either strand
by chance; one thread, or a GPU where torch sees one. The two take turns; what a start costs drops out, as the rate is that
of two further passes.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N, WINDOW_BP, FLANK_BP, BATCH, ROUNDS = 12_800, 200, 10, 64, 3


def rate(train):
    """Windows/s of two passes, as the difference between three passes and one."""
    seconds = []
    for epochs in (1, 3):
        began = time.perf_counter()
        train(epochs)
        seconds.append(time.perf_counter() - began)
    return 2 * N / (seconds[1] - seconds[0])


def theirs():
    import numpy as np
    import pandas as pd
    import torch
    from grelu.data.dataset import DFSeqDataset
    from grelu.lightning import LightningModel

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGT"), WINDOW_BP + 2 * FLANK_BP)) for _ in range(N)]
    table = pd.DataFrame({"sequence": sequences, "bound": (np.arange(N) % 6 == 0).astype(float)})
    data = DFSeqDataset(table, seq_len=WINDOW_BP, rc=True, max_seq_shift=FLANK_BP, augment_mode="random", seed=1)
    held_out = DFSeqDataset(table[:64], seq_len=WINDOW_BP)
    shape = {"stem_channels": 128, "stem_kernel_size": 19, "n_conv": 0, "final_pool_func": "max", "n_tasks": 1}
    device = 0 if torch.cuda.is_available() else "cpu"

    def train(epochs):
        settings = {"task": "binary", "loss": "bce", "lr": 1e-3, "batch_size": BATCH, "num_workers": 0}
        settings |= {"devices": device, "logger": None, "max_epochs": epochs, "save_dir": tempfile.mkdtemp()}
        model = LightningModel({"model_type": "ConvModel", **shape}, settings)
        model.train_on_dataset(data, held_out)

    return rate(train)


def ours():
    import numpy as np
    import yaml

    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root / "workflow" / "scripts"))
    from cisgrammar.architectures import build_network
    from cisgrammar.engine import fit
    from cisgrammar.training import set_up

    rng, fabric = np.random.default_rng(1), set_up("auto", 1, 1)
    codes = rng.integers(0, 4, (N, WINDOW_BP + 2 * FLANK_BP)).astype(np.uint8)
    label, rows = (np.arange(N) % 6 == 0).astype(np.uint8), {"window_bp": WINDOW_BP, "flank_bp": FLANK_BP}
    data = {"codes": codes, "label": label, "weight": np.ones(N, np.float32), "task": np.zeros(N, int), **rows}
    held_out = {**data, "codes": codes[:64, FLANK_BP:-FLANK_BP], "label": label[:64], "task": data["task"][:64]}
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())["training"]
    shape = {"filters": 128, "filter_bp": 19, "hidden": 0, "dropout": 0.0, "first_layer": "free", "strands": "augment"}

    def train(epochs):
        settings = {**config, "epochs": epochs, "batch_size": BATCH, "negatives_per_positive": 9, "learning_rate": 1e-3}
        fit(build_network("shallow", **shape), data, held_out, settings, fabric, rng, "train")

    return rate(train)


def main(python):
    rates = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for side, program in (("ours", sys.executable), ("theirs", python)):
            done = subprocess.run([program, __file__, "--side", side], capture_output=True, text=True, check=True)
            rates[side].append(float(done.stdout.split()[-1]))
            print(side, f"{rates[side][-1]:.0f} windows/s", flush=True)
    a, b = (statistics.median(rates[side]) for side in rates)
    print(f"cisgrammar {a:.0f} windows/s, gReLU {b:.0f} windows/s: {a / b:.2f} times")


if __name__ == "__main__":
    if sys.argv[1] == "--side":
        print({"ours": ours, "theirs": theirs}[sys.argv[2]]())
    else:
        main(sys.argv[1])
