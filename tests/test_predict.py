"""Sequences of a user: FASTA and BED, 20 bp and longer than the window."""

import gzip

import numpy as np
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.log import InputError
from cisgrammar.model import probability, score
from cisgrammar.predict import is_fasta, read_fasta, read_regions
from cisgrammar.predict import score_sequences as with_generator
from sequence_data import codes_of

WINDOW_BP = 60
FILLINGS = 32
LENGTHS = [20, 21, WINDOW_BP - 1, WINDOW_BP, WINDOW_BP + 1, 5 * WINDOW_BP]


@pytest.fixture(scope="module")
def network():
    """A random network whose logits differ between sequences."""
    torch.manual_seed(0)
    network = detectors(filters=8, filter_bp=11, hidden=6, dropout=0.3, hidden_dropout=0.3, members=2)
    with torch.no_grad():
        network.trunk[3].weight.normal_()
        network.head.weight.normal_()
    return network.eval()


def score_sequences(network, codes, window_bp, *more):
    return with_generator(network, codes, window_bp, np.random.default_rng(1), *more)


def sequences(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), n)) for n in lengths]


def test_fasta_of_all_lengths(tmp_path, network):
    path = tmp_path / "in.fa"
    written = sequences(LENGTHS)
    path.write_text("".join(f">seq{len(s)} some words\n{s}\n" for s in written))
    assert is_fasta(path)
    ids, codes = read_fasta(path)
    assert ids == [f"seq{n}" for n in LENGTHS]
    assert [len(code) for code in codes] == LENGTHS
    found = score_sequences(network, codes, WINDOW_BP)
    assert found.shape == (len(LENGTHS),)
    assert ((found > 0) & (found < 1)).all()
    # each record alone has the score it has among the others
    alone = [score_sequences(network, [code], WINDOW_BP)[0] for code in codes]
    assert found == pytest.approx(np.array(alone), abs=1e-6)


def test_fasta_by_hand(tmp_path):
    path = tmp_path / "in.fa.gz"
    with gzip.open(path, "wt") as handle:
        handle.write(">one first record\nACGTacgtNR\r\nAAAAACCCCC\n\n>\n" + "G" * 25 + "\n")
    assert is_fasta(path)
    ids, codes = read_fasta(path)
    assert ids == ["one", "record_2"]
    assert codes[0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 4, *[0] * 5, *[1] * 5]
    assert codes[1].tolist() == [2] * 25


def test_fasta_after_blank_lines(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text(f"\n \n>one\n{'ACGT' * 5}\n")
    assert is_fasta(path)
    ids, codes = read_fasta(path)
    assert ids == ["one"]
    assert codes[0].tolist() == [0, 1, 2, 3] * 5


@pytest.mark.parametrize("length", [0, 1, 19])
def test_a_short_record_is_named(tmp_path, length):
    path = tmp_path / "in.fa"
    path.write_text(f">long\n{'A' * 20}\n>stub\n{'A' * length}\n")
    with pytest.raises(InputError, match=rf"in\.fa: stub has {length} bp, fewer than 20"):
        read_fasta(path)


def test_a_file_without_records_is_refused(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text("")
    assert not is_fasta(path)
    with pytest.raises(InputError, match="no sequence"):
        read_fasta(path)


def test_a_window_gets_its_own_score(network):
    codes = codes_of(sequences([WINDOW_BP])[0])
    expected = probability(score(network, codes[None])[:, 0])
    assert score_sequences(network, [codes], WINDOW_BP) == pytest.approx(expected)


@pytest.mark.parametrize(("length", "places"), [(20, [20]), (21, [19, 20]), (58, [1]), (59, [0, 1]), (60, [0])])
def test_a_short_sequence_stands_in_the_middle(monkeypatch, network, length, places):
    """An odd number of missing bases leaves two middles, one for each strand; the better one counts.

    Beside it lie random bases, the same for both places, each also as it reads on the other strand; logits are averaged.
    """
    asked = []

    def watched(network, codes, *more):
        asked.append(codes)
        return score(network, codes, *more)

    monkeypatch.setattr("cisgrammar.predict.score", watched)
    codes = codes_of(sequences([length])[0])
    found = score_sequences(network, [codes], WINDOW_BP)
    (windows,) = asked
    assert windows.dtype == np.uint8 and windows.max() < 4
    if length == WINDOW_BP:
        assert windows.tolist() == [codes.tolist()]
    else:
        windows = windows.reshape(len(places), FILLINGS, WINDOW_BP)
        for part, before in zip(windows, places, strict=True):
            assert (part[:, before : before + length] == codes).all()
            beside = np.r_[0:before, before + length : WINDOW_BP]
            turned = WINDOW_BP - 1 - beside  # where these bases lie on the other strand
            free = np.isin(turned, beside)
            ahead, back = part[: FILLINGS // 2], part[FILLINGS // 2 :]
            assert (ahead[:, beside[free]] == 3 - back[:, turned[free]]).all()
        assert len(np.unique(windows[0], axis=0)) > FILLINGS / 2 or length > 57
    expected = probability(score(network, windows.reshape(-1, WINDOW_BP))[:, 0].reshape(len(places), -1).mean(1).max())
    assert found == pytest.approx([expected])


def test_unknown_bases_are_averaged_over(network):
    """Wherever they lie; a sequence without any is not touched, and the generator's seed decides on the bases."""
    codes = codes_of(sequences([WINDOW_BP])[0])
    holed = codes.copy()
    holed[[3, 30, 59]] = 4
    rng = np.random.default_rng(1)
    half = rng.integers(0, 4, (FILLINGS // 2, WINDOW_BP), dtype=np.uint8)
    filled = np.tile(codes, (FILLINGS, 1))
    filled[:, [3, 30, 59]] = np.concatenate([half, (3 - half)[:, ::-1]])[:, [3, 30, 59]]
    expected = probability([score(network, codes[None])[0, 0], score(network, filled)[:, 0].mean()])
    assert score_sequences(network, [codes, holed], WINDOW_BP) == pytest.approx(expected)
    other = with_generator(network, [codes, holed], WINDOW_BP, np.random.default_rng(2))
    assert other[0] == pytest.approx(expected[0]) and other[1] != pytest.approx(expected[1], rel=1e-4)


def test_many_windows_with_unknown_bases(network):
    """They are filled a few at a time, and all get the score that they have alone."""
    codes = [codes_of(s) for s in sequences(range(20, 59))]
    alone = [score_sequences(network, [code], WINDOW_BP)[0] for code in codes]
    assert score_sequences(network, codes, WINDOW_BP) == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (WINDOW_BP + 1, [0, 1]),
        (WINDOW_BP + 15, [0, 15]),
        (WINDOW_BP + 30, [0, 30]),
        (WINDOW_BP + 31, [0, 1, 30, 31]),
        (2 * WINDOW_BP + 10, [0, 10, 30, 40, 60, 70]),
        (5 * WINDOW_BP, [0, 30, 60, 90, 120, 150, 180, 210, 240]),
    ],
)
def test_a_long_sequence_gets_its_best_window(network, length, starts):
    codes = codes_of(sequences([length], seed=length)[0])
    windows = np.array([codes[start : start + WINDOW_BP] for start in starts])
    expected = probability(score(network, windows)[:, 0].max())
    assert score_sequences(network, [codes], WINDOW_BP) == pytest.approx([expected])


def test_each_sequence_has_its_own_best_window(monkeypatch):
    """Windows begin with their logit: 3 in the middle of one sequence, 2 at the end of the second, 1 in the third."""
    monkeypatch.setattr("cisgrammar.predict.score", lambda network, codes, *_: codes[:, :1].astype(np.float32))
    codes = [np.zeros(n, dtype=np.uint8) for n in (2 * WINDOW_BP, WINDOW_BP + 1, WINDOW_BP)]
    codes[0][30], codes[1][1], codes[2][0] = 3, 2, 1
    found = score_sequences(None, codes, WINDOW_BP)
    assert found == pytest.approx(probability([3, 2, 1]))


@pytest.mark.parametrize("length", [20, 21, 59, 60, 61, 75, 91, 300, 317])
def test_both_strands_score_alike(network, length):
    codes = [codes_of(s) for s in sequences([length] * 100, seed=length)]
    turned = [(3 - code)[::-1].copy() for code in codes]
    found = score_sequences(network, codes, WINDOW_BP)
    assert np.abs(found - score_sequences(network, turned, WINDOW_BP)).max() <= 1e-5


def test_unknown_bases_alone_score_like_random_ones(network):
    codes = np.random.default_rng(0).integers(0, 4, (2000, WINDOW_BP), dtype=np.uint8)
    logits = score(network, codes)[:, 0]
    found = score_sequences(network, [np.full(20, 4, dtype=np.uint8)], WINDOW_BP)
    error = logits.std() / np.sqrt(FILLINGS / 2)  # both strands score alike
    assert abs(np.log(found / (1 - found)) - logits.mean()) < 3 * error


@pytest.fixture
def genome(write_genome):
    return write_genome({"chr1": "ACGTN" * 20, "chr2": "g" * 40})


def test_bed_without_names(tmp_path, genome, network):
    path = tmp_path / "in.bed"
    path.write_text("# regions\nchr1\t10\t35\nchr2\t0\t40\n")
    assert not is_fasta(path)
    ids, codes, channels = read_regions(path, genome)
    assert [values.shape for values in channels] == [(0, 25), (0, 40)]
    assert ids == ["chr1:10-35", "chr2:0-40"]
    assert codes[0].tolist() == [0, 1, 2, 3, 4] * 5
    assert codes[1].tolist() == [2] * 40
    assert score_sequences(network, codes, WINDOW_BP).shape == (2,)


def test_bed_with_names(tmp_path, genome):
    path = tmp_path / "in.bed"
    path.write_text("chr1\t10\t35\tpromoter\nchr2\t0\t40\t.\n")
    assert read_regions(path, genome)[0] == ["promoter", "chr2:0-40"]


@pytest.mark.parametrize("row", ["chr3\t0\t30", "chr2\t20\t41"])
def test_a_region_outside_the_genome_is_refused(tmp_path, genome, row):
    path = tmp_path / "in.bed"
    path.write_text(f"chr1\t0\t30\n{row}\n")
    place = "{}:{}-{}".format(*row.split())
    with pytest.raises(InputError, match=f"1 regions lie outside the genome, first {place}"):
        read_regions(path, genome)


def test_a_short_region_is_named(tmp_path, genome):
    path = tmp_path / "in.bed"
    path.write_text("chr1\t0\t30\nchr1\t40\t59\n")
    with pytest.raises(InputError, match=r"in\.bed: chr1:40-59 has 19 bp, fewer than 20"):
        read_regions(path, genome)


def test_an_empty_bed_is_refused(tmp_path, genome):
    path = tmp_path / "in.bed"
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="no sequence"):
        read_regions(path, genome)


@pytest.fixture
def track(tmp_path):
    """5 over the first 50 bases of chr1, 1 over the next 20."""
    path = tmp_path / "open.bedGraph"
    path.write_text("chr1\t0\t50\t5\nchr1\t50\t70\t1\n")
    return {"name": "open", "path": path, "mean": 1.0, "sd": 2.0}


def test_bed_with_channels(tmp_path, genome, track):
    """Scaled as in training: (5 - 1) / 2, (1 - 1) / 2, and (0 - 1) / 2 where the track has nothing."""
    path = tmp_path / "in.bed"
    path.write_text("chr1\t40\t80\nchr2\t0\t30\nchr1\t0\t20\n")
    ids, codes, channels = read_regions(path, genome, [track, {**track, "mean": 0.0, "sd": 1.0}])
    assert ids == ["chr1:40-80", "chr2:0-30", "chr1:0-20"]
    assert codes[1].tolist() == [2] * 30 and codes[2].tolist() == [0, 1, 2, 3, 4] * 4
    assert [values.dtype for values in channels] == [np.float16] * 3
    assert channels[0].tolist() == [[2] * 10 + [0] * 20 + [-0.5] * 10, [5] * 10 + [1] * 20 + [0] * 10]
    assert channels[1].tolist() == [[-0.5] * 30, [0] * 30]
    assert channels[2].tolist() == [[2] * 20, [5] * 20]


def test_fasta_has_no_channels(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text(f">one\n{'A' * 20}\n")
    with pytest.raises(InputError, match=r"in\.fa: the model also reads open, methylation .* give a BED file"):
        read_fasta(path, ["open", "methylation"])


@pytest.mark.parametrize("length", [20, 21, 59, 60, 61, 75, 300])
def test_channels_are_cut_with_their_bases(length):
    torch.manual_seed(0)
    network = detectors(filters=8, filter_bp=11, hidden=6, dropout=0, hidden_dropout=0, channels=6).eval()
    with torch.no_grad():
        network.head.weight.mul_(20)
    rng, encoding = np.random.default_rng(length), {"position_channel": True}
    codes = rng.integers(0, 4, (20, length)).astype(np.uint8)
    channels = rng.normal(size=(20, 1, length)).astype(np.float16)
    found = score_sequences(network, list(codes), WINDOW_BP, list(channels), encoding)
    turned = score_sequences(network, list(3 - codes[:, ::-1]), WINDOW_BP, list(channels[..., ::-1]), encoding)
    assert np.abs(found - turned).max() <= 1e-5
    if length == WINDOW_BP:
        assert found == pytest.approx(probability(score(network, codes, channels, encoding)[:, 0]))
    other = score_sequences(network, list(codes), WINDOW_BP, list(channels[..., ::-1]), encoding)
    assert np.abs(found - other).max() > 1e-3
