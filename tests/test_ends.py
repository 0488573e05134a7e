"""Ends of reads and fragments in every format, by hand."""

import gzip

import numpy as np
import pysam
import pytest
from cisgrammar.ends import count, fragment_ends, on_chromosomes
from cisgrammar.log import InputError


def write_bam(path, reads):
    """BAM file of reads (flag, chromosome number, start, start of the mate, template length), 20 bp each."""
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": 9000} for n in ("chr1", "chr2", "chrM")]}
    )
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number, (flag, chrom, start, mate, size) in enumerate(reads):
            read = pysam.AlignedSegment(header)
            read.query_name, read.query_sequence, read.flag = f"r{number}", "ACGTA" * 4, flag
            if not flag & 4:
                read.reference_id, read.reference_start, read.cigar = chrom, start, [(0, 20)]
                read.mapping_quality = 30
            if flag & 1:
                read.next_reference_id, read.next_reference_start, read.template_length = chrom, mate, size
            bam.write(read)
    return path


def lists(side):
    return {chrom: values.tolist() for chrom, values in side.items()}


def test_bam(tmp_path):
    """Duplicates (1024) count; unmapped (4), secondary (256), failed (512) and supplementary (2048) reads do not."""
    flags_and_starts = [(0, 100), (16, 100), (1024, 100), (256, 7), (512, 7), (2048, 7), (2064, 7), (4, 0)]
    path = write_bam(tmp_path / "a.bam", [(flag, 0, at, 0, 0) for flag, at in flags_and_starts] + [(0, 1, 5, 0, 0)])
    ends = fragment_ends(path, "BAM")
    assert lists(ends.forward) == {"chr1": [100, 100], "chr2": [5]}
    assert lists(ends.reverse) == {"chr1": [120], "chr2": []}
    assert (ends.paired, ends.read_bp, count(ends)) == (False, 20, 4)
    assert ends.forward["chr1"].dtype == ends.reverse["chr2"].dtype == np.int32


def test_bam_of_pairs(tmp_path):
    """Of each proper pair one fragment, whichever mate came first; no other reads."""
    reads = [
        *((99, 0, 100, 180, 100), (147, 0, 180, 100, -100)),  # first mate forward
        *((163, 0, 300, 390, 110), (83, 0, 390, 300, -110)),  # first mate reverse
        *((65, 0, 500, 900, 420), (129, 0, 900, 500, -420)),  # not proper
        *((99 | 256, 0, 100, 180, 100), (99 | 512, 0, 100, 180, 100)),
    ]
    ends = fragment_ends(write_bam(tmp_path / "a.bam", reads), "BAMPE")
    assert (lists(ends.forward), lists(ends.reverse)) == ({"chr1": [100, 300]}, {"chr1": [200, 410]})
    assert (ends.paired, ends.read_bp, count(ends)) == (True, 20, 2)


BED = "chr1\t100\t150\tr\t1\t+\nchr2\t7\t27\tr\t1\t-\n# note\nchr1\t90\t140\tr\t1\t-\nchr1\t5\t55\tr\t1\t+\n"


@pytest.mark.parametrize("name", ["a.bed", "a.tagAlign.gz"])
def test_bed(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(BED.encode()) if name.endswith("gz") else BED.encode())
    ends = fragment_ends(path, "BED")
    assert lists(ends.forward) == {"chr1": [100, 5], "chr2": []}
    assert lists(ends.reverse) == {"chr1": [140], "chr2": [27]}
    assert (ends.paired, ends.read_bp, count(ends)) == (False, 50, 4)
    assert lists(on_chromosomes(ends, {"chr2": 100, "chr3": 5}).reverse) == {"chr2": [27]}


def test_bed_without_strand_and_bedpe(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text("chr1\t100\t150\nchr1\t10\t60\n")
    ends = fragment_ends(path, "BED")
    assert (lists(ends.forward), lists(ends.reverse)) == ({"chr1": [100, 10]}, {"chr1": []})
    fragments = fragment_ends(path, "BEDPE")
    assert (lists(fragments.forward), lists(fragments.reverse)) == ({"chr1": [100, 10]}, {"chr1": [150, 60]})
    assert (fragments.paired, fragments.read_bp, count(fragments)) == (True, 0, 2)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text(BED.replace("r\t1\t-\nchr1", "r\t1\t.\nchr1"))
    with pytest.raises(InputError, match=r"a\.bed, read 3: strand '\.' \(column 6\) is not \+ or -"):
        fragment_ends(path, "BED")
    with pytest.raises(InputError, match="format 'SAM' of reads is unknown"):
        fragment_ends(path, "SAM")
    with pytest.raises(InputError, match="not a sound BAM file"):
        fragment_ends(path, "BAM")
    cut = tmp_path / "a.bed.gz"
    cut.write_bytes(gzip.compress(BED.encode() * 50)[:-9])
    with pytest.raises(InputError, match=r"a\.bed\.gz"):
        fragment_ends(cut, "BED")
    path.write_text("# nothing\n")
    assert count(fragment_ends(path, "BED")) == 0
