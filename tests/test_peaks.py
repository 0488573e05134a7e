"""Peaks: macs3's own published result, then summits and windows by hand."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from cisgrammar.intervals import overlaps, read_bed
from cisgrammar.log import InputError
from cisgrammar.peaks import call_peaks, center_peaks, macs3_command, read_peaks, unknown


def entry(file, role="treatment", kind="BED"):
    return {"file": str(file), "role": role, "format": kind}


def test_calls_are_those_that_macs3_published(shared, tmp_path):
    """The settings are those of macs3's test: -g 52000000 and its defaults, here -q 0.05."""
    folder = shared / "macs3"
    files = [
        entry(folder / "CTCF_SE_ChIP_chr22_50k.bed.gz"),
        entry(folder / "CTCF_SE_CTRL_chr22_50k.bed.gz", "control"),
    ]
    output = tmp_path / "called.narrowPeak"
    call_peaks(files, 52_000_000, 0.05, "", output)

    def columns(path):
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        return [row[:3] + row[4:] for row in rows]

    found = columns(output)
    assert len(found) > 700
    assert found == columns(folder / "CTCF_SE.expected.narrowPeak")
    assert list(tmp_path.iterdir()) == [output]


def test_broad_peaks_have_their_middle_for_a_summit(shared, tmp_path):
    folder = shared / "macs3"
    files = [
        entry(folder / "CTCF_SE_ChIP_chr22_50k.bed.gz"),
        entry(folder / "CTCF_SE_CTRL_chr22_50k.bed.gz", "control"),
    ]
    output = tmp_path / "called.narrowPeak"
    call_peaks(files, 52_000_000, 0.05, "--broad", output)
    assert list(tmp_path.iterdir()) == [output]
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert {len(row) for row in rows} == {10} and {row[9] for row in rows} == {"-1"}
    peaks = read_peaks([output])
    assert len(peaks) == len(rows) > 500
    assert (peaks["summit"] == (peaks["start"] + peaks["end"]) // 2).all()
    assert peaks["score"].tolist() == [float(row[6]) for row in rows]
    # The narrow peaks that macs3 published lie in the broad ones, since those go on at a lower threshold.
    assert overlaps(read_bed(folder / "CTCF_SE.expected.narrowPeak", ["chrom", "start", "end"]), peaks).mean() > 0.99


def test_missing_macs3_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(InputError, match=r"macs3 is not installed where this job runs; run `make setup`"):
        call_peaks([entry("a.bed")], 1e6, 0.05, "", tmp_path / "called.narrowPeak")
    assert list(tmp_path.iterdir()) == []


def test_macs3_beside_the_interpreter_is_found(tmp_path, monkeypatch):
    """An interpreter that was started by its path, its folder not on PATH."""
    program = tmp_path / "bin" / "macs3"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$1 of the one beside"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(program.parent / "python"))
    with pytest.raises(InputError, match=r"status 3 on a\.bed: callpeak of the one beside;"):
        call_peaks([entry("a.bed")], 1e6, 0.05, "", tmp_path / "called.narrowPeak")
    assert list(tmp_path.iterdir()) == [program.parent]


def test_command_pools_replicates():
    files = [
        entry("a.bam", kind="BAM"),
        entry("input.bam", "control", "BAM"),
        entry("b.bam", kind="BAM"),
        entry("input.bam", "control", "BAM"),
    ]
    command = macs3_command(files, 2.7e9, 0.01, "--nomodel --extsize 200", "out")
    assert command[:2] == ["macs3", "callpeak"]
    text = " ".join(command)
    assert "--treatment a.bam b.bam --control input.bam --format BAM" in text
    assert "--gsize 2700000000 --qvalue 0.01" in text
    assert text.endswith("--nomodel --extsize 200")
    assert "--control" not in macs3_command(files[:1], 2.7e9, 0.01, "", "out")


def test_command_refuses_formats_side_by_side():
    with pytest.raises(InputError, match=r"one format.*: a\.bam \(BAMPE\), b\.bed \(BED\)"):
        macs3_command([entry("a.bam", kind="BAMPE"), entry("b.bed")], 1e6, 0.05, "", "out")


@pytest.fixture
def scattered(tmp_path):
    """BED file of 300 reads without a peak."""
    folder = tmp_path / "reads"
    folder.mkdir()
    starts = np.sort(np.random.default_rng(1).integers(0, 900_000, 300))
    (folder / "reads.bed").write_text("".join(f"chr1\t{start}\t{start + 50}\t.\t.\t+\n" for start in starts))
    return folder / "reads.bed"


@pytest.mark.parametrize(
    ("options", "words"),
    [("", "macs3 stopped with status 1"), ("--nonsense", "unrecognized arguments: --nonsense")],
)
def test_call_that_fails_tells_why(scattered, tmp_path, options, words):
    with pytest.raises(InputError) as caught:
        call_peaks([entry(scattered)], 1e6, 0.05, options, tmp_path / "called.narrowPeak")
    message = str(caught.value)
    assert words in message and str(scattered) in message and "peaks.macs3_options" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == [scattered.parent]


def test_call_without_a_peak(scattered, tmp_path):
    with pytest.raises(InputError, match=r"reads\.bed"):
        call_peaks([entry(scattered)], 1e6, 0.05, "--nomodel --extsize 200", tmp_path / "called.narrowPeak")
    assert list(tmp_path.iterdir()) == [scattered.parent]


def put(path, text):
    path.write_text(text)
    return path


def test_read_peaks_takes_the_summit_or_the_middle(tmp_path):
    narrow = put(
        tmp_path / "a.narrowPeak",
        "chr1\t100\t200\tp1\t50\t.\t7.5\t12\t9\t30\nchr1\t300\t401\tp2\t40\t.\t6.5\t11\t8\t-1\n",
    )
    bed6 = put(tmp_path / "b.bed", "chr2\t10\t11\tp\t765\t.\n")
    bed3 = put(tmp_path / "c.bed", "chr2\t10\t20\n")
    no_score = put(tmp_path / "d.bed", "chr2\t10\t21\tp\t.\t+\n")
    peaks = read_peaks([narrow, bed6, bed3, no_score])
    assert peaks["summit"].tolist() == [130, 350, 10, 15, 15]
    assert peaks["summit"].dtype == "int64" and peaks["score"].dtype == "float64"
    assert peaks["score"].tolist()[2:] == [765, 0, 0]
    assert peaks["score"][0] > peaks["score"][1]
    assert peaks["end"].tolist() == [200, 401, 11, 20, 21]


def test_read_peaks_of_more_columns_than_a_narrow_peak_has(tmp_path):
    """Column 10 of a BED12 file is the number of its blocks, not a summit."""
    bed12 = put(tmp_path / "a.bed", "chr1\t100\t200\tp\t50\t+\t110\t190\t0\t2\t10,20\t0,80\n")
    peaks = read_peaks([bed12])
    assert (peaks["summit"][0], peaks["score"][0]) == (150, 50)


@pytest.mark.parametrize(("signal", "summit"), [("x", "30"), ("7.5", "x")])
def test_read_peaks_with_a_column_that_is_no_number(tmp_path, signal, summit):
    path = put(tmp_path / "a.narrowPeak", f"chr1\t100\t200\tp\t50\t.\t{signal}\t12\t9\t{summit}\n")
    with pytest.raises(InputError, match=r"a\.narrowPeak"):
        read_peaks([path])


@pytest.mark.parametrize("name", ["a.narrowPeak", "a.bed"])
def test_read_peaks_of_an_empty_file(tmp_path, name):
    peaks = read_peaks([put(tmp_path / name, "")])
    assert len(peaks) == 0
    assert list(peaks.columns) == ["chrom", "start", "end", "summit", "score"]


SPLITS = pd.DataFrame(
    {
        "chrom": ["chr1", "chr2", "chr3", "chrM"],
        "length_bp": [200, 100, 100, 100],
        "split": ["train", "validation", "test", "ignored"],
    }
)
NO_REGIONS = pd.DataFrame({"chrom": [], "start": [], "end": []})


def peaks_of(*rows):
    """Peaks (chrom, summit, score), 1 bp long."""
    table = pd.DataFrame(rows, columns=["chrom", "summit", "score"])
    return table.assign(start=table["summit"], end=table["summit"] + 1, score=table["score"].astype(float))


ONE_EACH = (("chr2", 50, 1), ("chr3", 50, 1))


@pytest.fixture
def genome(write_fasta):
    """chr1 has 5 unknown bases, 150 to 154."""
    return write_fasta(
        {
            "chr1": "ACGT" * 37 + "AC" + "NNNNR" + "ACGTA" * 9,
            "chr2": "acgt" * 25,
            "chr3": "ACGT" * 25,
            "chrM": "ACGT" * 25,
        }
    )


def center(genome, peaks, blacklist=NO_REGIONS, window_bp=20, minimum=1, maximum=None, unknown_share=0.0):
    return center_peaks(peaks, SPLITS, blacklist, genome, window_bp, minimum, maximum, unknown_share)


def starts(windows, chrom="chr1"):
    return windows.loc[windows["chrom"] == chrom, "start"].tolist()


@pytest.mark.parametrize(("window_bp", "first", "last"), [(20, 40, 60), (21, 40, 61), (1, 50, 51)])
def test_window_lies_around_the_summit(genome, window_bp, first, last):
    windows, _ = center(genome, peaks_of(("chr1", 50, 3), *ONE_EACH), window_bp=window_bp)
    assert windows.iloc[0].to_dict() == {
        **dict(chrom="chr1", start=first, end=last, name="train", score=3.0, strand="."),
    }
    assert windows["name"].tolist() == ["train", "validation", "test"]


def test_windows_beyond_a_chromosome_are_dropped(genome):
    summits = [("chr1", summit, 1) for summit in (9, 10, 190, 191)]
    windows, counts = center(genome, peaks_of(*summits, *ONE_EACH))
    assert starts(windows) == [0, 180]
    assert counts.set_index("step")["n"]["whole window on the chromosome"] == 4


def test_windows_in_the_blacklist_are_dropped(genome):
    summits = [("chr1", summit, 1) for summit in (50, 51, 79, 80)]
    blacklist = pd.DataFrame({"chrom": ["chr1", "chr3"], "start": [60, 0], "end": [70, 40]})
    windows, counts = center(genome, peaks_of(*summits, *ONE_EACH), blacklist)
    # [40, 60) and [70, 90) touch the region without sharing a base; so does chr3:40-60
    assert starts(windows) == [40, 70] and starts(windows, "chr3") == [40]
    assert counts.set_index("step")["n"]["outside the blacklist"] == 4


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, [130]), (0.1, [130, 132]), (0.25, [130, 132, 148]), (1, [130, 132, 148])]
)
def test_windows_with_unknown_bases_are_dropped(genome, share, expected):
    summits = [("chr1", summit, 1) for summit in (140, 142, 158)]  # 0, 2 and 5 unknown bases of 20
    windows, _ = center(genome, peaks_of(*summits, *ONE_EACH), unknown_share=share)
    assert starts(windows) == expected


def test_unknown_share_by_hand(genome):
    windows = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [150, 148, 0], "end": [155, 158, 9]})
    np.testing.assert_allclose(unknown(windows, genome), [1, 0.5, 0], atol=1e-12)
    assert unknown(windows[:0], genome).shape == (0,)


def test_second_window_at_a_place_is_dropped_and_the_better_score_stays(genome):
    windows, counts = center(genome, peaks_of(("chr1", 50, 2), ("chr1", 50, 7), ("chr1", 51, 1), *ONE_EACH))
    assert starts(windows) == [40, 41]
    assert windows["score"].tolist()[:2] == [7, 1]
    assert counts.set_index("step")["n"]["one per place"] == 4


def test_maximum_keeps_the_best_scores(genome):
    peaks = peaks_of(
        ("chr1", 50, 2), ("chr1", 60, 9), ("chr1", 70, 3), ("chr2", 50, 8), ("chr3", 50, 7), ("chr3", 60, 1)
    )
    windows, counts = center(genome, peaks, maximum=4)
    assert windows[["chrom", "start"]].to_numpy().tolist() == [
        *(["chr1", 50], ["chr1", 60], ["chr2", 40], ["chr3", 40]),
    ]
    assert counts.set_index("step")["n"]["best 4"] == 4


def test_chromosomes_that_are_not_used_are_dropped(genome):
    windows, counts = center(genome, peaks_of(("chr1", 50, 1), ("chrM", 50, 9), ("chrX", 50, 9), *ONE_EACH))
    assert sorted(windows["chrom"]) == ["chr1", "chr2", "chr3"]
    assert counts["n"].tolist()[:2] == [5, 3]


def test_table_of_counts(genome):
    peaks = peaks_of(
        *(("chrM", 50, 9), ("chr1", 3, 9), ("chr1", 30, 9), ("chr1", 150, 9)),
        *(("chr1", 80, 5), ("chr1", 80, 6), ("chr1", 100, 4), ("chr1", 101, 0.5), *ONE_EACH),
    )
    blacklist = pd.DataFrame({"chrom": ["chr1"], "start": [25], "end": [26]})
    windows, counts = center(genome, peaks, blacklist, maximum=4)
    assert json.loads(counts.to_json(orient="values")) == [
        ["peaks read", 10],
        ["on chromosomes in use", 9],
        ["whole window on the chromosome", 8],
        ["outside the blacklist", 7],
        ["at most 0 unknown bases", 6],
        ["one per place", 5],
        ["best 4", 4],
        ["train", 2],
        ["validation", 1],
        ["test", 1],
    ]
    assert starts(windows) == [70, 90]


def test_too_few_windows(genome):
    with pytest.raises(InputError) as caught:
        center(genome, peaks_of(("chr1", 50, 1), ("chr1", 2, 1), *ONE_EACH), minimum=4)
    message = str(caught.value)
    assert message.startswith("3 peaks are left, fewer than the 4 of peaks.minimum (4 peaks read, ")
    assert "3 whole window on the chromosome" in message


def test_no_peak_at_all(genome, tmp_path):
    with pytest.raises(InputError, match=r"0 peaks are left, fewer than the 1 of peaks\.minimum \(0 peaks read"):
        center(genome, read_peaks([put(tmp_path / "a.bed", "")]), read_bed(put(tmp_path / "b.bed", "")))


@pytest.mark.parametrize(("left", "lacking"), [("chr2", "test"), ("chr3", "validation")])
def test_split_without_a_window(genome, left, lacking):
    with pytest.raises(InputError, match=f"no peak on the {lacking} chromosomes .*references.splits"):
        center(genome, peaks_of(("chr1", 50, 1), (left, 50, 1)))


def test_real_summits(shared):
    """Binding events of ChIP-exo are points; the summit is the point itself."""
    path = shared / "yeast" / "peaks" / "Reb1.bed"
    peaks = read_peaks([path])
    assert (peaks["summit"] == peaks["start"]).all() and (peaks["end"] == peaks["start"] + 1).all()
    assert peaks["score"].max() > peaks["score"].min() > 0
