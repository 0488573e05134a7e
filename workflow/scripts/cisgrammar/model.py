"""Networks: how they are built, saved, loaded and asked."""

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cisgrammar.files import atomic, read_json, write_json
from cisgrammar.layers import GlobalMaxPool, MotifDetectors, one_hot, reverse_complement


class Network(nn.Module):
    """Motif detectors, their best match anywhere in the sequence, one hidden layer, one head per task; some of a kind.

    After DeepBind (Alipanahi et al. 2015, Nature Biotechnology 33:831), with centred filters. It consists of `members`
    such networks that differ in their start alone and are averaged, since on a few hundred peaks the start decides what a
    single one finds. Zero padding equals unknown bases, so sequences of any length can be scored.

    filters, filter_bp, hidden, dropout, hidden_dropout, members: see the configuration; tasks: number of heads
    """

    def __init__(self, filters, filter_bp, hidden, dropout, hidden_dropout, members=1, tasks=1):
        super().__init__()
        self.trunks = nn.ModuleList(
            nn.Sequential(
                MotifDetectors(filters, filter_bp),
                GlobalMaxPool(),
                nn.Flatten(),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(filters, hidden),
                nn.ReLU(),
                nn.Dropout(hidden_dropout),
            )
            for _ in range(members)
        )
        self.heads = nn.ModuleList(nn.Linear(hidden, tasks) for _ in range(members))

    @property
    def detectors(self):
        """The first layers of all members, a list of MotifDetectors."""
        return [trunk[0] for trunk in self.trunks]

    def member_logits(self, sequences):
        """Logits (members, windows, tasks) of one-hot sequences (windows, 4, bases), read on the given strand only."""
        return torch.stack([head(trunk(sequences)) for trunk, head in zip(self.trunks, self.heads, strict=True)])

    def forward(self, sequences):
        """Mean logits of the members, (windows, tasks), of one-hot sequences (windows, 4, bases) as they are read."""
        return self.member_logits(sequences).mean(dim=0)


def both_strands(network, sequences):
    """Mean of the logits of both strands, (windows, tasks); the same for a sequence and its reverse complement."""
    return (network(sequences) + network(reverse_complement(sequences))) / 2


def score(network, codes, batch_size=512):
    """Logits of both strands for uint8 codes (windows, bases), as a float32 array (windows, tasks)."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        logits = [
            both_strands(network, one_hot(torch.as_tensor(codes[i : i + batch_size]).to(device))).cpu()
            for i in range(0, len(codes), batch_size)
        ]
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
