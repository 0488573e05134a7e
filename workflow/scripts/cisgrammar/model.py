"""Networks: how they are saved, loaded and asked."""

import ctypes

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from cisgrammar.architectures import build_network
from cisgrammar.files import atomic, read_json, write_json
from cisgrammar.layers import encode

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def use_threads(n):
    """Let torch compute with n threads, and let this process keep memory that it has freed for its next arrays.

    glibc gives large arrays back to the system at once and takes zeroed pages for the next ones, which is a quarter of
    the time of a training step on a CPU and up to half of the time of scores and contributions.
    """
    torch.set_num_threads(n)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def score(network, codes, channels=None, encoding=None, batch_size=512, tasks=None):
    """Logits of windows, the mean of the members, as a float32 array (windows, tasks).

    codes: uint8 (windows, bases); channels: float (windows, channels, bases) or None; encoding: settings of `encode`
    tasks: int array (windows,), the one task that each window is scored for, which gives an array (windows,); default all
    """

    def ask(sequences, rows):
        if tasks is None:
            return network(sequences)
        some = torch.as_tensor(tasks[rows]).to(sequences.device)
        return network.head.chosen(network.features(sequences), some).mean(dim=1)

    return _ask(network, ask, codes, channels, encoding, batch_size)


def score_members(network, codes, channels=None, encoding=None, batch_size=512):
    """Logits of windows by each member, as a float32 array (windows, members, tasks); arguments as of `score`."""
    return _ask(network, lambda sequences, _: network.member_logits(sequences), codes, channels, encoding, batch_size)


def _ask(network, ask, codes, channels, encoding, batch_size):
    device = next(network.parameters()).device
    network.eval()
    logits = []
    with torch.inference_mode():
        for i in range(0, len(codes), batch_size):
            rows = slice(i, i + batch_size)
            more = None if channels is None else channels[rows]
            logits.append(ask(encode(codes[rows], more, device, **encoding or {}), rows).cpu())
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


def save_weights(state, path):
    """Write the weights of a state dict (safetensors)."""
    with atomic(path) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in state.items()}, temporary)


def save_model(network, description, weights, settings):
    """Write the weights (safetensors) and the description (dict) with the network's own settings (JSON)."""
    save_weights(network.state_dict(), weights)
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    write_json({**description, "n_parameters": n_parameters}, settings)


def join_members(networks, built):
    """One network with the members of all of them, and what `build_network` was told of it.

    networks: of the same shape, each built as `built` says; every weight has the members as its first axis
    """
    built = {**built, "members": built["members"] * len(networks)}
    states, joined = [network.state_dict() for network in networks], build_network(**built)
    joined.load_state_dict({name: torch.cat([state[name].cpu() for state in states]) for name in states[0]})
    return joined.eval(), built


def split_members(network, built):
    """The members of a network as networks of one member each, a list. built: what `build_network` was told of it."""
    state, found = network.state_dict(), []
    for i in range(built["members"]):
        member = build_network(**{**built, "members": 1})
        member.load_state_dict({name: values[i : i + 1] for name, values in state.items()})
        found.append(member.eval())
    return found


def untrained_network(built, seed):
    """A network as `built` says (see `build_network`) with the weights that training would start from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(**built).eval()


def load_model(weights, settings):
    """(network, description) as written by `save_model`, the network in evaluation mode on the CPU."""
    description = read_json(settings)
    network = build_network(**description["network"])
    network.load_state_dict(load_file(weights))
    return network.eval(), description
