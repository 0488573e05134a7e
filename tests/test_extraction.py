"""Bases and tracks of windows, read from a small genome and written to a sequence file."""

import gzip

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from cisgrammar import extraction
from cisgrammar.dna import reverse_complement_codes
from cisgrammar.extraction import (
    copy_spans,
    extract_codes,
    extract_regions,
    normalise,
    parts,
    weigh_peaks,
    write_sequences,
)
from cisgrammar.log import InputError
from cisgrammar.sequences import read_sequences
from sequence_data import SEQUENCES, letters, windows


@pytest.fixture
def genome(write_genome):
    return write_genome(SEQUENCES)


@pytest.fixture
def stored(genome, tmp_path):
    path = tmp_path / "results" / "sequences.h5"
    write_sequences(*example(), genome, 2, path)
    return path


def example():
    peaks = windows(("chr1", 0, 6, "train"), ("chr2", 5, 11, "validation"), ("chr3", 14, 20, "test"))
    return peaks, windows(("chr1", 12, 18, "train"), ("chr1", 6, 12, "train"), ("chr3", 8, 14, "test"))


def bedgraph(path, *rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def bigwig(path, values):
    """A bigWig file of a dict of chromosome to (bp, values from base 0 on)."""
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([(chrom, length) for chrom, (length, _) in values.items()])
        for chrom, (_, numbers) in values.items():
            track.addEntries(chrom, 0, values=[float(number) for number in numbers], span=1, step=1)
    return path


def test_codes_by_hand(genome):
    found = extract_codes(windows(("chr1", 0, 6, ""), ("chr1", 6, 12, ""), ("chr2", 14, 20, "")), genome)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 4, 4], [0, 3, 3, 3, 3, 3]]


def test_flanks_beyond_the_chromosome_are_unknown(genome):
    rows = windows(("chr2", 0, 5, ""), ("chr2", 2, 7, ""), ("chr2", 15, 20, ""), ("chr2", 8, 13, ""))
    assert letters(extract_codes(rows, genome, flank_bp=3)) == [
        *("NNNGGGGGCCC", "NGGGGGCCCCC", "AAATTTTTNNN", "CCCCCAAAAAT"),
    ]


def test_flanks_longer_than_the_chromosome(genome):
    found = letters(extract_codes(windows(("chr2", 0, 20, "")), genome, flank_bp=30))
    assert found == ["N" * 30 + SEQUENCES["chr2"] + "N" * 30]


def test_both_strands_of_a_palindrome_and_of_a_window(genome):
    codes = extract_codes(windows(("chr3", 10, 15, ""), ("chr1", 0, 5, "")), genome)
    assert letters(codes) == ["CATGA", "ACGTN"]
    assert letters(reverse_complement_codes(codes)) == ["TCATG", "NACGT"]


def test_narrower_windows_are_padded_on_both_sides(genome):
    """Widths 6, 3, 2 and 1 with flanks of 1; of an odd rest more padding is behind; N is not padding."""
    rows = windows(("chr2", 4, 10, ""), ("chr1", 3, 6, ""), ("chr2", 0, 2, ""), ("chr3", 12, 13, ""))
    assert letters(extract_codes(rows, genome, flank_bp=1)) == ["GGCCCCCA", "-GTNAC--", "--NGGG--", "--ATG---"]
    assert letters(extract_codes(rows, genome)) == ["GCCCCC", "-TNA--", "--GG--", "--T---"]
    assert letters(extract_codes(rows[1:2], genome, window_bp=6)) == ["-TNA--"]


def test_codes_equal_slices_of_the_sequence(write_genome):
    """Random windows in random order, of one width and of several, against plain slicing."""
    rng = np.random.default_rng(0)
    sequences = {f"chr{i}": "".join(rng.choice(list("ACGTNacgtn"), n)) for i, n in enumerate((1, 40, 500, 3000))}
    genome = write_genome(sequences)
    for least, flank in ((30, 0), (30, 25), (1, 7)):
        rows = []
        for chrom in rng.choice(list(sequences), 300):
            width = min(rng.integers(least, 31), len(sequences[chrom]))
            start = rng.integers(0, len(sequences[chrom]) - width + 1)
            rows.append((chrom, start, start + width, ""))
        table = windows(*rows)
        widest = (table["end"] - table["start"]).max()
        expected = []
        for chrom, start, end, _ in rows:
            own = "".join(
                sequences[chrom][i].upper() if 0 <= i < len(sequences[chrom]) else "N"
                for i in range(start - flank, end + flank)
            )
            left = (widest - (end - start)) // 2
            expected.append("-" * left + own + "-" * (widest - (end - start) - left))
        assert letters(extract_codes(table, genome, flank)) == expected


def test_a_chromosome_that_the_genome_lacks(genome):
    with pytest.raises(
        InputError, match="windows on chromosomes that the genome lacks: chrX, chrY; take those of this genome"
    ):
        extract_codes(windows(("chr1", 0, 6, ""), ("chrX", 0, 6, ""), ("chrY", 0, 6, "")), genome)


@pytest.mark.parametrize("at_once", [1, 7, 1 << 22])
@pytest.mark.parametrize("step", [1, 3, 10, 100])
def test_spans_are_copied_from_pieces_of_a_chromosome(step, at_once, monkeypatch):
    monkeypatch.setattr(extraction, "AT_ONCE", at_once)
    rng = np.random.default_rng(step)
    values, start = rng.integers(1, 100, 50), rng.integers(0, 40, 30)
    end = start + np.where(rng.random(30) < 0.5, 5, rng.integers(1, 11, 30))
    place = np.cumsum(end - start + 2) - (end - start)
    spans = pd.DataFrame({"start": start, "end": end, "place": place})
    target = np.zeros(place[-1] + 20, dtype=int)
    for begin in range(0, 50, step):
        copy_spans(values[begin : begin + step], begin, target, spans)
    expected = np.zeros_like(target)
    for s, e, p in zip(start, end, place, strict=True):
        expected[p : p + e - s] = values[s:e]
    assert (target == expected).all()


def test_no_span_to_copy():
    target, spans = np.zeros(4), pd.DataFrame({"start": [5], "end": [8], "place": [0]})
    for rows in (spans, spans[:0]):
        copy_spans(np.ones(5), 0, target, rows)
        copy_spans(np.ones(5), 8, target, rows)
    assert not target.any()


def test_regions_of_any_length(genome):
    regions = windows(("chr3", 10, 15, "a"), ("chr1", 0, 20, "b"), ("chr3", 0, 1, "c"))
    codes, channels = extract_regions(regions, genome)
    assert letters(codes) == ["CATGA", "ACGTNACGTNNNACGTTTTT", "T"]
    assert [values.shape for values in channels] == [(0, 5), (0, 20), (0, 1)]
    assert extract_regions(regions[:0], genome) == ([], [])


def test_normalised_values_by_hand():
    found = normalise(np.array([1.0, 3, 5, 1e9, -1e9], dtype=np.float32), 3, 2)
    assert found.dtype == np.float16
    assert found.tolist() == [-1, 0, 1, 65504, -65504]


@pytest.mark.parametrize(("n", "width", "rows"), [(1, 10, 1), (10, 1, 3), (1000, 3000, 1), (5000, 1020, 4)])
def test_parts_hold_whole_chunks(n, width, rows):
    found = parts(n, width, rows)
    assert [i for part in found for i in range(n)[part]] == list(range(n))
    assert all((part.stop - part.start) % rows == 0 for part in found[:-1])
    assert all((part.stop - part.start) * width <= max(extraction.AT_ONCE, rows * width) for part in found)


def test_round_trip(stored):
    data = read_sequences(stored)
    assert letters(data["codes"]) == ["ACGTNA", "CCCCCA", "ACCCCC", "ACGTTT", "CGTNNN", "TTCATG"]
    assert data["codes"].dtype == np.uint8
    assert data["chrom"].tolist() == ["chr1", "chr2", "chr3", "chr1", "chr1", "chr3"]
    assert data["start"].tolist() == [0, 5, 14, 12, 6, 8]
    assert data["end"].tolist() == [6, 11, 20, 18, 12, 14]
    assert data["label"].tolist() == [1, 1, 1, 0, 0, 0]
    assert data["weight"].tolist() == [1] * 6 and data["weight"].dtype == np.float32
    assert (data["window_bp"], data["flank_bp"]) == (6, 2)
    assert data["channels"] is None and data["normalisation"] == []


def test_what_the_file_says_of_itself(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    track = bedgraph(tmp_path / "open.bedGraph", ("chr1", 0, 6, 3))
    write_sequences(*example(), genome, 2, path, [("open", track)], "sequence:12", unknown="uniform", centred=True)
    with h5py.File(path) as store:
        assert store.attrs["alphabet"] == "ACGT"
        assert list(store.attrs["splits"]) == ["train", "validation", "test"]
        assert (store.attrs["window_bp"], store.attrs["flank_bp"], store.attrs["genome"]) == (6, 2, "sequence:12")
        assert (store.attrs["unknown"], store.attrs["centred"], store.attrs["position_channel"]) == ("uniform", 1, 0)
        assert list(store.attrs["channels"]) == ["open"]
        assert store["split"][:].tolist() == [0, 1, 2, 0, 0, 2]
        assert (store["codes"].shape, store["codes"].dtype) == ((6, 10), np.uint8)
        assert (store["channels"].shape, store["channels"].dtype) == ((6, 1, 10), np.float16)
        assert store["codes"].compression and store["codes"].chunks
    assert read_sequences(path)["encoding"] == {"unknown": "uniform", "centred": True, "position_channel": False}


def test_same_windows_same_file(stored, genome, tmp_path):
    again = tmp_path / "again.h5"
    write_sequences(*example(), genome, 2, again)
    assert again.read_bytes() == stored.read_bytes()


@pytest.mark.parametrize("at_once", [1, 25, 100])
def test_how_much_is_written_at_once_changes_nothing(genome, tmp_path, monkeypatch, at_once):
    track = bedgraph(tmp_path / "open.bedGraph", ("chr1", 2, 9, 3), ("chr3", 0, 12, -1))
    found = []
    for steps in (1 << 22, at_once):
        monkeypatch.setattr(extraction, "AT_ONCE", steps)
        monkeypatch.setattr(extraction, "CHUNK_BYTES", 20)
        write_sequences(*example(), genome, 2, tmp_path / "sequences.h5", [("open", track)])
        found.append(read_sequences(tmp_path / "sequences.h5", flank=True))
    np.testing.assert_array_equal(found[0]["codes"], found[1]["codes"])
    np.testing.assert_array_equal(found[0]["channels"], found[1]["channels"])


def test_failed_write_leaves_the_old_file(stored, genome, tmp_path):
    old = stored.read_bytes()
    peaks, negatives = example()
    with pytest.raises(InputError, match="chrX"):
        write_sequences(windows(("chrX", 0, 6, "train")), negatives, genome, 2, stored)
    flat = bedgraph(tmp_path / "flat.bedGraph", ("chr1", 0, 20, 1))
    with pytest.raises(InputError, match="tells nothing"):
        write_sequences(windows(("chr1", 5, 9, "train")), negatives[:0], genome, 2, stored, [("open", flat)])
    with pytest.raises(InputError, match="no peak and no negative"):
        write_sequences(peaks[:0], negatives[:0], genome, 2, stored)
    assert stored.read_bytes() == old
    assert [path.name for path in stored.parent.iterdir()] == ["sequences.h5"]


def test_windows_of_several_widths(genome, tmp_path):
    path = tmp_path / "sequences.h5"
    peaks = windows(("chr1", 0, 6, "train"), ("chr3", 10, 13, "train"))
    track = bedgraph(tmp_path / "open.bedGraph", ("chr3", 9, 10, 9), ("chr3", 10, 12, 1), ("chr1", 1, 2, 1))
    write_sequences(peaks, windows(("chr2", 0, 4, "test")), genome, 1, path, [("open", track)])
    data, wide = read_sequences(path), read_sequences(path, flank=True)
    assert letters(wide["codes"]) == ["NACGTNAC", "-TCATG--", "-NGGGGG-"]
    assert letters(data["codes"]) == ["ACGTNA", "-CAT--", "-GGGG-"]
    assert data["length"].tolist() == [6, 3, 4]
    for part in (data, wide):
        np.testing.assert_array_equal(part["mask"], part["codes"] != 5)
        assert not part["channels"][np.broadcast_to(~part["mask"][:, None], part["channels"].shape)].any()
    # training bases with flanks: 7 of chr1 from 0 on, the base before them is beyond the chromosome; 5 of chr3 from 9 on
    values = np.array([0, 1, 0, 0, 0, 0, 0, 9, 1, 1, 0, 0])
    mean, sd = values.mean(), values.std()
    assert data["normalisation"] == [{"name": "open", "mean": pytest.approx(mean), "sd": pytest.approx(sd)}]
    scaled = ((values - mean) / sd).astype(np.float16)
    assert wide["channels"][0, 0].tolist() == [0, *scaled[:7]]
    assert wide["channels"][1, 0].tolist() == [0, *scaled[7:], 0, 0]
    assert wide["channels"][2, 0].tolist() == [0, 0, *[scaled[0]] * 5, 0]
    assert data["channels"][1, 0].tolist() == [0, *scaled[8:11], 0, 0]


def test_channels_from_every_kind_of_file(genome, tmp_path):
    """The same values from bedGraph, plain and gzip, and bigWig; a BED file marks its intervals."""
    plain = bedgraph(tmp_path / "a.bedGraph", ("chr1", 12, 20, 2.5), ("chr1", 0, 4, 1))
    packed = tmp_path / "b.bedGraph.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    big = bigwig(tmp_path / "c.bw", {"chr1": (20, [1] * 4 + [np.nan] * 8 + [2.5] * 8)})
    bed = bedgraph(tmp_path / "d.bed", ("chr1", 2, 4), ("chr1", 12, 16))
    path = tmp_path / "sequences.h5"
    channels = list(zip("abcd", (plain, packed, big, bed), strict=True))
    write_sequences(*example(), genome, 2, path, channels)
    data = read_sequences(path, flank=True)
    assert [channel["name"] for channel in data["normalisation"]] == list("abcd")
    values = data["channels"].astype(float) * np.array([c["sd"] for c in data["normalisation"]])[:, None]
    values += np.array([channel["mean"] for channel in data["normalisation"]])[:, None]
    for i in range(3):
        assert values[3, i] == pytest.approx([0] * 2 + [2.5] * 8, abs=2e-3)  # chr1 10..20
        assert values[0, i, 2:] == pytest.approx([1] * 4 + [0] * 4, abs=2e-3)  # chr1 0..8
        assert values[1, i] == pytest.approx(np.zeros(10), abs=2e-3)  # chr2 has no value
    assert values[3, 3] == pytest.approx([0] * 2 + [1] * 4 + [0] * 4, abs=2e-3)


def test_normalisation_sees_training_windows_alone(genome, tmp_path):
    """Other values on chr2 and chr3, validation and test, change those windows and nothing else."""
    rows, found = [("chr1", 0, 4, 1), ("chr1", 12, 20, 2.5)], []
    for more in ([], [("chr2", 0, 20, 1000), ("chr3", 0, 20, -7)]):
        track = bedgraph(tmp_path / "open.bedGraph", *rows, *more)
        write_sequences(*example(), genome, 2, tmp_path / "sequences.h5", [("open", track)])
        found.append(read_sequences(tmp_path / "sequences.h5", flank=True))
    one, other = found
    assert one["normalisation"] == other["normalisation"]
    train = one["chrom"] == "chr1"
    np.testing.assert_array_equal(one["channels"][train], other["channels"][train])
    assert (one["channels"][~train][:, :, 2:-2] != other["channels"][~train][:, :, 2:-2]).all()
    beyond = other["channels"][train & (one["start"] == 0)][0, 0, :2]
    known = other["channels"][train].astype(float).ravel().tolist()
    assert beyond.tolist() == [0, 0]
    known.remove(0), known.remove(0)
    assert np.mean(known) == pytest.approx(0, abs=1e-3) and np.std(known) == pytest.approx(1, abs=1e-3)


def test_a_track_of_many_pieces(write_genome, tmp_path, monkeypatch):
    """Tracks come in pieces of a chromosome: windows that lie across them are whole."""
    monkeypatch.setattr("cisgrammar.covariates.CHUNK", 64)
    rng = np.random.default_rng(0)
    genome = write_genome({"chr1": "ACGT" * 100, "chr2": "GGCC" * 100})
    values = {chrom: rng.normal(size=400).astype(np.float32) for chrom in ("chr1", "chr2")}
    track = bigwig(tmp_path / "open.bw", {chrom: (400, numbers) for chrom, numbers in values.items()})
    table = windows(*((chrom, i, i + 30, "train") for chrom in ("chr2", "chr1") for i in rng.permutation(371)[:100]))
    write_sequences(table[:50], table[50:], genome, 0, tmp_path / "sequences.h5", [("open", track)])
    data = read_sequences(tmp_path / "sequences.h5")
    raw = np.stack(
        [values[chrom][start : start + 30] for chrom, start in zip(table["chrom"], table["start"], strict=True)]
    )
    assert data["normalisation"][0]["mean"] == pytest.approx(raw.mean(), abs=1e-6)
    assert data["normalisation"][0]["sd"] == pytest.approx(raw.std(), rel=1e-5)
    assert data["channels"][:, 0] == pytest.approx((raw - raw.mean()) / raw.std(), abs=2e-3)


def test_regions_have_the_channels_of_windows(genome, tmp_path):
    path, table = tmp_path / "sequences.h5", windows(("chr1", 2, 12, "train"), ("chr1", 5, 15, "train"))
    track = bedgraph(tmp_path / "open.bedGraph", ("chr1", 3, 9, 0.3), ("chr1", 9, 13, 0.7))
    write_sequences(table[:1], table[1:], genome, 0, path, [("open", track)])
    data = read_sequences(path)
    codes, channels = extract_regions(table, genome, [{**data["normalisation"][0], "path": track}])
    np.testing.assert_array_equal(np.stack(codes), data["codes"])
    np.testing.assert_array_equal(np.stack(channels), data["channels"])


def test_tracks_that_cannot_be_used(genome, tmp_path):
    path, (peaks, negatives) = tmp_path / "sequences.h5", example()
    endless = bigwig(tmp_path / "endless.bw", {"chr1": (20, [1, np.inf] * 10)})
    other = bedgraph(tmp_path / "other.bedGraph", ("1", 0, 6, 3))
    constant = bedgraph(tmp_path / "constant.bedGraph", ("chr1", 0, 20, 0.1), ("chr2", 0, 20, 3))
    unknown = bedgraph(tmp_path / "track.txt", ("chr1", 0, 6, 3))
    for track, message in (
        (endless, "endless.bw: infinite values in windows"),
        (other, "not those of the genome"),
        (constant, r"constant.bedGraph: sequences.channels: open is 0.1 at all 28 bases of the training windows"),
        (unknown, "unknown kind of signal"),
    ):
        with pytest.raises(InputError, match=message):
            write_sequences(peaks, negatives, genome, 2, path, [("open", track)])
    with pytest.raises(InputError, match="open is 0 at all 0 bases of the training windows"):
        write_sequences(peaks[1:], negatives[2:], genome, 2, path, [("open", constant)])


def test_shuffled_windows_keep_their_dinucleotides_and_the_others_their_bases(write_genome, tmp_path):
    rng = np.random.default_rng(0)
    store = write_genome({"chr1": "".join(rng.choice(list("ACGT"), 400))})
    peaks = windows(("chr1", 20, 120, "test"), ("chr1", 200, 300, "test"))
    negatives = pd.concat([peaks, peaks, peaks[:1]]).assign(negatives=["shuffled"] * 4 + ["motif"])
    files = [tmp_path / f"{name}.h5" for name in "abc"]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        write_sequences(peaks, negatives, store, 10, path, seed=seed)
    one, same, other = (read_sequences(path, flank=True) for path in files)
    assert one["negatives"].tolist() == ["", "", *["shuffled"] * 4, "motif"]
    assert (one["codes"] == same["codes"]).all()
    assert not (one["codes"][2:6] == other["codes"][2:6]).all(axis=1).any()
    original = np.concatenate([one["codes"][:2]] * 3)[:5]
    pairs = [np.sort(4 * codes[:, :-1].astype(int) + codes[:, 1:], axis=1) for codes in (original, one["codes"][2:])]
    assert (pairs[0] == pairs[1]).all()
    assert (original == one["codes"][2:]).all(axis=1).tolist() == [False] * 4 + [True]


def test_strong_peaks_weigh_more():
    """Ranks 1, 2.5, 2.5, 4 of four training peaks: shares 1/8, 1/2, 1/2, 7/8; the one of the test is alone."""
    peaks = pd.DataFrame({"name": ["train"] * 4 + ["test"], "score": ["10", "200", "200", "9000", "5"]})
    np.testing.assert_allclose(weigh_peaks(peaks, 1), [0.25, 1, 1, 1.75, 1])
    np.testing.assert_allclose(weigh_peaks(peaks, 0.4), [0.7, 1, 1, 1.3, 1])
    np.testing.assert_array_equal(weigh_peaks(peaks, 0), np.ones(5))
    assert weigh_peaks(peaks[:0], 1).shape == (0,)


def test_weights_of_peaks_are_stored(genome, tmp_path):
    peaks, negatives = example()
    peaks = peaks.assign(score=np.arange(len(peaks)))
    write_sequences(peaks, negatives, genome, 2, tmp_path / "sequences.h5", peak_strength=0.5)
    with h5py.File(tmp_path / "sequences.h5") as file:
        weights = file["weight"][:]
    np.testing.assert_array_equal(weights[: len(peaks)], weigh_peaks(peaks, 0.5))
    assert (weights[len(peaks) :] == 1).all()
