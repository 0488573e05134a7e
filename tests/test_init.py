"""The start of a project: file names, headers of BAM files, ENCODE's JSON, and files that the workflow takes."""

import json
import subprocess
import sys
from pathlib import Path

import pysam
import pytest
import yaml
from cisgrammar.init import GENOMES, describe_bam, find_genome, from_accessions, from_folder, read_name, write_start
from cisgrammar.log import InputError

ROOT = Path(__file__).resolve().parents[1]
# Written by hand in the form of ENCODE's pages of experiments, with the one file that config/encode.tsv names.
RECORDED = (ROOT / "tests/data/ENCSR000DZN.json").read_text()


def put_bam(path, lengths, paired=False, order="coordinate", index=True):
    header = {"HD": {"VN": "1.6", "SO": order}, "SQ": [{"SN": name, "LN": n} for name, n in lengths.items()]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        read = pysam.AlignedSegment(bam.header)
        read.query_name, read.query_sequence, read.flag, read.cigarstring = "r", "ACGT", 1 if paired else 0, "4M"
        read.reference_id, read.reference_start = 0, 10
        bam.write(read)
    if index:
        pysam.index(str(path))
    return path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("K562_CTCF_rep1.bam", ("K562", "CTCF", "1", False)),
        ("K562_CTCF_R2.sorted.bam", ("K562", "CTCF", "2", False)),
        ("HepG2_NFE2L2.bam", ("HepG2", "NFE2L2", "1", False)),
        ("K562_input.bam", ("K562", None, "1", True)),
        ("K562_CTCF_IgG_rep3.bam", ("K562", "CTCF", "3", True)),
    ],
)
def test_names(name, found):
    assert read_name(name) == found


def test_a_name_that_tells_too_little_is_refused():
    with pytest.raises(InputError, match=r"CTCF\.bam: the name does not tell cell type and TF"):
        read_name("CTCF.bam")


@pytest.mark.parametrize("genome", GENOMES)
def test_genomes_are_found_by_their_chromosomes(genome):
    name, length, _ = GENOMES[genome]
    assert find_genome({f"chr{name}": length, "chrM": 16569}) == find_genome({name: length}) == genome
    assert find_genome({name: length + 1}) is None


def test_a_folder_becomes_a_table(tmp_path):
    for name in ("K562_CTCF_rep1", "K562_CTCF_rep2", "K562_REST", "K562_input", "K562_REST_input", "HepG2_CTCF"):
        put_bam(tmp_path / f"{name}.bam", {"chr1": 195154279}, paired=name == "HepG2_CTCF")
    rows, genome = from_folder(tmp_path)
    assert genome == ("mm39", True)
    short = [(r["cell_type"], r["tf"], r["replicate"], Path(r["control"]).name if r["control"] else "") for r in rows]
    assert short == [
        ("HepG2", "CTCF", "1", ""),
        ("K562", "CTCF", "1", "K562_input.bam"),
        ("K562", "CTCF", "2", "K562_input.bam"),
        ("K562", "REST", "1", "K562_REST_input.bam"),
    ]
    assert (
        describe_bam(tmp_path / "HepG2_CTCF.bam")["paired"] and not describe_bam(tmp_path / "K562_REST.bam")["paired"]
    )


def test_faults_of_bam_files_are_told(tmp_path):
    with pytest.raises(InputError, match="no BAM file of a treatment"):
        from_folder(tmp_path)
    put_bam(tmp_path / "a_A.bam", {"chr1": 195154279})
    put_bam(tmp_path / "b_B.bam", {"1": 195154279})
    with pytest.raises(InputError, match="files of several genomes"):
        from_folder(tmp_path)
    with pytest.raises(InputError, match="no index; run `samtools index"):
        describe_bam(put_bam(tmp_path / "c_C.bam", {"chr1": 9}, index=False))
    with pytest.raises(InputError, match="not sorted by coordinate"):
        describe_bam(put_bam(tmp_path / "d_D.bam", {"chr1": 9}, order="unsorted", index=False))
    (tmp_path / "e_E.bam").write_text("no BAM")
    with pytest.raises(InputError, match="no BAM file that can be read"):
        describe_bam(tmp_path / "e_E.bam")


def test_accessions_become_a_table(tmp_path):
    """Of the newest assembly, released, the best kind of peaks: the file that config/encode.tsv names."""
    path, asked = tmp_path / "wanted.tsv", []
    path.write_text("accession\tnote\nENCSR000DZN\tmine\nENCSR000DZN\tagain\n")
    rows, genome = from_accessions(path, lambda address: asked.append(address) or RECORDED)
    assert asked == ["https://www.encodeproject.org/experiments/ENCSR000DZN/?format=json"]
    assert genome == ("hg38", True)
    (row,) = rows
    assert (row["cell_type"], row["tf"], row["replicate"]) == ("GM12878", "CTCF", "1")
    assert row["peaks"] in (ROOT / "config/encode.tsv").read_text()
    assert row["peaks_checksum"] in (ROOT / "config/encode.tsv").read_text()
    told = json.loads(RECORDED)
    bare = json.dumps({**told, "files": told["files"][:1]})
    with pytest.raises(InputError, match="ENCSR000DZN: no released narrowPeak file"):
        from_accessions(path, lambda address: bare)
    path.write_text("ENCFF796WRU\n")
    with pytest.raises(InputError, match="no accession of an experiment"):
        from_accessions(path, None)


def test_what_is_left_to_do(tmp_path):
    """Nothing where the server of a known assembly tells its checksum; else what to write, in one line."""
    rows = [{"cell_type": "a", "tf": "A", "replicate": "1", "peaks": "a.bed"}]
    table, settings = tmp_path / "a.tsv", tmp_path / "a.yaml"

    def fetch(address):
        assert address == "https://hgdownload.soe.ucsc.edu/goldenPath/sacCer3/bigZips/md5sum.txt"
        return f"{'0' * 32}  chromFa.tar.gz\n{'1' * 32}  sacCer3.fa.gz\n{'2' * 32}  sacCer3.fa.gz.old\n"

    def fail(address):
        raise OSError

    assert write_start(rows, ("sacCer3", True), table, settings, fetch) == []
    told = yaml.safe_load(settings.read_text())["references"]
    assert told["genome"].endswith("/sacCer3/bigZips/sacCer3.fa.gz") and told["genome_checksum"] == "md5:" + "1" * 32
    assert told["jaspar"] == {"taxon": ["fungi"]}
    with pytest.raises(InputError, match="is there already"):
        write_start(rows, ("sacCer3", True), table, settings)
    for genome, words in (
        (("hg38", True), "goldenPath/hg38/bigZips/md5sum.txt says for CHECKSUM"),
        (("hg38", False), "FASTA file of hg38"),
        ((None, True), "FASTA file of your genome"),
    ):
        table.unlink(), settings.unlink()
        (line,) = write_start(rows, genome, table, settings, fail)
        assert words in line


def test_the_workflow_takes_what_is_written(tmp_path):
    """The command itself, on a folder, then a dry run with its files."""
    put_bam(tmp_path / "K562_CTCF.bam", {"chr1": 248956422})
    (tmp_path / "config").mkdir()
    command = [sys.executable, str(ROOT / "workflow/scripts/init.py"), str(tmp_path), "mine"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 row in config/mine.tsv, genome hg38" in done.stdout, done.stderr
    written = (tmp_path / "config/mine.yaml").read_text()
    settings = yaml.safe_load(
        written.replace("CHECKSUM", "0" * 32)
    )  # as the command asks for where UCSC is out of reach
    settings["samples"] = str(tmp_path / settings["samples"])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    plan = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--configfile", str(tmp_path / "mine.yaml")]
    done = subprocess.run([*plan, "--directory", str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "train_model" in done.stdout, done.stdout + done.stderr
