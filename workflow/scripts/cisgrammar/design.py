"""Design: sequences that some networks call bound and others do not, by substitutions of single bases."""

import numpy as np
import pandas as pd
import torch
from tangermeme.design import beam_substitution
from torch.nn.functional import binary_cross_entropy_with_logits

from cisgrammar.dna import reverse_complement_codes
from cisgrammar.grammar import neutral_backgrounds
from cisgrammar.kmers import number_words
from cisgrammar.layers import encode, one_hot
from cisgrammar.log import InputError
from cisgrammar.predict import read_fasta

LEAST_GAIN = 1e-3  # of the mean log loss, by which a further edit must lower it
WORD_BP = 6  # of the words by which naturalness is told


class Together(torch.nn.Module):
    """Networks side by side: logits (windows, networks) of one-hot bases (windows, 4, bases), all known.

    networks: list of networks with one task; encodings: settings of `layers.encode`, one per network; channels: number of
    channels that each reads besides; they hold their mean, 0
    """

    def __init__(self, networks, encodings, channels):
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)
        self.besides = list(zip(encodings, channels, strict=True))
        self.eval()  # else whoever puts a model back into its mode switches dropout on

    def forward(self, sequences):
        codes, logits = sequences.argmax(dim=1).to(torch.uint8), []
        for network, (encoding, n) in zip(self.networks, self.besides, strict=True):
            more = torch.zeros(len(codes), n, codes.shape[1]) if n else None
            logits.append(network(encode(codes, more, **encoding))[:, 0])
        return torch.stack(logits, dim=1)

    def score(self, codes, batch_size=512):
        """Logits of windows, float array (windows, networks). codes: uint8 (windows, bases)."""
        with torch.inference_mode():
            parts = [self(one_hot(codes[i : i + batch_size])) for i in range(0, len(codes), batch_size)]
        return torch.cat(parts).double().numpy()


def starting_points(kind, negatives, window_bp, number, rng):
    """What designs start from, (names, codes uint8 (sequences, window_bp)).

    kind: `negatives`, some of them as they are; `background`, some of them with shuffled dinucleotides; or the path of a
    FASTA file; negatives: uint8 (windows, window_bp), all bases known; number: of sequences, where they are drawn
    Raises InputError when a FASTA record is not as long as the windows or holds an unknown base.
    """
    if kind == "background":
        codes = neutral_backgrounds(negatives, number, rng)
        return [f"background_{i + 1}" for i in range(number)], codes
    if kind == "negatives":
        rows = np.sort(rng.permutation(len(negatives))[:number])
        return [f"negative_{row + 1}" for row in rows], negatives[rows]
    names, codes = read_fasta(kind)
    for name, sequence in zip(names, codes, strict=True):
        if len(sequence) != window_bp or (sequence > 3).any():
            raise InputError(
                f"{kind}: {name} has {len(sequence)} bp, {np.sum(sequence > 3)} of them unknown; give sequences of "
                f"{window_bp} bp (peaks.window_bp), all of them known"
            )
    return names, np.stack(codes)


def log_loss(wanted, logits):
    """Loss of each logit, as tangermeme wants it: (wanted, logits) to a tensor of their shape."""
    return binary_cross_entropy_with_logits(logits, wanted, reduction="none")


def design_sequence(together, start, wanted, edits, beam, span=None):
    """Substitute bases one after the other until all networks say what is wanted of them.

    together: Together; start: uint8 (bases,), all known; wanted: 1 or 0 for each network; edits: most substitutions; beam:
    sequences that are kept after each, 1 for the greedy search (through tangermeme: each keeps the smallest mean log loss);
    span: bases in the middle that may be changed, None for all
    Returns codes uint8 (bases,).
    """
    aim, free = torch.tensor([wanted], dtype=torch.float32), torch.zeros(len(start), dtype=torch.bool)
    span = min(span or len(start), len(start))
    free[(len(start) - span) // 2 :][:span] = True
    found = beam_substitution(
        together,
        one_hot(start)[None],
        y=aim,
        loss=log_loss,
        input_mask=free,
        beam_size=beam,
        tol=LEAST_GAIN,
        max_iter=edits,
        batch_size=512,
        device="cpu",
    )
    return found[0].argmax(dim=0).numpy().astype(np.uint8)


def list_edits(together, start, designed, wanted):
    """Substitutions of a design: data frame position (from 0), before, after (bases), need.

    need: by how much the mean logit towards what is wanted falls when this base alone is put back
    """
    places = np.flatnonzero(start != designed)
    back = np.repeat(designed[None], len(places) + 1, axis=0)
    back[np.arange(len(places)), places] = start[places]
    towards = (together.score(back) * np.where(np.array(wanted) == 1, 1, -1)).mean(axis=1)
    letters = np.array(list("ACGT"))
    return pd.DataFrame(
        {
            "position": places,
            "before": letters[start[places]],
            "after": letters[designed[places]],
            "need": towards[-1] - towards[:-1],
        }
    )


def word_model(codes, length=WORD_BP):
    """log2 of the share of each base after the words before it, on both strands: float array (4^length,).

    codes: uint8 (windows, bases). A Markov chain of order length - 1, with one more of each word than there are.
    """
    counts = np.ones(4**length)
    for strand in (codes, reverse_complement_codes(codes)):
        words, known = number_words(strand, length)
        counts += np.bincount(words[known], minlength=4**length)
    counts = counts.reshape(-1, 4)
    return np.log2(counts / counts.sum(axis=1, keepdims=True)).ravel()


def likelihood(codes, model, length=WORD_BP):
    """Mean log2-probability per base of each sequence by a `word_model`, of the words with all bases known: (sequences,)."""
    words, known = number_words(codes, length)
    return (model[words] * known).sum(axis=1) / np.maximum(1, known.sum(axis=1))
