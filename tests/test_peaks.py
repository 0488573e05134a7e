"""Peaks: macs3's own published results, then every kind of reads, then summits and windows by hand."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pysam
import pytest
from cisgrammar.covariates import open_store, write_store
from cisgrammar.intervals import overlaps, read_bed
from cisgrammar.log import InputError
from cisgrammar.negatives import find_candidates
from cisgrammar.peaks import best_around, call_peaks, center_peaks, macs3_command, read_peaks, unknown
from cisgrammar.reads import describe_file


def entry(file, role="treatment", kind="BED"):
    return {"file": str(file), "role": role, "format": kind}


def described(path, lengths, role="treatment"):
    """What the check of the input tells of a file, its format included."""
    row = {"place": "samples.tsv, row 2", "role": role, "replicate": "1", "checksum": "", "location": str(path)}
    return describe_file(path, row, lengths, 1)


def call(tmp_path, files, options="", effective_genome_bp=52_000_000):
    """Rows of the peaks that are called, as lists of text without the name in column 4."""
    folder = tmp_path / "calls"
    folder.mkdir(exist_ok=True)
    output = folder / "called.narrowPeak"
    call_peaks(files, effective_genome_bp, 0.05, options, output)
    assert list(folder.iterdir()) == [output]
    return rows_of(output)


def rows_of(path):
    return [[*row[:3], *row[4:]] for row in (line.split("\t") for line in path.read_text().splitlines())]


@pytest.fixture
def ctcf(shared):
    """Function from SE or PE to the checked files of macs3's CTCF reads, ChIP and control."""
    folder = shared / "macs3"
    if not folder.is_dir():
        pytest.skip("the CTCF reads of macs3 are not there (folder shared/data/macs3 beside the checkout)")

    def files(ends):
        kind = "bed" if ends == "SE" else "bedpe"
        return [
            described(folder / f"CTCF_{ends}_{name}_chr22_50k.{kind}.gz", {"chr22": 51_304_566}, role)
            for name, role in (("ChIP", "treatment"), ("CTRL", "control"))
        ]

    return files


def test_calls_are_those_that_macs3_published(ctcf, shared, tmp_path):
    """The settings are those of macs3's test: -g 52000000 and its defaults, here -q 0.05."""
    found = call(tmp_path, ctcf("SE"))
    assert len(found) > 700
    assert found == rows_of(shared / "macs3" / "CTCF_SE.expected.narrowPeak")


# Of the files that macs3 publishes for the paired-end reads: the arguments in its test/cmdlinetest, the number of characters
# of the file, the stem of the names in column 4, and rows by the end of their name. From github.com/macs3-project/MACS
# (BSD-3-Clause), test/standard_results_callpeak_pe_narrow/run_callpeak_{bedpe_narrow,pe_narrow_onlychip}_peaks.narrowPeak
# at commit fd4907f1 and test/standard_results_callpeak_pe_broad/run_callpeak_bedpe_broad_peaks.broadPeak at 5ac4a5a6. Of the
# last one the length is not compared: commits of it differ in the last digit of a number.
PUBLISHED = {
    "--call-summits": (
        *(2, "--call-summits", 66_840, "run_callpeak_bedpe_narrow_peak_"),
        """
        558  41922569 41923155 811  . 35.5852 84.9051 81.1603 318
        571  42253552 42254060 409  . 12.2243 44      40.9775 231
        583  42833414 42833966 1337 . 39.7629 138.363 133.74  272
        628  45022056 45022691 1219 . 48.3805 126.417 121.98  237
        652a 46374364 46375321 310  . 10.9437 33.9531 31.0993 238
        652b 46374364 46375321 1004 . 32.0538 104.488 100.424 673
        694  50679461 50679967 577  . 17.7273 61.1064 57.78   252
        702  50898114 50898380 16   . 3.35976 3.81181 1.63667 84
        705a 50964070 50965126 89   . 6.09589 11.3757 8.93923 201
        705b 50964070 50965126 284  . 9.73419 31.2812 28.4739 791
        709  51058698 51059281 734  . 19.3423 77.0576 73.45   325
        715  51213617 51213913 219  . 13.3774 24.6976 21.9989 153
        """,
    ),
    "without a control": (
        *(1, "", 80_475, "run_callpeak_pe_narrow_onlychip_peak_"),
        """
        806  50982590 50983068 221  . 9.47068 24.9422 22.138  234
        809  51021551 51021837 31   . 4.26857 5.35903 3.10004 237
        810  51058732 51059250 664  . 16.1177 70.3373 66.4537 295
        812  51066319 51066762 164  . 10.49   19.1456 16.4681 211
        817  51170523 51170957 282  . 15.1185 31.1911 28.2531 209
        820  51222064 51222322 17   . 3.22088 3.92939 1.75566 11
        """,
    ),
    "--broad": (
        *(2, "--broad", None, "run_callpeak_bedpe_broad_peak_"),
        """
        702  50986542 50987235 39   . 4.15769 6.20197 3.93186 -1
        703  51001083 51001545 314  . 12.5374 34.3051 31.467  -1
        706  51066431 51066744 29   . 3.39122 5.16642 2.92896 -1
        708  51129823 51130374 236  . 11.4772 26.3641 23.668  -1
        711  51213617 51213913 138  . 9.37259 16.4035 13.8822 -1
        """,
    ),
}


@pytest.mark.parametrize("published", PUBLISHED)
def test_calls_of_pairs_are_those_that_macs3_published(ctcf, tmp_path, published):
    """And those of macs3 itself, run by hand on the same files."""
    n_files, options, n_characters, stem, rows = PUBLISHED[published]
    files = ctcf("PE")[:n_files]
    assert [entry["format"] for entry in files] == ["BEDPE"] * n_files
    found = call(tmp_path, files, options)
    words = [line.split() for line in rows.splitlines()[1:-1]]
    expected = {end: ["chr22", *row] for end, *row in words}
    by_end = dict(zip(read_names(tmp_path), found, strict=True))
    assert {end: by_end[end] for end in expected} == expected
    assert list(by_end)[-1] == list(expected)[-1]
    if n_characters:
        text = (tmp_path / "calls" / "called.narrowPeak").read_text()
        assert len(text.replace("called_peak_", stem)) == n_characters
    control = ["-c", files[1]["file"]] if n_files > 1 else []
    command = ["macs3", "callpeak", "-f", "BEDPE", "-t", files[0]["file"], *control, "-g", "52000000", *options.split()]
    subprocess.run([*command, "-n", "byhand", "--outdir", tmp_path], capture_output=True, check=True)
    (direct,) = (*tmp_path.glob("*.narrowPeak"), *tmp_path.glob("*.broadPeak"))
    assert found == [row if len(row) == 9 else [*row, "-1"] for row in rows_of(direct)]


def read_names(tmp_path):
    lines = (tmp_path / "calls" / "called.narrowPeak").read_text().splitlines()
    return [line.split("\t")[3].removeprefix("called_peak_") for line in lines]


def test_broad_peaks_have_their_middle_for_a_summit(ctcf, shared, tmp_path):
    rows = call(tmp_path, ctcf("SE"), "--broad")
    assert {len(row) for row in rows} == {9} and {row[8] for row in rows} == {"-1"}
    peaks = read_peaks([tmp_path / "calls" / "called.narrowPeak"])
    assert len(peaks) == len(rows) > 500
    assert (peaks["summit"] == (peaks["start"] + peaks["end"]) // 2).all()
    assert peaks["score"].tolist() == [float(row[5]) for row in rows]
    # The narrow peaks that macs3 published lie in the broad ones, since those go on at a lower threshold.
    narrow = read_bed(shared / "macs3" / "CTCF_SE.expected.narrowPeak", ["chrom", "start", "end"])
    assert overlaps(narrow, peaks).mean() > 0.99


SITES, LENGTH_BP = (20_000, 45_000, 70_000), 100_000


def fragments():
    """Starts and ends of 600 fragments of 150 bp around three sites and 200 from anywhere, sorted by start."""
    rng = np.random.default_rng(5)
    centers = np.concatenate([rng.normal(np.repeat(SITES, 200), 20), rng.uniform(200, LENGTH_BP - 200, 200)])
    starts = np.sort(np.unique(centers.astype(int) - 75))
    return starts, starts + 150


def write_bam(path, paired):
    """Indexed BAM file of `fragments`: both mates, or one read of each, forward and reverse in turn; 30 bp each."""
    reads = []
    for number, (start, end) in enumerate(zip(*fragments(), strict=True)):
        if paired:
            reads += [(number, 99, start, end - 30, 150), (number, 147, end - 30, start, -150)]
        else:
            reads.append((number, 16, end - 30, -1, 0) if number % 2 else (number, 0, start, -1, 0))
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": LENGTH_BP}]}
    )
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number, flag, start, mate, size in sorted(reads, key=lambda read: read[2]):
            read = pysam.AlignedSegment(header)
            read.query_name, read.query_sequence, read.flag = f"r{number}", "ACGTA" * 6, flag
            read.reference_id, read.reference_start, read.cigar, read.mapping_quality = 0, start, [(0, 30)], 30
            if paired:
                read.next_reference_id, read.next_reference_start, read.template_length = 0, mate, size
            bam.write(read)
    pysam.index(str(path))
    return path


def write_reads(folder, name):
    """The reads of `fragments` as a file of the kind that its name says."""
    path = folder / name
    if name.endswith(".bam"):
        return write_bam(path, paired=name.startswith("pairs"))
    rows = []
    for number, (start, end) in enumerate(zip(*fragments(), strict=True)):
        if "bedpe" in name:
            rows.append(f"chr1\t{start}\t{end}\n")
        elif number % 2:
            rows.append(f"chr1\t{end - 30}\t{end}\t.\t0\t-\n")
        else:
            rows.append(f"chr1\t{start}\t{start + 30}\t.\t0\t+\n")
    content = "".join(rows).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


SINGLE = {"a.bed": "BED", "a.bed.gz": "BED", "a.tagAlign.gz": "BED", "a.bam": "BAM"}
PAIRED = {"a.bedpe": "BEDPE", "a.bedpe.gz": "BEDPE", "pairs.bam": "BAMPE"}


@pytest.mark.parametrize(("names", "options"), [(SINGLE, "--nomodel --extsize 150"), (PAIRED, ""), (PAIRED, "--broad")])
def test_every_format_gives_the_same_peaks(tmp_path, names, options):
    """One peak at each site, whatever file the reads come in."""
    calls = []
    for name, kind in names.items():
        entry = described(write_reads(tmp_path, name), {"chr1": LENGTH_BP})
        assert (entry["format"], entry["n"]) == (kind, len(fragments()[0]))
        calls.append(call(tmp_path, [entry], options, LENGTH_BP))
    assert all(rows == calls[0] for rows in calls)
    peaks = read_peaks([tmp_path / "calls" / "called.narrowPeak"])
    np.testing.assert_allclose(peaks["summit"], SITES, atol=60)


def test_any_option_of_macs3(tmp_path):
    """An option wins over the setting of the same name; a stricter one leaves fewer or no peaks."""
    entry = described(write_reads(tmp_path, "a.bedpe"), {"chr1": LENGTH_BP})
    command = macs3_command([entry], LENGTH_BP, 0.05, "-q 0.01 --keep-dup=all --cutoff-analysis -B", "out")
    assert command.index("-q") > command.index("--qvalue") and command[-1] == "-B"
    assert len(call(tmp_path, [entry], "--keep-dup all -B --cutoff-analysis --max-gap 10", LENGTH_BP)) == 3
    for trackline in ("--trackline", "--trackline --broad"):
        assert {len(row) for row in call(tmp_path, [entry], trackline, LENGTH_BP)} == {9}
    assert len(call(tmp_path, [entry], "-p 0.01", LENGTH_BP)) >= 3
    with pytest.raises(InputError, match="called no peak"):
        call(tmp_path, [entry], "--pvalue=1e-300", LENGTH_BP)


@pytest.mark.parametrize("word", ["-t", "-cinput.bam", "-n", "--outdir=x", "--treat", "--control", "--name"])
def test_options_that_the_workflow_sets(word):
    with pytest.raises(InputError, match=rf"peaks\.macs3_options: {word} is set from the table of experiments"):
        macs3_command([entry("a.bed")], 1e6, 0.05, f"--nomodel {word} x", "out")


def test_option_with_an_open_quote():
    with pytest.raises(InputError, match=r"peaks\.macs3_options: '--x \"y' cannot be read .*; close each quote"):
        macs3_command([entry("a.bed")], 1e6, 0.05, '--x "y', "out")


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
    output = tmp_path / "called.narrowPeak"
    with pytest.raises(InputError, match=r"reads\.bed; raise peaks.q_value or give more reads, or rest$"):
        call_peaks([entry(scattered)], 1e6, 0.05, "--nomodel --extsize 200", output, ", or rest")
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


def center(genome, peaks, blacklist=NO_REGIONS, window_bp=20, merge_bp=0, minimum=1, maximum=None, unknown_share=0.0):
    return center_peaks(peaks, SPLITS, blacklist, genome, window_bp, merge_bp, minimum, maximum, unknown_share)


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


@pytest.mark.parametrize(("n", "share"), [(20, 0.1), (60, 0.3), (140, 0.7), (58, 0.29)])
def test_share_exactly_at_the_limit_counts_alike_for_peaks_and_negatives(write_fasta, tmp_path, n, share):
    """Windows of 200 bp with n and n + 1 unknown bases; 1 - 140 / 200 > 0.3 in floating point, and 0.29 * 200 < 58."""
    at, above = ("N" * k + "ACGTG" * 40 for k in (n, n + 1))
    fasta = write_fasta({"chr1": at[:200] + above[:200] + "ACGTG" * 40, "chr2": "ACGTG" * 40, "chr3": "ACGTG" * 40})
    lengths = {"chr1": 600, "chr2": 200, "chr3": 200}
    splits = pd.DataFrame({"chrom": list(lengths), "length_bp": list(lengths.values()), "split": SPLITS["split"][:3]})
    peaks = peaks_of(("chr1", 100, 1), ("chr1", 300, 1), ("chr1", 500, 1), ("chr2", 100, 1), ("chr3", 100, 1))
    windows, _ = center_peaks(peaks, splits, NO_REGIONS, fasta, 200, 0, 1, None, share)
    write_store(fasta, lengths, tmp_path / "store")
    store, rng = open_store(tmp_path / "store"), np.random.default_rng(1)
    candidates = find_candidates(windows, NO_REGIONS, splits, 200, share, 1, 1000, store, None, rng)
    assert starts(windows) == starts(candidates) == [0, 400]


def test_unknown_share_by_hand(genome):
    windows = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [150, 148, 0], "end": [155, 158, 9]})
    np.testing.assert_allclose(unknown(windows, genome), [1, 0.5, 0], atol=1e-12)
    assert unknown(windows[:0], genome).shape == (0,)


def test_second_window_at_a_place_is_dropped_and_the_better_score_stays(genome):
    windows, counts = center(genome, peaks_of(("chr1", 50, 2), ("chr1", 50, 7), ("chr1", 51, 1), *ONE_EACH))
    assert starts(windows) == [40, 41]
    assert windows["score"].tolist()[:2] == [7, 1]
    assert counts.set_index("step")["n"]["one per place"] == 4


def test_best_of_near_summits_stays(genome):
    """60 goes for 50, 10 bp away, and 69 for 70; 61 lies 11 bp from 50 and 9 from 70, which is better."""
    peaks = peaks_of(
        *(("chr1", 50, 9), ("chr1", 60, 8), ("chr1", 61, 3), ("chr1", 70, 5), ("chr1", 69, 5), ("chr1", 90, 1)),
        *(("chr2", 50, 1), ("chr3", 60, 1)),
    )
    windows, counts = center(genome, peaks, merge_bp=10)
    assert starts(windows) == [40, 59, 80]
    assert windows["score"].tolist()[:3] == [9, 5, 1]
    assert counts.set_index("step")["n"]["best summit within 10 bp"] == 5
    by_default, counts = center(genome, peaks, merge_bp=None)  # half of 20 bp
    pd.testing.assert_frame_equal(windows, by_default)
    assert counts.set_index("step")["n"]["best summit within 10 bp"] == 5


def test_dropped_summit_drops_no_other(genome):
    """60 falls to 50; 70 lies 20 bp from 50 and stays, although it is worse than 60."""
    peaks = peaks_of(("chr1", 50, 9), ("chr1", 60, 8), ("chr1", 70, 7), *ONE_EACH)
    assert starts(center(genome, peaks, merge_bp=10)[0]) == [40, 60]


def test_near_windows_are_dropped_before_the_best_are_counted(genome):
    """The window with the best score lies in the blacklist, so that its neighbour stays; only then come the best four."""
    peaks = peaks_of(("chr1", 50, 9), ("chr1", 60, 8), ("chr1", 66, 7), ("chr1", 90, 2), ("chr1", 110, 0.5), *ONE_EACH)
    blacklist = pd.DataFrame({"chrom": ["chr1"], "start": [45], "end": [46]})
    windows, counts = center(genome, peaks, blacklist, merge_bp=10, maximum=4)
    assert starts(windows) == [50, 80]
    assert counts["n"].tolist()[3:7] == [6, 6, 5, 4]


def test_no_two_summits_are_near_and_each_dropped_one_has_a_better_neighbour():
    rng = np.random.default_rng(3)
    windows = pd.DataFrame({"chrom": rng.choice(["a", "b"], 3000), "start": rng.integers(0, 40_000, 3000)})
    kept = best_around(windows, 50)
    for _, rows in windows.assign(rank=range(3000), kept=kept).groupby("chrom"):
        there, rank = rows.loc[rows["kept"], "start"].to_numpy(), rows.loc[rows["kept"], "rank"].to_numpy()
        assert np.diff(np.sort(there)).min() > 50
        for row in rows[~rows["kept"]].itertuples():
            assert (rank[abs(there - row.start) <= 50] < row.rank).any()
    assert best_around(windows[:0], 50).tolist() == []
    assert best_around(windows, 0).tolist() == (~windows.duplicated(["chrom", "start"])).tolist()


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
