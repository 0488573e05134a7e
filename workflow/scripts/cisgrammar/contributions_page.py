"""The report on contributions of single bases: the best and the worst explained test peaks of an experiment, as letters."""

import h5py
import numpy as np

N_PEAKS, LOGO_BP = 2, 80
WIDTH, TRACK, LETTERS = 880, 36, 110  # of a picture, of the track above, of the letters below


def shown_peaks(path):
    """The explained test peaks that the network scores highest and lowest, with the contributions of their bases.

    path: contributions.h5; only the rows that are drawn are read from it
    Returns a list of dicts kind (best or worst), chrom, start, end (of the window), from_bp, to_bp (of the letters), score,
    and what `picture` returns. The letters are the `LOGO_BP` bases around the base with the largest contribution; all
    pictures have the same scale.
    """
    peaks = []
    with h5py.File(path) as file:
        score = file["score"][:]
        order = np.argsort(-score, kind="stable")
        worst = order[N_PEAKS:][-N_PEAKS:]
        for kind, rows in (("best", order[:N_PEAKS]), ("worst", worst)):
            for row in map(int, rows):
                chrom, start = file["chrom"][row], int(file["start"][row])
                chrom = chrom.decode() if isinstance(chrom, bytes) else str(chrom)
                place = {"chrom": chrom, "start": start, "end": int(file["end"][row]), "score": float(score[row])}
                peaks.append({"kind": kind, "values": file["contributions"][row].astype(float), **place})
    columns = [peak["values"].sum(axis=0) for peak in peaks]
    low, high = min([0, *(c.min() for c in columns)]), max([1e-9, *(c.max() for c in columns)])
    for peak, values in zip(peaks, columns, strict=True):
        first = max(0, min(int(values.argmax()) - LOGO_BP // 2, len(values) - LOGO_BP))
        peak["from_bp"], peak["to_bp"] = peak["start"] + first, peak["start"] + min(first + LOGO_BP, len(values))
        peak.update(picture(peak.pop("values"), first, low, high))
    return peaks


def picture(values, first, low, high):
    """What is drawn of one window, in units of the picture, y downward.

    values: float array (4, bases), rows A C G T; first: base at which the letters start; low, high: of the scale
    Returns a dict: track (points of a line over all bases), shade (x and width of the part that letters show), zero (y of
    the axis of the letters), letters (list of base, x, y, width, height; height below 0 for a letter upside down).
    """
    column, n_bases = values.sum(axis=0), values.shape[1]
    scale = 1 / (high - low)
    heights = TRACK * (high - column) * scale
    track = " ".join(f"{WIDTH * (i + 0.5) / n_bases:.1f},{y:.1f}" for i, y in enumerate(heights))
    shown = column[first : first + LOGO_BP]
    bases = np.abs(values[:, first : first + LOGO_BP]).argmax(axis=0)
    width = WIDTH / LOGO_BP
    zero = TRACK + 8 + LETTERS * high * scale
    letters = [
        ("ACGT"[base], round(i * width, 1), round(zero - height, 1), round(width, 1), round(height, 1))
        for i, (base, height) in enumerate(zip(bases, LETTERS * shown * scale, strict=True))
        if abs(height) >= 0.5
    ]
    shade = (round(WIDTH * first / n_bases, 1), round(WIDTH * len(shown) / n_bases, 1))
    return {"track": track, "shade": shade, "zero": round(zero, 1), "letters": letters}
