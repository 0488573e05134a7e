"""Files of reads and peaks, sound and broken; each broken one is named with its row of the table and a remedy."""

import gzip
import hashlib

import pysam
import pytest
from cisgrammar.files import checksum
from cisgrammar.log import InputError
from cisgrammar.reads import check_names, describe_file, find_row, read_format

LENGTHS = {"chr1": 1000, "chr2": 500, "chrM": 100}
PLACE = "samples.tsv, row 2"


def write_bam(path, reads, lengths=None, order="coordinate", index=True):
    """BAM file of reads (chrom, start) of 20 bp; a chrom of None is an unmapped read."""
    lengths = lengths or LENGTHS
    header = {
        "HD": {"VN": "1.6", "SO": order},
        "SQ": [{"SN": chrom, "LN": length} for chrom, length in lengths.items()],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number, (chrom, start) in enumerate(reads):
            bam.write(read_of(number, start, list(lengths).index(chrom) if chrom else -1))
    if index:
        pysam.index(str(path))
    return path


def read_of(number, start, chrom):
    read = pysam.AlignedSegment()
    read.query_name, read.query_sequence = f"read_{number}", "ACGTN" * 4
    read.query_qualities = pysam.qualitystring_to_array("I" * 20)
    if chrom < 0:
        read.flag = 4
    else:
        read.flag, read.reference_id, read.reference_start = 0, chrom, start
        read.mapping_quality, read.cigar = 40, [(0, 20)]
    return read


def write_pairs(path, n):
    """Indexed BAM file of `n` proper pairs on chr1, fragments of 60 bp."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": chrom, "LN": bp} for chrom, bp in LENGTHS.items()]}
    mates = []
    for number in range(n):
        for start, mate, flag, size in ((number, number + 40, 99, 60), (number + 40, number, 147, -60)):
            read = read_of(number, start, 0)
            read.flag, read.next_reference_id, read.next_reference_start = flag, 0, mate
            read.template_length = size
            mates.append(read)
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for read in sorted(mates, key=lambda read: read.reference_start):
            bam.write(read)
    pysam.index(str(path))
    return path


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def describe(path, role="treatment", minimum=1, checksum="", location="reads"):
    row = {"place": PLACE, "role": role, "replicate": "1", "checksum": checksum, "location": location}
    return describe_file(path, row, LENGTHS, minimum)


def refused(path, **settings):
    """The message of the InputError for a file; checks that it is one line that names row and file."""
    with pytest.raises(InputError) as caught:
        describe(path, **settings)
    message = str(caught.value)
    assert message.startswith(f"{PLACE}: {path}") and "\n" not in message
    return message


def sound_reads(n=200):
    return [("chr1", start) for start in range(n)] + [("chr2", 7), (None, 0)]


def test_sound_bam(tmp_path):
    path = write_bam(tmp_path / "a.bam", sound_reads())
    found = describe(path)
    assert found.pop("sha256") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == {"file": str(path), "role": "treatment", "replicate": "1", "format": "BAM", "n": 201}


def test_sound_bam_of_pairs(tmp_path):
    found = describe(write_pairs(tmp_path / "a.bam", 3))
    assert (found["format"], found["n"]) == ("BAMPE", 3)


def test_downloaded_bam_needs_no_index(tmp_path):
    path = write_bam(tmp_path / "a.bam", sound_reads(), index=False)
    assert describe(path, location="https://example.org/a.bam")["n"] == 201


def test_downloaded_bam_of_other_names_without_index(tmp_path):
    path = write_bam(tmp_path / "a.bam", [("1", 5)], {"1": 1000, "2": 500}, index=False)
    message = refused(path, location="https://example.org/a.bam")
    assert "chromosome '1' is called 'chr1' in the genome" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_cut_bam(tmp_path, share):
    content = write_bam(tmp_path / "a.bam", sound_reads()).read_bytes()
    size = int(share * len(content))
    message = refused(put(tmp_path / "a.bam", content[:size]))
    assert message.endswith(f"the file is cut short ({size} bytes, no end marker); copy it again")


def test_bam_damaged_inside(tmp_path):
    path = write_bam(tmp_path / "a.bam", sound_reads(3000))
    content = bytearray(path.read_bytes())
    content[len(content) // 8 : len(content) // 2] = b"\x00" * (len(content) // 2 - len(content) // 8)
    assert "not a sound BAM file" in refused(put(path, bytes(content)))


def test_text_called_bam(tmp_path):
    assert "not a sound BAM file" in refused(put(tmp_path / "a.bam", "chr1\t1\t2\n"))


@pytest.mark.parametrize("order", ["unsorted", "queryname", "unknown"])
def test_unsorted_bam(tmp_path, order):
    path = write_bam(tmp_path / "a.bam", [("chr2", 5), ("chr1", 9)], order=order, index=False)
    message = refused(path)
    assert f"sorted by '{order}'; run `samtools sort` and `samtools index`" in message


def test_bam_without_index(tmp_path):
    path = write_bam(tmp_path / "a.bam", sound_reads(), index=False)
    assert refused(path).endswith(f"no index beside it; run `samtools index {path}`")


def test_bam_of_another_assembly(tmp_path):
    message = refused(write_bam(tmp_path / "a.bam", sound_reads(), {"chr1": 1001, "chr2": 500}))
    assert "chr1 has 1001 bp there and 1000 bp in the genome; take the genome that the reads" in message


def test_bam_of_other_names(tmp_path):
    message = refused(write_bam(tmp_path / "a.bam", [("1", 5)], {"1": 1000, "2": 500}))
    assert "chromosome '1' is called 'chr1' in the genome; give both the same names, e.g. with references" in message


def test_bam_header_may_name_chromosomes_without_reads(tmp_path):
    path = write_bam(tmp_path / "a.bam", [("chr1", 5)], {"chr1": 1000, "chrUn_decoy": 70})
    assert describe(path)["n"] == 1


@pytest.mark.parametrize("reads", [[], [(None, 0)]])
def test_bam_without_a_mapped_read(tmp_path, reads):
    assert refused(write_bam(tmp_path / "a.bam", reads)).endswith("no mapped read; check the alignment")


@pytest.mark.parametrize("name", ["a.bed", "a.bam", "a.bed.gz", "a.narrowPeak"])
def test_empty_file(tmp_path, name):
    role = "peaks" if name == "a.narrowPeak" else "treatment"
    assert refused(put(tmp_path / name, b""), role=role).endswith("the file is empty; copy it again")


BED_READS = "".join(f"chr{1 + i % 2}\t{i}\t{i + 20}\t.\t.\t+\n" for i in range(300))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.bed", "BED"), ("a.tagAlign.gz", "BED"), ("a.bedpe.gz", "BEDPE"), ("a.x.BED.gz", "BED")]
)
def test_sound_text_reads(tmp_path, name, kind):
    text = ("# made by hand\n" + BED_READS).encode()
    found = describe(put(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text), role="control")
    assert (found["format"], found["n"], found["role"]) == (kind, 300, "control")


@pytest.mark.parametrize("cut", [1, 8, 200])
def test_cut_gzip_reads(tmp_path, cut):
    path = put(tmp_path / "a.bed.gz", gzip.compress(BED_READS.encode())[:-cut])
    assert "the file is cut short or damaged" in refused(path)


@pytest.mark.parametrize("row", ["chr1\tx\t50", "chr1\t1.5\t50", "chr1\t7"])
def test_reads_with_a_row_that_is_no_bed(tmp_path, row):
    """The message names the row and what to write there, as it does for peaks."""
    message = refused(put(tmp_path / "a.bed", f"# made by hand\nchr1\t1\t50\n{row}\nchr1\t2\t50\n"))
    assert "a.bed, row 3: " in message
    assert "; write chromosome, start and end" in message


def test_reads_that_end_before_they_start(tmp_path):
    refused(put(tmp_path / "a.bed", "chr1\t1\t50\nchr1\t50\t40\n"))


def test_reads_of_other_names(tmp_path):
    message = refused(put(tmp_path / "a.bed", "1\t1\t50\n"))
    assert "chromosome '1' is called 'chr1' in the genome; give both the same names" in message
    assert "references.rename" in message


@pytest.mark.parametrize("text", ["# nothing\n", "\n"])
def test_reads_without_a_row(tmp_path, text):
    refused(put(tmp_path / "a.bed", text))


@pytest.mark.parametrize("mate", ["chr1\t200\t250", "chr2\t200\t250", ".\t-1\t-1"])
def test_bedpe_of_bedtools(tmp_path, mate):
    """macs3 would take the first mate for the fragment."""
    message = refused(put(tmp_path / "a.bedpe", f"# pairs\nchr1\t100\t150\t{mate}\tpair\t30\t+\t-\n"))
    assert "both mates in a row; write chromosome, start and end of each fragment" in message


@pytest.mark.parametrize("more", ["", "\tpair", "\t.\t0\t+", "\tchr1\t7\t-"])
def test_fragments_with_more_columns(tmp_path, more):
    assert describe(put(tmp_path / "a.bedpe", f"chr1\t100\t250{more}\n"))["format"] == "BEDPE"


def test_checksum_of_reads(tmp_path):
    path = put(tmp_path / "a.bed", BED_READS)
    good = "md5:" + checksum(path, "md5")
    assert describe(path, checksum=good)["n"] == 300
    message = refused(path, checksum="md5:00")
    assert f"checksum is {good} but the configuration says md5:00" in message and "fetch it again" in message


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.bam", "BAM"), ("a.bed.gz", "BED"), ("a.BEDPE", "BEDPE"), ("GM12878.rep1.tagAlign.gz", "BED")],
)
def test_read_format(name, kind):
    assert read_format(name) == kind


@pytest.mark.parametrize("name", ["a.fastq.gz", "a", "a.gz", "a.bed.zip"])
def test_read_format_unknown(name):
    with pytest.raises(InputError, match=r"unknown kind of reads; give \.bam, \.bed, \.tagAlign or \.bedpe"):
        read_format(name)


def test_check_names():
    check_names([], LENGTHS, "x")
    check_names(["chrM", "chr1"], LENGTHS, "x")
    with pytest.raises(InputError, match=r"x: chromosome 'chr1' is called '1' in the genome"):
        check_names(["chr1"], {"1": 10}, "x")
    with pytest.raises(InputError, match=r"chromosome 'chrX' \(and 1 more\) is not in the genome \(chr1, chr2, chrM"):
        check_names(["chr1", "chrY", "chrX"], LENGTHS, "x")


PEAKS = "chr1\t10\t20\nchr2\t480\t500\n"


def test_sound_peaks(tmp_path):
    for name, content in (("a.bed", PEAKS.encode()), ("b.narrowPeak.gz", gzip.compress(PEAKS.encode()))):
        found = describe(put(tmp_path / name, content), role="peaks", minimum=2)
        assert (found["format"], found["n"]) == ("peaks", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PEAKS + "chr1\tx\t50\n", ", row 3: not a BED row ('chr1\tx\t50'); write chromosome, start and end"),
        (PEAKS, ": 2 peaks, fewer than the 3 of peaks.minimum; give more or lower it"),
        ("# none\n", ": 0 peaks, fewer than the 3 of peaks.minimum"),
        (
            PEAKS + "chr2\t490\t501\nchr2\t499\t600\n",
            ": 2 peaks end beyond their chromosome, first chr2:490-501 of 500 bp; take the genome that the peaks",
        ),
        (PEAKS + "2\t5\t9\n", ": chromosome '2' is called 'chr2' in the genome; give both the same names"),
        (PEAKS + "chrX\t5\t9\n", ": chromosome 'chrX' (and 0 more) is not in the genome (chr1, chr2, chrM, ...)"),
    ],
)
def test_bad_peaks(tmp_path, text, message):
    path = put(tmp_path / "a.bed", text)
    assert refused(path, role="peaks", minimum=3).startswith(f"{PLACE}: {path}{message}")


def test_cut_peaks(tmp_path):
    path = put(tmp_path / "a.narrowPeak.gz", gzip.compress(PEAKS.encode())[:-4])
    assert "cut short" in refused(path, role="peaks")


def test_real_reads(shared):
    lengths = {"chr22": 51_304_566}
    row = {"place": PLACE, "role": "treatment", "replicate": "1", "checksum": "", "location": "x"}
    for name, kind in (("CTCF_SE_ChIP_chr22_50k.bed.gz", "BED"), ("CTCF_PE_ChIP_chr22_50k.bedpe.gz", "BEDPE")):
        found = describe_file(shared / "macs3" / name, row, lengths, 1)
        assert (found["format"], found["n"]) == (kind, 49_622)


def test_row_of_a_replicate(tmp_path):
    table = tmp_path / "samples.tsv"
    table.write_text("cell_type\ttf\treplicate\nK562\tGATA1\t1\n# note\nK562 \tGATA1\t2\nK562\tMAX\t\n")
    assert find_row(table, "K562", "GATA1", "2") == f"{table}, row 4"
    assert find_row(table, "K562", "MAX", "1") == f"{table}, row 5"
