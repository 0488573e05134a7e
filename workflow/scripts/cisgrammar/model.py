"""Networks: how they are built, saved, loaded and asked."""

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cisgrammar.files import atomic, read_json, write_json
from cisgrammar.layers import MemberLinear, MotifDetectors, encode


class Network(nn.Module):
    """Motif detectors, one hidden layer and a head with one output per task; `members` of them, averaged.

    After DeepBind (Alipanahi et al. 2015, Nature Biotechnology 33:831), with centred filters that read both strands, so
    a sequence and its reverse complement score alike. The members differ in their start alone; on a few hundred peaks the
    start decides what a single network finds. Zero padding equals unknown bases, so any length can be scored.

    filters, filter_bp, hidden, dropout, hidden_dropout, members: see the configuration; tasks: number of outputs;
    channels: rows of the input, of which the first four are A C G T
    """

    def __init__(self, filters, filter_bp, hidden, dropout, hidden_dropout, members=1, tasks=1, channels=4):
        super().__init__()
        self.trunk = nn.Sequential(
            MotifDetectors(members, filters, filter_bp, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            MemberLinear(members, filters, hidden),
            nn.ReLU(),
            nn.Dropout(hidden_dropout),
        )
        self.head = MemberLinear(members, hidden, tasks)

    @property
    def detectors(self):
        """The first layer."""
        return self.trunk[0]

    def member_logits(self, sequences):
        """Logits (windows, members, tasks) of encoded sequences (windows, channels, bases)."""
        return self.head(self.trunk(sequences))

    def forward(self, sequences):
        """Mean logits of the members, (windows, tasks), of encoded sequences (windows, channels, bases)."""
        return self.member_logits(sequences).mean(dim=1)


def score(network, codes, channels=None, encoding=None, batch_size=512):
    """Logits of windows, as a float32 array (windows, tasks).

    codes: uint8 (windows, bases); channels: float (windows, channels, bases) or None; encoding: settings of `encode`
    """
    device = next(network.parameters()).device
    network.eval()
    logits = []
    with torch.inference_mode():
        for i in range(0, len(codes), batch_size):
            rows = slice(i, i + batch_size)
            more = None if channels is None else channels[rows]
            logits.append(network(encode(codes[rows], more, device, **encoding or {})).cpu())
    return torch.cat(logits).numpy()


def probability(logits):
    """Logistic function of a float array."""
    return 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))


def choose_device(wanted):
    """`cpu` or `cuda` for the configuration's auto, cpu or cuda.

    Raises RuntimeError when a GPU is asked for and torch sees none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"device: cuda is set, but torch {torch.__version__} sees no GPU; install the CUDA build of torch (see the "
            "README), check `nvidia-smi`, or set device: cpu"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def save_model(network, description, weights, settings):
    """Write the weights (safetensors) and the description (dict) with the network's own settings (JSON)."""
    with atomic(weights) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, temporary)
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    write_json({**description, "n_parameters": n_parameters}, settings)


def load_model(weights, settings):
    """(network, description) as written by `save_model`, the network in evaluation mode on the CPU."""
    description = read_json(settings)
    network = Network(**description["network"])
    network.load_state_dict(load_file(weights))
    return network.eval(), description
