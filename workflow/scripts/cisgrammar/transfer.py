"""Transfer: a trunk learns from the other experiments, then its copy is fitted to the target."""

import pandas as pd

from cisgrammar.architectures import build_network
from cisgrammar.engine import fit
from cisgrammar.log import InputError


def check_chromosomes(description, chromosomes):
    """Raise InputError when a pre-trained model saw validation or test chromosomes of the target in training.

    description: model.json of the pre-trained model; chromosomes: dict of split to chromosome names of the target
    """
    seen = set(description["chromosomes"]["train"])
    for split in ("validation", "test"):
        shared = sorted(seen & set(chromosomes[split]))
        if shared:
            raise InputError(
                f"the pre-trained model was trained on {', '.join(shared)}, {split} chromosomes of the target; "
                "pre-train it again with these splits"
            )


def take_trunk(pretrained, built):
    """A new network for one task, whose trunk has the weights of a pre-trained one; built: see `build_network`."""
    network = build_network(**built)
    network.trunk.load_state_dict(pretrained.trunk.state_dict())
    return network


def fine_tune(network, train, validation, settings, head_epochs, learning_rate_ratio, fabric, rng, checkpoint=None):
    """Fit the head on a frozen trunk, then all weights at a lower learning rate.

    Arguments as for `engine.fit`; head_epochs: most epochs of the first phase; learning_rate_ratio: learning rate of
    the second phase as a share of the first. Each phase keeps weights as `fit` does, and the start of
    the second phase competes in it. After Novakovsky et al. 2021, Genome Biology 22:280, who do not freeze.
    Returns the history of both phases.
    """
    head = {**settings, "epochs": head_epochs}
    whole = {**settings, "learning_rate": settings["learning_rate"] * learning_rate_ratio}
    data = train, validation
    first = fit(network, *data, head, fabric, rng, "head", network.head.parameters(), checkpoint)
    second = fit(network, *data, whole, fabric, rng, "all", None, checkpoint)
    return pd.concat([first, second], ignore_index=True)
