"""Grammar: pairs by hand, planted spacings found in windows and in networks, and none where there is none."""

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.grammar import (
    ARRANGEMENTS,
    arrange,
    co_occurrence,
    consensus,
    find_pairs,
    insert_pair,
    measure_pairs,
    neutral_backgrounds,
    place,
    spacing_profile,
    to_known_frame,
)
from cisgrammar.layers import one_hot
from sequence_data import codes_of

A, B = "TGACTCA", "CCGGAAGT"


def table(*rows):
    return pd.DataFrame(rows, columns=["motif", "window", "start", "end", "strand"]).assign(active=True)


def planted(n=120, share=0.6, gap=6, window_bp=120, seed=0):
    """Sites of a (8 bp) near the middle, and of b (5 bp): `gap` downstream on the same strand, or anywhere."""
    rng, rows = np.random.default_rng(seed), []
    for window in range(n):
        start, plus = int(rng.integers(50, 62)), rng.random() < 0.5
        rows.append(("a", window, start, start + 8, "+" if plus else "-"))
        if rng.random() < share:
            at, same = start + 8 + gap if plus else start - gap - 5, plus
        else:
            at, same = int(rng.integers(0, window_bp - 5)), rng.random() < 0.5
        rows.append(("b", window, at, at + 5, "+" if same else "-"))
    return table(*rows)


def test_arrangements_by_hand():
    """a at 10..20; b after and before it, on either strand."""
    for strand_a, start, strand_b, kind, gap in (
        (1, 23, 1, "downstream_same", 3),
        (1, 20, -1, "downstream_opposite", 0),
        (1, 3, 1, "upstream_same", 2),
        (1, 3, -1, "upstream_opposite", 2),
        (-1, 3, -1, "downstream_same", 2),
        (-1, 3, 1, "downstream_opposite", 2),
        (-1, 23, -1, "upstream_same", 3),
        (-1, 23, 1, "upstream_opposite", 3),
    ):
        counts = arrange(np.array([[10, 20, strand_a]]), np.array([[start, start + 5, strand_b]]), 4, False)
        assert counts.sum() == 1
        assert counts[ARRANGEMENTS.index(kind), gap] == 1
    nothing = np.array([[18, 23, 1], [30, 35, 1], [8, 12, 1]])  # overlapping, too far, overlapping
    assert arrange(np.repeat([[10, 20, 1]], 3, axis=0), nothing, 4, False).sum() == 0
    # of one motif, both on the - strand is the same arrangement as both on the + strand
    alike = arrange(np.array([[10, 20, -1]]), np.array([[23, 28, -1]]), 4, True)
    assert alike[0, 3] == 1


def test_co_occurrence_by_hand():
    """Of 4 windows, a is in 2 and b in 2, both times together: 1 of 6 ways to choose."""
    sites = table(*[(m, w, 0, 5, "+") for m in "ab" for w in (0, 1, 1)], ("c", 3, 0, 5, "+"))
    found = co_occurrence(sites, ["a", "b", "c"], 4).set_index(["a", "b"])
    assert found.loc[("a", "b"), ["n_a", "n_b", "n_both", "expected"]].tolist() == [2, 2, 2, 1]
    assert found.loc[("a", "b"), "co_p"] == pytest.approx(1 / 6)
    assert found.loc[("a", "c"), "n_both"] == 0
    assert found.loc[("a", "c"), "co_p"] == pytest.approx(1)


def test_co_activation_by_hand():
    """Of 4 windows, a is in 3, of which two are active, and b in 2, both active and once with an active a."""
    sites = table(*[("a", w, 0, 5, "+") for w in (0, 1, 2)], *[("b", w, 20, 25, "+") for w in (1, 2)])
    sites["active"] = [True, True, False, True, True]
    pairs, _ = find_pairs(sites, ["a", "b"], 4, 50, 5, 19, np.random.default_rng(0))
    pairs = pairs.set_index(["a", "b"])
    assert pairs.loc[("a", "b"), ["n_a", "n_b", "n_both", "expected"]].tolist() == [3, 2, 2, 1.5]
    found = pairs.loc[("a", "b"), ["active_a", "active_b", "active_both", "active_expected", "active_p", "active_q"]]
    assert found.tolist() == pytest.approx([2, 2, 1, 1, 5 / 6, 5 / 6])
    assert pairs.loc[("a", "a"), ["n_a", "n_both", "active_a", "active_both"]].tolist() == [3, 3, 2, 2]
    assert np.isnan(pairs.loc[("b", "b"), "active_p"])


@pytest.mark.parametrize("gap", [0, 6, 12])
def test_a_planted_spacing_comes_out_first(gap):
    pairs, profiles = find_pairs(planted(gap=gap), ["a", "b"], 120, 120, 20, 99, np.random.default_rng(1))
    top = pairs.iloc[0]
    assert (top["a"], top["b"], top["arrangement"], top["gap"]) == ("a", "b", "downstream_same", gap)
    assert top["p"] == pytest.approx(0.01)
    assert top["count"] > 60 and top["count_expected"] < 12
    assert len(pairs) == 3 and set(profiles.columns) == {"a", "b", "arrangement", "gap", "count", "expected"}
    profile = profiles[(profiles["a"] == "a") & (profiles["b"] == "b")]
    assert len(profile) == 4 * 21


def test_no_spacing_without_one():
    """Where b lies anywhere, p is uniform: of 20 seeds about one is below 0.05."""
    ps = [
        spacing_profile(planted(share=0, seed=s), "a", "b", 120, 120, 20, 99, np.random.default_rng(s))[1]
        for s in range(20)
    ]
    assert sum(p <= 0.05 for p in ps) <= 4
    assert max(ps) > 0.5


def test_a_motif_with_itself():
    """Two sites of one motif 10 bp apart in every other window, one of them on the - strand."""
    rng, rows = np.random.default_rng(3), []
    for window in range(100):
        at = int(rng.integers(0, 80))
        rows.append(("a", window, at, at + 5, "+"))
        if window % 2:
            rows.append(("a", window, at + 15, at + 20, "-"))
    profile, p = spacing_profile(table(*rows), "a", "a", 100, 120, 20, 99, rng)
    best = profile.loc[profile["count"].idxmax()]
    assert (best["arrangement"], best["gap"], best["count"]) == ("downstream_opposite", 10, 50)
    assert profile["count"].sum() == 50
    assert set(profile["arrangement"]) == {"downstream_same", "downstream_opposite", "upstream_opposite"}
    assert p == pytest.approx(0.01)


def test_nothing_to_pair():
    pairs, profiles = find_pairs(table(), [], 10, 100, 5, 9, np.random.default_rng(0))
    assert pairs.empty and profiles.empty and "co_q" in pairs and "gap" in profiles
    pairs, _ = find_pairs(table(("a", 0, 3, 8, "+")), ["a"], 1, 100, 5, 9, np.random.default_rng(0))
    assert pairs[["a", "b", "n_a", "count"]].to_numpy().tolist() == [["a", "a", 1, 0]]
    assert pairs["p"].iloc[0] == 1


def pair_network(gap, turned=False):
    """A network with the logit 6 where a is followed by b after `gap` bases, -2 elsewhere."""
    second = reverse_complement_codes(codes_of(B)).copy() if turned else codes_of(B)
    width = len(A) + gap + len(B)
    network = detectors(1, width, hidden=1, dropout=0.0, hidden_dropout=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.detectors.free[0, 0, :, : len(A)] = one_hot(codes_of(A))
        network.detectors.free[0, 0, :, len(A) + gap :] = one_hot(second)
        network.detectors.bias.fill_(0.5 - 0.75 * (len(A) + len(B)))
        network.trunk[3].weight[0, 0, 0] = 4
        network.head.weight.fill_(4)
        network.head.bias.fill_(-2)
    return network.eval()


@pytest.mark.parametrize(("gap", "turned", "kind"), [(4, False, "downstream_same"), (7, True, "downstream_opposite")])
def test_what_the_network_wants_comes_out(gap, turned, kind):
    backgrounds = neutral_backgrounds(
        np.random.default_rng(0).integers(0, 4, (9, 80)).astype(np.uint8), 6, np.random.default_rng(0)
    )
    found = insert_pair(pair_network(gap, turned), codes_of(A), codes_of(B), backgrounds, range(11))
    assert len(found) == 44
    best = found.loc[found["interaction"].idxmax()]
    assert (best["arrangement"], best["gap"]) == (kind, gap)
    assert best[["gain", "interaction", "low", "high"]].tolist() == pytest.approx([8, 8, 8, 8], abs=1e-3)
    assert np.abs(found.drop(best.name)["interaction"]).max() < 1e-3
    swapped = insert_pair(pair_network(gap, turned), codes_of(B), codes_of(A), backgrounds, range(11))
    best = swapped.loc[swapped["interaction"].idxmax()]
    assert (best["arrangement"], best["gap"]) == ("upstream_same" if not turned else "downstream_opposite", gap)


def test_additive_motifs_do_not_interact():
    """A logit that counts both motifs has a gain and no interaction; the interval holds its mean."""

    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words = torch.nn.Parameter(torch.zeros(1))

        def forward(self, sequences):
            words = (one_hot(codes_of(word)) for word in (A, B))
            hits = (torch.nn.functional.conv1d(sequences, w[None]).amax(dim=-1) > w.shape[1] - 0.5 for w in words)
            return 3 * sum(hit.float() for hit in hits) + sequences[:, :1, :5].sum(dim=-1)

    backgrounds = np.random.default_rng(0).integers(0, 4, (7, 60)).astype(np.uint8)
    found = insert_pair(Counts(), codes_of(A), codes_of(B), backgrounds, [0, 5])
    assert found["interaction"].tolist() == pytest.approx([0] * 8, abs=1e-5)
    assert found.set_index(["arrangement", "gap"]).loc[("downstream_same", 5), "gain"] == pytest.approx(6)
    assert (found["low"] <= found["interaction"] + 1e-9).all() and (found["interaction"] <= found["high"] + 1e-9).all()


def test_gaps_beyond_the_window_are_left_out():
    backgrounds = np.random.default_rng(0).integers(0, 4, (2, 27)).astype(np.uint8)
    found = insert_pair(pair_network(1), codes_of(A), codes_of(B), backgrounds, range(5))
    assert found.groupby("arrangement")["gap"].max().tolist() == [2] * 4  # 10 bases on either side, 8 of them b


def test_backgrounds_are_shuffles():
    codes = np.random.default_rng(0).integers(0, 4, (3, 50)).astype(np.uint8)
    found = neutral_backgrounds(codes, 5, np.random.default_rng(1))
    assert found.shape == (5, 50)
    made = {tuple(np.bincount(row, minlength=4)) for row in found}
    assert made == {tuple(np.bincount(row, minlength=4)) for row in codes}
    assert not any((row == window).all() for row in found for window in codes)
    assert np.array_equal(found, neutral_backgrounds(codes, 5, np.random.default_rng(1)))


def test_pairs_are_measured_with_their_consensus():
    motifs = [{"id": name, "matrix": one_hot(codes_of(word)).numpy() + 0.1} for name, word in (("a", A), ("b", B))]
    codes = np.random.default_rng(0).integers(0, 4, (5, 80)).astype(np.uint8)
    pairs = pd.DataFrame({"a": ["a", "b"], "b": ["b", "b"]})
    found = measure_pairs(pair_network(4), motifs, pairs, codes, 3, 6, 0, None, np.random.default_rng(0))
    best = found.loc[found["interaction"].idxmax()]
    assert best[["a", "b", "arrangement", "gap"]].tolist() == ["a", "b", "downstream_same", 4]
    assert found.groupby(["a", "b"]).size().tolist() == [28, 21]
    none = measure_pairs(pair_network(4), motifs, pairs[:0], codes, 3, 6, 0, None, np.random.default_rng(0))
    assert none.empty and "interaction" in none


def test_known_frame_by_hand():
    """The last columns of GGTAA and one more, on the other strand; one before and the first three; no match."""
    motif = {"id": "m", "matrix": 10 * one_hot(codes_of("GGTAA")).numpy() + 0.1}
    known = {"k": ("K", np.full((4, 4), 0.25))}
    match = pd.DataFrame([{"motif": "m", "jaspar_id": "k", "q": 1e-3, "offset": 2, "strand": "-"}])
    (found,) = to_known_frame([motif], match, known, 0.01)
    assert consensus(found["matrix"]).tolist() == [4, 3, 3, 0]  # GG TAA + any, turned round: any TTA
    assert found["matrix"].sum(axis=0) == pytest.approx(1)
    (found,) = to_known_frame([motif], match.assign(offset=-1, strand="+"), known, 0.01)
    assert consensus(found["matrix"]).tolist() == [4, 2, 2, 3]
    (found,) = to_known_frame([motif], match.assign(q=0.5), known, 0.01)
    assert consensus(found["matrix"]).tolist() == codes_of("GGTAA").tolist()


def test_any_base_leaves_the_background():
    windows = np.zeros((2, 5), dtype=np.uint8)
    place(windows, np.array([1, 4, 3], dtype=np.uint8), 1)
    assert windows.tolist() == [[0, 1, 0, 3, 0]] * 2
