"""Transfer: a trunk learns from the other experiments, then its copy is fitted to the target."""

import pandas as pd

from cisgrammar.log import InputError
from cisgrammar.model import Network
from cisgrammar.training import fit


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


def take_trunk(pretrained, settings):
    """A new network for one task, whose trunk has the weights of a pre-trained one."""
    network = Network(**settings)
    network.trunk.load_state_dict(pretrained.trunk.state_dict())
    return network


def fine_tune(network, train, validation, settings, head_epochs, learning_rate_ratio, fabric, rng):
    """Fit the head on a frozen trunk, then all weights at a lower learning rate.

    Arguments as for `training.fit`; head_epochs: most epochs of the first phase; learning_rate_ratio: learning rate of
    the second phase as a share of the first. Each phase keeps weights as `fit` does, and the start of
    the second phase competes in it. After Novakovsky et al. 2021, Genome Biology 22:280, who do not freeze.
    Returns the history of both phases.
    """
    head = fit(
        network, train, validation, {**settings, "epochs": head_epochs}, fabric, rng, "head", network.head.parameters()
    )
    whole = {**settings, "learning_rate": settings["learning_rate"] * learning_rate_ratio}
    return pd.concat([head, fit(network, train, validation, whole, fabric, rng, "all")], ignore_index=True)
