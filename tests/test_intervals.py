"""BED files in and out, and overlaps, by hand and against bedtools."""

import gzip
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from cisgrammar.intervals import BED6, overlaps, read_bed, write_bed
from cisgrammar.log import InputError


def frame(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"start": "int64", "end": "int64"})


def put(path, text):
    path.write_text(text)
    return path


def test_read_bed_skips_comments_and_keeps_further_columns_as_text(tmp_path):
    path = put(
        tmp_path / "a.bed",
        "track name=x\nbrowser position chr1\n# comment\n\nchr1\t0\t10\tp1\t007\t+\textra\r\nchr2\t5\t6\tp2\t1.5\t-\textra\n",
    )
    table = read_bed(path)
    assert list(table.columns) == BED6
    assert table["chrom"].tolist() == ["chr1", "chr2"]
    assert table["start"].tolist() == [0, 5] and table["end"].tolist() == [10, 6]
    assert table["start"].dtype == table["end"].dtype == "int64"
    assert table["score"].tolist() == ["007", "1.5"] and table["strand"].tolist() == ["+", "-"]


def test_read_bed_takes_the_columns_that_all_rows_have(tmp_path):
    table = read_bed(put(tmp_path / "a.bed", "chr1\t0\t10\tp1\nchr1\t20\t30\n"))
    assert list(table.columns) == ["chrom", "start", "end"]
    assert len(table) == 2


def test_read_bed_gzip_and_names_that_look_like_numbers(tmp_path):
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(b"1\t0\t10\n02\t0\t10\n"))
    assert read_bed(path)["chrom"].tolist() == ["1", "02"]


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_read_bed_without_rows(tmp_path, text):
    table = read_bed(put(tmp_path / "a.bed", text))
    assert list(table.columns) == BED6 and len(table) == 0
    assert table["start"].dtype == "int64"
    assert overlaps(table, frame(("chr1", 0, 1))).tolist() == []


@pytest.mark.parametrize(
    "row",
    ["chr1\tx\t10", "chr1\t1.5\t10", "chr1\t5", "chr1 0 10", "chr1\t10\t10", "chr1\t10\t5", "chr1\t-1\t5"],
)
def test_read_bed_names_file_row_and_remedy(tmp_path, row):
    path = put(tmp_path / "a.bed", f"# comment\nchr1\t0\t10\n{row}\n")
    with pytest.raises(InputError) as caught:
        read_bed(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, row 3: not a BED row ('{row}')")
    assert "write chromosome, start and end" in message and "\n" not in message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(b"chr1\t0\t10\n" * 50)[:-9], id="cut"),
        pytest.param(b"\x80\x81\t0\t10\n", id="binary"),
    ],
)
def test_read_bed_of_a_cut_or_a_binary_file(tmp_path, content):
    path = tmp_path / "a.bed.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bed\.gz"):
        read_bed(path)


def test_write_bed_sorts_fills_in_and_reads_back(tmp_path):
    path = tmp_path / "a.bed"
    write_bed(frame(("chr2", 5, 9), ("chr1", 20, 30), ("chr1", 3, 4)).assign(score=[0.5, 2.0, 1234.5678]), path)
    assert path.read_text() == "chr1\t3\t4\t.\t1234.57\t.\nchr1\t20\t30\t.\t2\t.\nchr2\t5\t9\t.\t0.5\t.\n"
    assert read_bed(path)["end"].tolist() == [4, 30, 9]


def test_write_bed_of_nothing(tmp_path):
    write_bed(frame(), tmp_path / "a.bed")
    assert (tmp_path / "a.bed").read_text() == ""
    assert len(read_bed(tmp_path / "a.bed")) == 0


def test_overlaps_by_hand():
    others = frame(("chr1", 10, 20), ("chr1", 12, 14), ("chr2", 0, 5))
    cases = [
        (("chr1", 0, 10), False),  # ends where the other starts
        (("chr1", 0, 11), True),
        (("chr1", 19, 25), True),
        (("chr1", 20, 25), False),  # starts where the other ends
        (("chr1", 15, 16), True),  # inside the long one, right of the short one
        (("chr1", 0, 100), True),
        (("chr2", 4, 5), True),
        (("chr2", 12, 14), False),
        (("chr3", 0, 5), False),
    ]
    assert overlaps(frame(*(row for row, _ in cases)), others).tolist() == [expected for _, expected in cases]


def test_overlaps_of_nothing_and_with_nothing():
    one = frame(("chr1", 0, 10))
    assert overlaps(one, frame()).tolist() == [False]
    assert overlaps(frame(), one).tolist() == []


def random_intervals(rng, n):
    start = rng.integers(0, 5000, n)
    return pd.DataFrame(
        {"chrom": rng.choice(["chr1", "chr2"], n), "start": start, "end": start + rng.integers(1, 40, n)}
    )


def test_overlaps_against_every_pair():
    rng = np.random.default_rng(3)
    a, b = random_intervals(rng, 300), random_intervals(rng, 60)
    a.index = rng.permutation(len(a)) + 100
    expected = [
        any(row.chrom == o.chrom and row.start < o.end and o.start < row.end for o in b.itertuples())
        for row in a.itertuples()
    ]
    found = overlaps(a, b)
    assert found.tolist() == expected
    assert 0 < sum(found) < len(a)


@pytest.mark.skipif(not shutil.which("bedtools"), reason="bedtools is not installed")
def test_overlaps_against_bedtools(tmp_path):
    rng = np.random.default_rng(4)
    a, b = random_intervals(rng, 500), random_intervals(rng, 90)
    for name, table in (("a.bed", a), ("b.bed", b)):
        table.to_csv(tmp_path / name, sep="\t", header=False, index=False)
    command = ["bedtools", "intersect", "-c", "-a", str(tmp_path / "a.bed"), "-b", str(tmp_path / "b.bed")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert overlaps(a, b).tolist() == [int(line.split("\t")[3]) > 0 for line in answer]
