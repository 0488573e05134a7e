"""Bases and tracks of windows, read from the genome store and from bigWig, bedGraph and BED files.

Bases come from the memory map of the store (see covariates), whole windows at a time. Of a track, every base of the
genome is looked at once and only what lies in windows is kept, in a file, so that memory grows neither with the number of
windows nor with that of channels.
"""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd

from cisgrammar.covariates import release, signal_reader
from cisgrammar.dna import PADDING, UNKNOWN
from cisgrammar.files import atomic
from cisgrammar.log import InputError
from cisgrammar.sequences import inside
from cisgrammar.splits import SPLITS

AT_ONCE = 1 << 22  # bases in one step
CHUNK_BYTES = 4096  # of codes in a chunk of the file: small ones are fast to read in random order, see tests/benchmarks
LARGEST = float(np.finfo(np.float16).max)


def window_spans(windows, lengths, flank_bp, window_bp):
    """Where the bases of windows stand in an array (windows, window_bp + 2 flank_bp), those beyond the chromosome left out.

    windows: data frame chrom, start, end, none wider than window_bp; lengths: dict of chromosome to bp
    Returns a data frame chrom (a category), start, end, place: the bases start..end are items `place` and following of
    the array, read row by row.
    Raises InputError when a window lies on a chromosome that is not in `lengths`.
    """
    number, chroms = pd.factorize(windows["chrom"])
    strange = [chrom for chrom in chroms if chrom not in lengths]
    if strange:
        raise InputError(
            f"windows on chromosomes that the genome lacks: {', '.join(strange[:5])}; take those of this genome"
        )
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    left = (window_bp - (end - start)) // 2
    first, last = start - flank_bp, end + flank_bp
    from_, to = (
        np.maximum(first, 0),
        np.minimum(last, np.array([lengths[chrom] for chrom in chroms], dtype=np.int64)[number]),
    )
    place = np.arange(len(windows)) * (window_bp + 2 * flank_bp) + left + from_ - first
    return pd.DataFrame({"chrom": pd.Categorical.from_codes(number, chroms), "start": from_, "end": to, "place": place})


def copy_spans(values, begin, target, spans):
    """Copy what `values`, the bases of a chromosome from `begin` on, hold of spans to their places in `target`.

    target: one-dimensional array; spans: as of `window_spans`, of this chromosome
    """
    start, end, place = (spans[name].to_numpy() for name in ("start", "end", "place"))
    first, last = np.maximum(start, begin), np.minimum(end, begin + len(values))
    place, first, size = place + first - start, first - begin, last - first
    if not (size > 0).any():
        return
    usual = np.bincount(size[size > 0]).argmax()
    alike = np.flatnonzero(size == usual)
    into = np.lib.stride_tricks.sliding_window_view(target, usual, writeable=True)
    out_of = np.lib.stride_tricks.sliding_window_view(values, usual)
    for rows in np.split(alike, np.arange(0, len(alike), max(1, AT_ONCE // usual))[1:]):
        into[place[rows]] = out_of[first[rows]]
    for i in np.flatnonzero((size > 0) & (size != usual)):
        target[place[i] : place[i] + size[i]] = values[first[i] : first[i] + size[i]]


def copy_bases(spans, store, target):
    """Write the codes of spans, without the mark of soft-masked bases, to their places in `target`, a uint8 array."""
    for chrom, rows in spans.groupby("chrom", sort=False, observed=True):
        copy_spans(store.bases(chrom), 0, target, rows)
    target &= 7
    release(store.codes)


def extract_codes(windows, store, flank_bp=0, window_bp=None):
    """Codes of windows with their flanks, uint8 array (windows, window_bp + 2 flank_bp).

    windows: data frame chrom, start, end; store: genome store (covariates.Store); window_bp: width of the widest window,
    if that is not among these; narrower ones lie in the middle
    Codes are 0..3 for A C G T; 4 for other bases and beyond the chromosome; 5 in the padding beside narrower windows.
    """
    widths = (windows["end"] - windows["start"]).to_numpy()
    window_bp = int(widths.max()) if window_bp is None else window_bp
    width, beside = window_bp + 2 * flank_bp, 2 * flank_bp
    spans = window_spans(windows, chromosome_lengths(store), flank_bp, window_bp)
    codes = np.empty((len(windows), width), dtype=np.uint8)
    part = (spans["end"] - spans["start"]).to_numpy() < width
    codes[part] = np.where(inside(widths[part] + beside, width), np.uint8(UNKNOWN), np.uint8(PADDING))
    copy_bases(spans, store, codes.reshape(-1))
    return codes


def copy_track(path, spans, store, target, folder):
    """Write the values of a track in spans to their places in `target`, a float array.

    path: bigWig, bedGraph or BED file (`covariates.signal_reader`); folder: a folder for working files that is not there
    yet. A base without a value counts as 0, as for the covariates.
    Raises InputError as `signal_reader` does, and for infinite values.
    """
    reader = signal_reader(path, chromosome_lengths(store), folder)
    for chrom, rows in spans.groupby("chrom", sort=False, observed=True):
        begin, last = 0, rows["end"].max()
        for values in reader({"chrom": chrom, **store.chromosomes[chrom]}):
            if begin >= last:
                break
            near = rows[(rows["end"] > begin) & (rows["start"] < begin + len(values))]
            copy_spans(np.asarray(values), begin, target, near)
            begin += len(values)
            release(target)
    for i in range(0, len(target), AT_ONCE):
        part = target[i : i + AT_ONCE]
        if np.isinf(part).any():
            raise InputError(f"{path}: infinite values in windows; replace them by numbers")
        np.nan_to_num(part, copy=False)
        release(target)


def normalise(values, mean, sd):
    """(values - mean) / sd as float16, cut at its largest number."""
    return np.clip((values - mean) / sd, -LARGEST, LARGEST).astype(np.float16)


def tracks_of(channels, paths):
    """Channels (dicts name, mean, sd), each with the path of its file, as `extract_regions` takes them."""
    return [{**channel, "path": path} for channel, path in zip(channels, paths, strict=True)]


def extract_regions(regions, store, channels=()):
    """Codes and channels of regions of any length, each in an array of its own.

    regions: data frame chrom, start, end, within the chromosomes; channels: list of dicts path, mean, sd
    Returns (list of uint8 arrays (bases,), list of float16 arrays (channels, bases)).
    """
    size = (regions["end"] - regions["start"]).to_numpy()
    ends = np.cumsum(size)
    spans = regions[["chrom", "start", "end"]].assign(place=ends - size)
    codes = np.empty(ends[-1] if len(ends) else 0, dtype=np.uint8)
    copy_bases(spans, store, codes)
    tracks = np.zeros((len(channels), len(codes)), dtype=np.float16)
    with TemporaryDirectory() as folder:
        for i, channel in enumerate(channels):
            values = np.zeros(len(codes), dtype=np.float32)
            copy_track(channel["path"], spans, store, values, Path(folder) / str(i))
            tracks[i] = normalise(values, channel["mean"], channel["sd"])
    return np.split(codes, ends)[:-1], np.split(tracks, ends, axis=1)[:-1]


def shuffle_codes(codes, seed):
    """Codes (windows, bases), all of them known, with the dinucleotides of each window shuffled, by tangermeme.

    The first base and the counts of all dinucleotides stay (Altschul & Erickson 1985, Mol. Biol. Evol. 2:526).
    """
    import torch  # here, since it takes seconds and few runs need it
    from tangermeme.ersatz import dinucleotide_shuffle

    sequences = torch.as_tensor((codes[:, None] == np.arange(4)[:, None]).astype(np.float32))
    shuffled = dinucleotide_shuffle(sequences, n=1, random_state=seed)[:, 0]
    return shuffled.argmax(dim=1).numpy().astype(np.uint8)


def weigh_peaks(peaks, strength):
    """Weight of each peak in training, float32 array (peaks,): the mean is 1 in each split.

    peaks: data frame name (= split), score; strength: 0 for 1 each, up to 1 for weights that rise evenly with the rank of
    the score, from 0 to 2. Ranks, as scores of peaks have long tails; peaks of equal score have equal weights.
    """
    shares = peaks["score"].astype(float).groupby(peaks["name"]).rank(method="average").sub(0.5)
    shares /= peaks.groupby("name")["name"].transform("size")
    return (1 + strength * (2 * shares - 1)).to_numpy(dtype=np.float32)


def write_sequences(
    peaks, negatives, store, flank_bp, path, channels=(), genome="", seed=0, peak_strength=0, **encoding
):
    """Extract peaks (label 1) and negatives (label 0) and write them to `path`, some at a time; see sequences.

    peaks, negatives: data frames chrom, start, end, name (= split); they may differ in width; negatives also with the
    column negatives, the set, unless all are matched
    store: genome store; channels: list of (name, path of a bigWig, bedGraph or BED file); genome: checksum to be noted
    seed: of the shuffles of windows whose column negatives says `shuffled`
    peak_strength: see `weigh_peaks`; above 0 it asks for the column score in peaks
    encoding: unknown, centred, position_channel, to be noted for `layers.encode`
    A channel has mean 0 and standard deviation 1 over the bases of the training windows with their flanks. A base without
    a value counts as 0 before that; beyond the chromosome and in padding a channel is 0 after that, the mean, which is
    also what networks see beyond the ends of a window.
    Raises InputError when there is no window, a channel cannot be read, or does not vary over the training windows.
    """
    negatives = negatives.assign(label=0, negatives=negatives.get("negatives", "matched"))
    windows = pd.concat([peaks.assign(label=1, negatives=""), negatives], ignore_index=True)
    windows = windows.astype({"start": np.int64, "end": np.int64})
    if windows.empty:
        raise InputError(f"{path}: no peak and no negative to extract; lower peaks.q_value or give other peaks")
    window_bp = int((windows["end"] - windows["start"]).max())
    width = window_bp + 2 * flank_bp
    encoding = {"unknown": "zero", "centred": False, "position_channel": False, **encoding}
    with (
        atomic(path) as temporary,
        TemporaryDirectory(dir=temporary.parent, prefix=f"{temporary.name}.") as folder,
        h5py.File(temporary, "w", track_order=False) as file,
    ):
        file.attrs.update(alphabet="ACGT", window_bp=window_bp, flank_bp=flank_bp, splits=list(SPLITS), genome=genome)
        file.attrs.update(encoding)
        file["chrom"] = windows["chrom"].to_numpy(dtype=h5py.string_dtype())
        file["start"], file["end"] = windows["start"].to_numpy(), windows["end"].to_numpy()
        file["label"] = windows["label"].to_numpy(dtype=np.uint8)
        file["split"] = windows["name"].map({name: i for i, name in enumerate(SPLITS)}).to_numpy(dtype=np.uint8)
        file["negatives"] = windows["negatives"].to_numpy(dtype=h5py.string_dtype())
        weights = weigh_peaks(peaks, peak_strength) if peak_strength else np.ones(len(peaks))
        file["weight"] = np.concatenate([weights, np.ones(len(negatives))]).astype(np.float32)
        rows = min(len(windows), max(1, CHUNK_BYTES // width))
        codes = file.create_dataset(
            "codes", (len(windows), width), np.uint8, chunks=(rows, width), compression="gzip", compression_opts=4
        )
        for part in parts(len(windows), width, rows):
            values = extract_codes(windows[part], store, flank_bp, window_bp)
            shuffled = (windows[part]["negatives"] == "shuffled").to_numpy()
            if shuffled.any():
                values[shuffled] = shuffle_codes(values[shuffled], seed + part.start)
            codes[part] = values
        described = write_channels(file, channels, windows, store, rows, Path(folder)) if channels else []
        file.attrs["channels"] = np.array([name for name, _ in channels], dtype=h5py.string_dtype())
        file.attrs["mean"], file.attrs["sd"] = np.array(described, dtype=np.float64).reshape(-1, 2).T
    logging.info(
        "%s: %d windows of %d bp, flanks of %d bp, %d channels", path, len(windows), window_bp, flank_bp, len(channels)
    )


def parts(n, width, rows):
    """Slices of `n` windows of `width` bases, AT_ONCE bases or so each, all but the last with a multiple of `rows`."""
    step = max(1, AT_ONCE // width // rows) * rows
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def write_channels(file, channels, windows, store, rows, folder):
    """Write the dataset `channels` of a sequence file that has codes; returns a list of (mean, sd). See `write_sequences`.

    rows: windows in a chunk; folder: for working files, a number of 4 bytes per base of all windows and channel
    """
    n, width = file["codes"].shape
    flank_bp = int(file.attrs["flank_bp"])
    spans = window_spans(windows, chromosome_lengths(store), flank_bp, width - 2 * flank_bp)
    first = spans["place"].to_numpy() - np.arange(n) * width
    column, size = np.arange(width), (spans["end"] - spans["start"]).to_numpy()

    def covered(part):
        return (column >= first[part, None]) & (column < (first + size)[part, None])

    train, tracks, described = (windows["name"] == "train").to_numpy(), [], []
    for i, (name, path) in enumerate(channels):
        track = np.memmap(folder / f"{i}.values", np.float32, "w+", shape=n * width)
        copy_track(path, spans, store, track, folder / str(i))
        tracks.append(track)
        described.append(describe_track(name, path, track, train, covered))
        logging.info("channel %s: mean %.6g, sd %.6g over the training windows", name, *described[-1])
    dataset = file.create_dataset(
        "channels",
        (n, len(channels), width),
        np.float16,
        chunks=(rows, len(channels), width),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
    )
    for part in parts(n, width * len(channels), rows):
        values = [normalise(rows_of(track, part, width), *one) for track, one in zip(tracks, described, strict=True)]
        dataset[part] = np.stack(values, axis=1) * covered(part)[:, None]
    return described


def rows_of(track, part, width):
    """Rows of a memory-mapped track (windows * width), a copy in memory, float32 array (windows, width)."""
    values = np.array(track[part.start * width : part.stop * width]).reshape(-1, width)
    release(track)
    return values


def describe_track(name, path, track, train, covered):
    """(mean, standard deviation) of a track over what is covered of the windows where `train` holds.

    track: memory map (windows * bases); covered: function of a slice of windows that tells which bases lie in the genome
    Raises InputError when there is no such window or all values are the same.
    """
    width = len(track) // len(train)
    blocks = [part for part in parts(len(train), width, 1) if train[part].any()]

    def total(function):
        values = (rows_of(track, part, width)[covered(part) & train[part, None]] for part in blocks)
        return sum(function(part.astype(np.float64)).sum() for part in values)

    n = total(np.ones_like)
    mean = total(np.array) / n if n else 0.0
    sd = np.sqrt(total(lambda values: (values - mean) ** 2) / n) if n else 0.0
    if not sd > 1e-9 * abs(mean):
        raise InputError(
            f"{path}: sequences.channels: {name} is {mean:g} at all {n:.0f} bases of the training windows and tells "
            "nothing; give a track of these chromosomes or leave it out"
        )
    return float(mean), float(sd)


def chromosome_lengths(store):
    """Dict of chromosome to bp of a genome store."""
    return {chrom: entry["length_bp"] for chrom, entry in store.chromosomes.items()}
