"""Designs for networks whose motif is known, edits and naturalness by hand."""

import numpy as np
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.design import (
    Together,
    design_sequence,
    likelihood,
    list_edits,
    starting_points,
    word_model,
)
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.model import score
from sequence_data import codes_of

FIRST, SECOND = "TGACTCAGC", "CCACGTGAA"


def counting_network(motif, channels=4):
    """A network whose logit is the number of bases of the motif at its best place, less 7.5."""
    network = detectors(1, len(motif), hidden=1, dropout=0.0, hidden_dropout=0.0, channels=channels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.detectors.free[0, 0, :4] = one_hot(codes_of(motif))
        network.detectors.bias.fill_(0.25 * len(motif))
        network.trunk[3].weight.fill_(1)
        network.head.weight.fill_(1)
        network.head.bias.fill_(-7.5)
    return network.eval()


@pytest.fixture(scope="module")
def together():
    encodings = [{"position_channel": True}, {}]
    return Together([counting_network(FIRST, 5), counting_network(SECOND)], encodings, [0, 0])


def test_networks_side_by_side(together):
    codes = np.random.default_rng(0).integers(0, 4, (5, 30)).astype(np.uint8)
    codes[0, 3:12], codes[1, 3:12] = codes_of(FIRST), codes_of(SECOND)
    found = together.score(codes, batch_size=2)
    assert found.shape == (5, 2)
    assert found[0, 0] == found[1, 1] == pytest.approx(1.5)
    assert found[:, 1] == pytest.approx(score(counting_network(SECOND), codes)[:, 0], abs=1e-6)


def test_channels_hold_their_mean():
    network = counting_network(FIRST, 6)
    with torch.no_grad():
        network.detectors.free[0, 0, 4:] = 5
    codes = codes_of("ACGT" * 10)[None]
    alone = score(counting_network(FIRST), codes)[0, 0]
    assert Together([network], [{}], [2]).score(codes)[0, 0] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("beam", [1, 2])
def test_a_motif_is_made_and_the_other_broken(together, beam):
    """From the second motif and no base of the first, 1 on and 0 off: every edit helps, and few are needed."""
    start = codes_of("A" * 12 + SECOND + "A" * 9)
    designed = design_sequence(together, start, (1, 0), edits=12, beam=beam)
    before, after = together.score(np.stack([start, designed]))
    assert before[0] < 0 < before[1]
    assert after[0] > 0 > after[1]
    edits = list_edits(together, start, designed, (1, 0))
    assert 1 <= len(edits) <= 12
    assert (edits["before"] != edits["after"]).all() and (edits["need"] >= -1e-6).all()
    again = start.copy()
    again[edits["position"]] = codes_of("".join(edits["after"]))
    assert np.array_equal(again, designed)


def test_edits_by_hand(together):
    """Two changes: one base of the first motif, without which the mean falls by 1/2, and one that nothing needs."""
    start = codes_of("A" * 10 + "TGACTCTGC" + "A" * 10)
    designed = codes_of("A" * 10 + FIRST + "A" * 9 + "G")
    edits = list_edits(together, start, designed, (1, 0))
    assert edits[["position", "before", "after"]].to_numpy().tolist() == [[16, "T", "A"], [28, "A", "G"]]
    assert edits["need"].tolist() == pytest.approx([0.5, 0], abs=1e-5)
    assert list_edits(together, designed, designed, (1, 0)).empty


def test_no_more_edits_than_asked_for(together):
    start = codes_of("A" * 30)
    designed = design_sequence(together, start, (1, 1), edits=3, beam=1)
    assert (designed != start).sum() == 3


def test_edits_stay_within_the_span(together):
    """Of the two bases that lack in the first motif, at 12 and 17, the second one lies within the middle five."""
    start = codes_of("A" * 11 + "TTACTCTGC" + "A" * 11)
    designed = design_sequence(together, start, (1, 0), edits=12, beam=1, span=5)
    assert np.flatnonzero(designed != start).tolist() == [17]
    assert designed[17] == 0


def test_words_by_hand():
    """AAAC on both strands: words of two AA, AA, AC and GT, TT, TT, each once more."""
    model = word_model(codes_of("AAAC")[None], 2)
    assert 2 ** model[0:4] == pytest.approx([3 / 7, 2 / 7, 1 / 7, 1 / 7])  # after A
    assert 2 ** model[8:12] == pytest.approx([1 / 5, 1 / 5, 1 / 5, 2 / 5])  # after G
    found = likelihood(np.stack([codes_of("AAAC"), codes_of("ANGT"), codes_of("NNNN")]), model, 2)
    expected = [(2 * np.log2(3 / 7) + np.log2(2 / 7)) / 3, np.log2(2 / 5), 0]
    assert found.tolist() == pytest.approx(expected)


def test_starting_points(tmp_path):
    negatives = np.random.default_rng(0).integers(0, 4, (6, 40)).astype(np.uint8)
    names, codes = starting_points("negatives", negatives, 40, 2, np.random.default_rng(1))
    assert [int(name.split("_")[1]) for name in names] == [
        np.flatnonzero((negatives == row).all(1))[0] + 1 for row in codes
    ]
    names, codes = starting_points("background", negatives, 40, 3, np.random.default_rng(1))
    assert names == ["background_1", "background_2", "background_3"] and codes.shape == (3, 40)
    assert not any((row == window).all() for row in codes for window in negatives)
    path = tmp_path / "start.fa"
    path.write_text(">one\n" + "ACGT" * 10 + "\n>two\n" + "GGCC" * 10 + "\n")
    names, codes = starting_points(str(path), negatives, 40, 1, np.random.default_rng(1))
    assert names == ["one", "two"] and codes[1, :4].tolist() == [2, 2, 1, 1]
    path.write_text(">one\n" + "ACGT" * 9 + "ACNN\n")
    with pytest.raises(InputError, match="one has 40 bp, 2 of them unknown; give sequences of 40 bp"):
        starting_points(str(path), negatives, 40, 1, np.random.default_rng(1))


def test_networks_stay_as_they_are_asked():
    """Without dropout, also after someone has put the model back into the mode that it had."""
    together = Together([counting_network(FIRST, 5), counting_network(SECOND)], [{}, {}], [0, 0])
    together.train(together.training)
    assert not any(module.training for module in together.modules())
