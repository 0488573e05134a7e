"""Genome and blacklist: numbers by hand, and files that a user may give by mistake."""

import gzip
import hashlib

import pandas as pd
import pytest
from cisgrammar.log import InputError
from cisgrammar.references import clean_blacklist, copy_genome, describe_genome, merge

# MD5 of "ACGT"
MD5_ACGT = "f1f8f4bf413b16ad135722aa4591043e"


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_copy_genome_renames_wraps_and_keeps_case(tmp_path, compress):
    source = put(
        tmp_path / "source.fa", compress(b">I a yeast\r\nACGTacgtNN\r\nRY\r\n\r\n>Mito\n" + b"A" * 130 + b"\n")
    )
    lengths = copy_genome(source, tmp_path / "genome.fa", {"I": "chr1", "absent": "chrX"})
    assert lengths == {"chr1": 12, "Mito": 130}
    expected = ">chr1\nACGTacgtNNRY\n>Mito\n" + "A" * 60 + "\n" + "A" * 60 + "\n" + "A" * 10 + "\n"
    assert (tmp_path / "genome.fa").read_text() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (">chr1\nACGT\n>chr2\n>chr3\nAC\n", "no sequence for chr2; copy it again"),
        (">chr1\nACGT\n>chr2\n", "no sequence for chr2; copy it again"),
        ("", "no sequence for any chromosome; copy it again"),
        (">chr1\nACGT\n>chr1 again\nAC\n", ", row 3: chromosome name 'chr1' is empty or there twice; rename it"),
        (">one\nACGT\n>chr1\nAC\n", ", row 3: chromosome name 'chr1' is empty or there twice; rename it"),
        ("> chr1\nACGT\n>\nAC\n", ", row 3: chromosome name '' is empty or there twice; rename it"),
        ("ACGT\n>chr1\nACGT\n", ", row 1: not a FASTA file ('ACGT')"),
        (">chr1\nACGT\n@read\n", ", row 3: not a FASTA file ('@read')"),
        (">chr1\nAC GT\n", ", row 2: not a FASTA file ('AC GT')"),
        (gzip.compress(b">chr1\n" + b"ACGT\n" * 100)[:-5], "the file is cut short or damaged"),
        (gzip.compress(b">chr1\n" + b"ACGT\n" * 100)[:20], "the file is cut short or damaged"),
        (b"\x80\x81\x82\n", "the file is cut short or damaged"),
    ],
)
def test_copy_genome_of_a_bad_file(tmp_path, content, message):
    source = put(tmp_path / "source.fa", content)
    with pytest.raises(InputError) as caught:
        copy_genome(source, tmp_path / "genome.fa", {"one": "chr1"})
    assert str(caught.value).startswith(str(source)) and message in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_copy_genome_of_a_damaged_file(tmp_path):
    content = bytearray(gzip.compress(b">chr1\n" + b"ACGT" * 15 + b"\n"))
    content[10] = 0xFF  # no such type of block (RFC 1951, section 3.2.3)
    source = put(tmp_path / "source.fa.gz", bytes(content))
    with pytest.raises(InputError, match="cut short or damaged"):
        copy_genome(source, tmp_path / "genome.fa", {})
    assert list(tmp_path.iterdir()) == [source]


def test_describe_genome_by_hand(write_fasta):
    path = write_fasta({"chr2": "ACGT", "chr1": "acgtNNR"})
    md5 = hashlib.md5(b"ACGTNNR").hexdigest()
    expected = hashlib.sha256(f"chr1\t{md5}\nchr2\t{MD5_ACGT}".encode()).hexdigest()
    assert describe_genome(path) == (f"sequence:{expected}", 8)


def test_describe_genome_sees_sequence_and_names_alone(write_fasta):
    one = describe_genome(write_fasta({"chr1": "ACGT" * 40, "chr2": "NNNN"}, "a.fa"))
    assert describe_genome(write_fasta({"chr2": "nnnn", "chr1": "acgt" * 40}, "b.fa")) == one
    assert one[1] == 160
    assert describe_genome(write_fasta({"chr1": "ACGT" * 40, "chr3": "NNNN"}, "c.fa"))[0] != one[0]
    assert describe_genome(write_fasta({"chr1": "ACGT" * 39 + "ACGA", "chr2": "NNNN"}, "d.fa"))[0] != one[0]


def regions(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def test_blacklist_is_cut_at_the_ends_of_chromosomes(caplog):
    kept = clean_blacklist(
        regions(("chr1", 0, 10), ("chr1", 90, 120), ("chr1", 100, 110), ("chrX", 0, 5)), {"chr1": 100}, "exclude.bed"
    )
    assert kept.to_numpy().tolist() == [["chr1", 0, 10], ["chr1", 90, 100]]
    assert "exclude.bed: 1 rows on chromosomes that the genome lacks: chrX" in caplog.text


def test_blacklist_is_merged_where_it_overlaps():
    kept = clean_blacklist(
        regions(("chr2", 5, 9), ("chr1", 40, 60), ("chr1", 0, 10), ("chr1", 50, 55), ("chr1", 8, 12)),
        {"chr1": 100, "chr2": 100},
        "exclude.bed",
    )
    assert kept.to_numpy().tolist() == [["chr1", 0, 12], ["chr1", 40, 60], ["chr2", 5, 9]]


def test_merge_keeps_names_that_look_like_numbers():
    merged = merge(regions(("02", 0, 10), ("1", 0, 5), ("1", 6, 9)))
    assert merged.to_numpy().tolist() == [["02", 0, 10], ["1", 0, 5], ["1", 6, 9]]


def test_blacklist_of_other_names():
    with pytest.raises(InputError) as caught:
        clean_blacklist(regions(("1", 0, 10), ("2", 0, 5)), {"chr1": 100, "chr2": 50}, "exclude.bed")
    message = str(caught.value)
    assert message.startswith("exclude.bed: its chromosomes (1, 2) are not those of the genome (chr1, chr2); take")
    assert "references.rename" in message


def test_blacklist_without_rows():
    assert len(clean_blacklist(regions(), {"chr1": 100}, "exclude.bed")) == 0
