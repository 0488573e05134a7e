"""Contributions and filters of networks whose motif is known."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import build_network, detectors
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.interpretation import (
    choose_windows,
    contributions,
    evidence,
    filter_matrices,
    write_contributions,
    write_controls,
)
from cisgrammar.layers import one_hot, reverse_complement
from cisgrammar.log import InputError
from cisgrammar.model import score
from sequence_data import codes_of
from tangermeme.ersatz import dinucleotide_shuffle
from torch.nn.functional import binary_cross_entropy_with_logits

MOTIF = "TGACTCAGC"
SHAPE = {"filters": 8, "filter_bp": 11, "hidden": 6, "dropout": 0.3, "hidden_dropout": 0.1}


def random_codes(n, bases, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, bases)).astype(np.uint8)


def exact_network(motif=MOTIF, filters=1):
    """A network whose first filter is 0.5 on the very motif, below 0 on all else: logit 6 or -2."""
    network = detectors(filters=filters, filter_bp=len(motif), hidden=1, dropout=0.0, hidden_dropout=0.0)
    first, hidden, head = network.detectors, network.trunk[3], network.head
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first.free[0, 0] = one_hot(codes_of(motif))
        first.bias.fill_(0.5 - 0.75 * len(motif))
        hidden.weight[0, 0, 0] = 4
        head.weight.fill_(4)
        head.bias.fill_(-2)
    return network.eval()


def members_of(*networks):
    """A network whose members are the given ones."""
    states = [network.state_dict() for network in networks]
    _, filters, _, filter_bp = states[0]["trunk.0.free"].shape
    network = detectors(filters, filter_bp, hidden=1, dropout=0.0, hidden_dropout=0.0, members=len(networks))
    network.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
    return network.eval()


def busy_network(seed=0, members=2):
    """A random network whose logits differ between sequences."""
    torch.manual_seed(seed)
    network = detectors(**SHAPE, members=members)
    with torch.no_grad():
        network.detectors.bias.normal_(0, 0.5)
        network.trunk[3].weight.normal_(0, 1)
        network.head.weight.normal_(0, 1)
    return network.eval()


def trained_network(members=2, steps=60):
    """A network after some steps on windows of 50 bp, the first half of them with the motif in the middle."""
    network, codes = busy_network(3, members).train(), random_codes(200, 50, seed=3)
    codes[:100, 20:29] = codes_of(MOTIF)
    labels = (torch.arange(200) < 100).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(network(one_hot(codes))[:, 0], labels).backward()
        optimizer.step()
    return network.eval()


def planted_codes():
    """Five windows of 60 bp: the motif at 20, on the other strand at 30, then none."""
    codes = random_codes(5, 60)
    codes[0, 20:29] = codes_of(MOTIF)
    codes[1, 30:39] = reverse_complement_codes(codes_of(MOTIF))
    return codes


@pytest.mark.parametrize("build", [busy_network, trained_network])
@pytest.mark.parametrize("members", [1, 3])
def test_contributions_add_up(members, build):
    network, codes = build(members=members), random_codes(6, 50, seed=1)
    codes[0, 20:29] = codes_of(MOTIF)
    codes[1, 30:39] = reverse_complement_codes(codes_of(MOTIF))
    values, deltas = contributions(network, codes, n_shuffles=5, seed=3, largest_delta=1e-3)
    assert (values.shape, values.dtype) == ((6, 4, 50), np.float32)
    references = dinucleotide_shuffle(one_hot(codes), n=5, random_state=3)
    shuffled = references.argmax(dim=2).numpy().astype(np.uint8).reshape(30, 50)
    expected = score(network, codes)[:, 0] - score(network, shuffled)[:, 0].reshape(6, 5).mean(axis=1)
    assert np.abs(expected).max() > 0.1
    assert values.sum(axis=(1, 2)) == pytest.approx(expected, abs=1e-4)
    assert deltas.shape == (6,)
    assert deltas.max() < 1e-4


def test_contributions_with_channels_add_up():
    """They are those of the bases: the references have the channels of their window."""
    torch.manual_seed(0)
    network = detectors(**SHAPE, members=2, channels=6)
    with torch.no_grad():
        network.trunk[3].weight.normal_(0, 1)
        network.head.weight.normal_(0, 1)
    codes, channels = random_codes(5, 50, seed=1), np.random.default_rng(2).normal(size=(5, 1, 50)).astype(np.float16)
    for encoding in ({"position_channel": True}, {"position_channel": True, "centred": True}):
        more = {"channels": channels, "encoding": encoding}
        values, deltas = contributions(network, codes, 4, 3, 1e-3, batch_size=2, **more)
        assert (values.shape, values.dtype) == ((5, 4, 50), np.float32)
        assert deltas.max() < 1e-4
        assert not values[one_hot(codes).numpy() == 0].any()
        expected = []
        for i in range(5):
            seed = 3 + i // 2 * 2
            part = dinucleotide_shuffle(one_hot(codes[i // 2 * 2 : i // 2 * 2 + 2]), n=4, random_state=seed)[i % 2]
            shuffled = part.argmax(dim=1).numpy().astype(np.uint8)
            mean = score(network, shuffled, np.repeat(channels[i, None], 4, axis=0), encoding).mean()
            expected.append(score(network, codes[i, None], channels[i, None], encoding)[0, 0] - mean)
        assert np.abs(expected).max() > 0.1
        assert values.sum(axis=(1, 2)) == pytest.approx(expected, abs=1e-4)


def test_a_channel_has_no_contribution():
    """A network that sees the channel alone gives nothing to the bases."""
    network = detectors(filters=2, filter_bp=5, hidden=2, dropout=0, hidden_dropout=0, channels=5)
    with torch.no_grad():
        network.detectors.free[..., :4, :] = 0
    channels = np.random.default_rng(2).normal(size=(3, 1, 40))
    values, deltas = contributions(network, random_codes(3, 40), 4, 0, 1e-3, channels=channels)
    assert not values.any() and deltas.max() < 1e-6


def test_contributions_of_members_are_averaged():
    codes = planted_codes()
    one, other = exact_network(), exact_network("CCACGTGAA")
    codes[0, 40:49] = codes_of("CCACGTGAA")
    networks = members_of(one, other), one, other
    both, first, second = (contributions(network, codes, 5, 0, 1e-3)[0] for network in networks)
    assert both == pytest.approx((first + second) / 2, abs=1e-5)
    assert np.flatnonzero(both[0].sum(axis=0)).tolist() == [*range(20, 29), *range(40, 49)]
    assert both.sum(axis=(1, 2)) == pytest.approx([8, 4, 0, 0, 0], abs=1e-3)


def test_contributions_lie_on_the_observed_bases():
    codes = random_codes(3, 40, seed=1)
    values, _ = contributions(busy_network(), codes, 3, 0, 1e-3)
    assert not values[one_hot(codes).numpy() == 0].any()


def test_bases_without_influence_have_no_contribution():
    values, _ = contributions(exact_network(), planted_codes(), n_shuffles=20, seed=0, largest_delta=1e-3)
    places = values.sum(axis=1)
    assert np.flatnonzero(places[0]).tolist() == list(range(20, 29))
    assert np.flatnonzero(places[1]).tolist() == list(range(30, 39))
    assert (places[0, 20:29] > 0).all()
    # 6 with the motif on either strand, -2 without it in the shuffles
    assert values.sum(axis=(1, 2)) == pytest.approx([8, 8, 0, 0, 0], abs=1e-3)
    assert not values[2:].any()


def test_the_other_strand_mirrors():
    """The shuffles of the other strand are other ones: totals agree, single bases nearly."""
    codes = planted_codes()
    values, _ = contributions(exact_network(), codes, 40, 0, 1e-3)
    turned, _ = contributions(exact_network(), reverse_complement_codes(codes).copy(), 40, 0, 1e-3)
    mirrored = turned[:, ::-1, ::-1]
    assert values.sum(axis=(1, 2)) == pytest.approx(mirrored.sum(axis=(1, 2)), abs=1e-4)
    assert np.array_equal(values != 0, mirrored != 0)
    assert np.corrcoef(values[:2].ravel(), mirrored[:2].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("build", [busy_network, trained_network])
def test_the_other_strand_mirrors_base_by_base(build, monkeypatch):
    """With the shuffles turned round too, every base has the contribution of its partner."""
    network, codes = build(), random_codes(6, 50, seed=1)
    codes[0, 20:29] = codes_of(MOTIF)
    values, _ = contributions(network, codes, 5, 3, 1e-3)

    def turned_shuffle(sequences, **more):
        return reverse_complement(dinucleotide_shuffle(reverse_complement(sequences), **more))

    monkeypatch.setattr("cisgrammar.methods.dinucleotide_shuffle", turned_shuffle)
    turned, _ = contributions(network, reverse_complement_codes(codes).copy(), 5, 3, 1e-3)
    assert np.abs(values).max() > 0.05
    assert values == pytest.approx(turned[:, ::-1, ::-1], abs=1e-5)


def test_the_seed_decides():
    network, codes = busy_network(), random_codes(4, 40, seed=2)
    one, again, other = (contributions(network, codes, 3, seed, 1e-3)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_batches_have_the_same_sums():
    """Each batch has shuffles of its own; what the shuffles do not touch is the same."""
    whole, _ = contributions(exact_network(), planted_codes(), 20, 0, 1e-3)
    parts, deltas = contributions(exact_network(), planted_codes(), 20, 0, 1e-3, batch_size=2)
    assert deltas.shape == (5,)
    assert parts.sum(axis=(1, 2)) == pytest.approx(whole.sum(axis=(1, 2)), abs=1e-4)


def test_too_large_a_delta_stops():
    with pytest.raises(InputError, match=r"miss up to \S+ of the logit in \d of 6 windows .*largest_delta: 0\)"):
        contributions(busy_network(), random_codes(6, 50, seed=1), 5, 3, largest_delta=0)


def test_choose_windows():
    """With 1 more in the bias the motif is 1.5, one base less 0.5: logits 22 in row 3 and 6 in row 1."""
    codes = random_codes(6, 60)
    codes[[1, 5], 20:29] = codes_of("TGACTCAGA")
    codes[3, 20:29] = reverse_complement_codes(codes_of(MOTIF))
    codes[5, 0] = 4
    data = {"codes": codes, "label": np.array([1, 1, 1, 1, 0, 1], dtype=np.uint8)}
    network = exact_network()
    with torch.no_grad():
        network.detectors.bias.add_(1)
    rows, logits = choose_windows(network, data, 2)
    assert rows.tolist() == [1, 3]
    assert logits == pytest.approx([6, 22], abs=1e-3)
    assert choose_windows(network, data, 100)[0].tolist() == [0, 1, 2, 3]
    assert choose_windows(network, data, 1)[0].tolist() == [3]
    data = {"codes": codes, "label": np.zeros(6), "negatives": np.array(["matched", "other"] * 3)}
    assert choose_windows(network, data, 1, "other")[0].tolist() == [3]
    assert choose_windows(network, data, 9, "matched")[0].tolist() == [0, 2, 4]
    with pytest.raises(InputError, match="no shuffled test window"):
        choose_windows(network, data, 1, "shuffled")


def test_windows_are_chosen_by_their_channels_too():
    """Of the same bases, the window of the higher channel; a padded one is left out."""
    codes = np.repeat(random_codes(1, 60), 4, axis=0)
    codes[3, :2] = 5
    channels = np.array([0.0, 2, 1, 9])[:, None, None] * np.ones((4, 1, 60))
    network = detectors(filters=1, filter_bp=9, hidden=1, dropout=0.0, hidden_dropout=0.0, channels=5).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1)
    data = {"codes": codes, "label": np.ones(4), "channels": channels, "encoding": {}}
    rows, logits = choose_windows(network, data, 1)
    assert rows.tolist() == [1]
    assert logits == pytest.approx([9 * 2 + 1 + 1 + 1])


def test_no_window_to_choose():
    codes = random_codes(2, 30)
    codes[0, 5] = 4
    with pytest.raises(InputError, match="no bound test window without unknown bases"):
        choose_windows(exact_network(), {"codes": codes, "label": np.array([1, 0])}, 5)


def test_filter_matrices_by_hand():
    codes = random_codes(30, 60, seed=4)
    codes[:4, 20:29] = codes_of(MOTIF)
    codes[4:10, 3:12] = reverse_complement_codes(codes_of(MOTIF))
    found = filter_matrices(exact_network(filters=3), codes)
    # the other two filters are all zeros with a negative bias, so nothing excites them
    assert [matrix["id"] for matrix in found] == ["member_1_filter_1"]
    assert found[0]["n_sites"] == 10
    assert found[0]["matrix"] == pytest.approx(10 * one_hot(codes_of(MOTIF)).numpy() + 0.01)


def test_filter_matrices_know_the_channels():
    """The motif counts where the channel is high: of six windows with it, two, on either strand."""
    codes, channels = random_codes(6, 60, seed=4), np.zeros((6, 1, 60))
    codes[:3, 20:29] = codes_of(MOTIF)
    codes[3:, 3:12] = reverse_complement_codes(codes_of(MOTIF))
    channels[0, 0, 20], channels[4, 0, 11] = 1, 1
    channels[1, 0, 28] = 1
    network = detectors(filters=1, filter_bp=9, hidden=1, dropout=0.0, hidden_dropout=0.0, channels=5)
    with torch.no_grad():
        network.detectors.free.zero_()
        network.detectors.free[0, 0, :4] = one_hot(codes_of(MOTIF))
        network.detectors.free[0, 0, 4, 0] = 2  # at the first base of the motif
        network.detectors.bias.fill_(0.5 - 0.75 * 9 - 2)
    for encoding in ({}, {"centred": True}):
        (found,) = filter_matrices(network, codes, channels=channels, encoding=encoding)
        assert found["n_sites"] == 2
        assert found["matrix"] == pytest.approx(2 * one_hot(codes_of(MOTIF)).numpy() + 0.01)


def test_filter_matrices_names_members_and_filters():
    """The second filter of the first member and the first of the second are excited, each by its own motif."""
    codes = random_codes(6, 60, seed=4)
    codes[:2, 20:29] = codes_of(MOTIF)
    codes[2:5, 40:49] = codes_of("CCACGTGAA")
    network = members_of(*(exact_network(motif, filters=2) for motif in (MOTIF, "CCACGTGAA")))
    with torch.no_grad():
        network.detectors.free[0] = network.detectors.free[0].flip(0)
    found = filter_matrices(network, codes)
    assert [matrix["id"] for matrix in found] == ["member_1_filter_2", "member_2_filter_1"]
    assert [matrix["n_sites"] for matrix in found] == [2, 3]
    assert found[1]["matrix"] == pytest.approx(3 * one_hot(codes_of("CCACGTGAA")).numpy() + 0.01)
    with torch.no_grad():
        network.detectors.bias[0].sub_(1)
    assert [matrix["id"] for matrix in filter_matrices(network, codes)] == ["member_2_filter_1"]
    with torch.no_grad():
        network.detectors.bias[0, 1].add_(1)
    assert len(filter_matrices(network, codes)) == 2


def test_filter_matrices_knows_the_bias():
    """A bias that moves the activation below 0 silences the filter, a larger one lets the next best match in."""
    codes = random_codes(1, 60, seed=4)
    codes[0, 20:29] = codes_of(MOTIF)
    codes[0, 40:49] = codes_of("TGACTCAGA")
    network = exact_network()
    with torch.no_grad():
        network.detectors.bias.sub_(1)
    assert filter_matrices(network, codes) == []
    with torch.no_grad():
        network.detectors.bias.add_(3.5)  # 3 for the motif, 2 for one base less
    found = filter_matrices(network, codes)[0]
    assert found["n_sites"] == 2
    assert found["matrix"][:, -1] == pytest.approx([1.01, 1.01, 0.01, 0.01])
    assert filter_matrices(network, codes, threshold=0.8)[0]["n_sites"] == 1


def test_contributions_are_written(tmp_path):
    codes = random_codes(2, 30)
    values = one_hot(codes).numpy() * 0.5
    windows = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [10, 20], "end": [40, 50]})
    arrays = {name: windows[name].to_numpy() for name in windows}
    write_contributions(tmp_path / "out.h5", values, np.array([1e-6, 2e-6]), codes, arrays, np.array([1.5, -2.0]))
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
    with h5py.File(tmp_path / "out.h5") as store:
        assert store["contributions"].dtype == np.float32
        assert np.array_equal(store["contributions"][:], values)
        assert np.array_equal(store["codes"][:], codes)
        assert store["chrom"].asstr()[:].tolist() == ["chr1", "chr2"]
        assert store["start"][:].tolist() == [10, 20]
        assert store["end"][:].tolist() == [40, 50]
        assert store["score"][:].tolist() == [1.5, -2.0]
        assert store["delta"][:].tolist() == [1e-6, 2e-6]
        assert store.attrs["unit"] == "logit"


def test_evidence_is_written(tmp_path):
    """Attention weights sum to 1 in each window; the file holds them, and nothing of the kind for other networks."""
    torch.manual_seed(0)
    network = build_network("mil", filters=4, filter_bp=5, hidden=0, members=2).eval()
    codes = np.random.default_rng(0).integers(0, 4, (5, 30)).astype(np.uint8)
    places = evidence(network, codes, batch_size=2)
    assert places.shape == (5, 30) and places.dtype == np.float32
    np.testing.assert_allclose(places.sum(axis=1), 1, rtol=1e-5)
    assert network.has_evidence and not exact_network().has_evidence
    windows = {"chrom": np.array(["chr1"] * 5), "start": np.arange(5), "end": np.arange(5) + 30}
    values = np.zeros((5, 4, 30), np.float32)
    for given in (places, None):
        write_contributions(tmp_path / "c.h5", values, np.zeros(5), codes, windows, np.zeros(5), given)
        with h5py.File(tmp_path / "c.h5") as store:
            assert ("evidence" in store) == (given is not None)
            if given is not None:
                np.testing.assert_array_equal(store["evidence"][:], places)


def test_networks_of_k_mers_have_no_filters_of_bases():
    assert not build_network("shallow", filters=4, filter_bp=5, encoding_k=2).reads_bases
    assert exact_network().reads_bases


def test_controls_are_written_one_by_one(tmp_path):
    maps = ((f"untrained_{i}", np.full((2, 4, 5), i, dtype=np.float32)) for i in (1, 2))
    write_controls(tmp_path / "controls.h5", maps)
    with h5py.File(tmp_path / "controls.h5") as store:
        assert list(store) == ["untrained_1", "untrained_2"]
        assert store["untrained_2"].dtype == np.float32 and (store["untrained_2"][:] == 2).all()
