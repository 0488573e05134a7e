"""From ChIP-seq experiments to convolutional networks and the sequence grammar that they learned."""

__version__ = "0.1.0"
