"""The start of a project: the table of experiments and a short configuration, from BAM files or from ENCODE's accessions."""

import csv
import json
import re
import urllib.request
from pathlib import Path

import pysam

from cisgrammar.files import atomic
from cisgrammar.log import InputError

# A chromosome of each assembly that no other one has with this length, and JASPAR's taxonomic group.
GENOMES = {
    "hg38": ("1", 248956422, "vertebrates"),
    "hg19": ("1", 249250621, "vertebrates"),
    "hs1": ("1", 248387328, "vertebrates"),
    "mm39": ("1", 195154279, "vertebrates"),
    "mm10": ("1", 195471971, "vertebrates"),
    "mm9": ("1", 197195432, "vertebrates"),
    "rn7": ("1", 260522016, "vertebrates"),
    "rn6": ("1", 282763074, "vertebrates"),
    "danRer11": ("1", 59578282, "vertebrates"),
    "galGal6": ("1", 197608386, "vertebrates"),
    "dm6": ("2L", 23513712, "insects"),
    "dm3": ("2L", 23011544, "insects"),
    "ce11": ("I", 15072434, "nematodes"),
    "ce10": ("I", 15072423, "nematodes"),
    "sacCer3": ("I", 230218, "fungi"),
    "TAIR10": ("1", 30427671, "plants"),
}
UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath/{0}/bigZips/"
ENCODE = "https://www.encodeproject.org"
ASSEMBLIES = {
    "GRCh38": "hg38",
    "hg19": "hg19",
    "mm10": "mm10",
    "mm9": "mm9",
    "dm6": "dm6",
    "dm3": "dm3",
    "ce11": "ce11",
}
CONTROLS = {"input", "igg", "control", "ctrl", "mock", "wce"}
ENDINGS = {"sorted", "sort", "dedup", "filtered", "markdup", "mdup", "bwa", "bowtie2", "hg38", "hg19", "mm10", "mm39"}
COLUMNS = ("cell_type", "tf", "replicate", "treatment", "control", "peaks", "batch", "peaks_checksum")
# Best first: what ENCODE's pipelines deliver as the peaks of an experiment.
PEAKS = (
    "IDR thresholded peaks",
    "optimal IDR thresholded peaks",
    "conservative IDR thresholded peaks",
    "replicated peaks",
    "peaks",
)
READS = 1000


def describe_bam(path):
    """What a BAM file says of itself: dict genome (of GENOMES, or None), chr (names begin with it), paired.

    Raises InputError when it is no BAM file, not sorted by coordinate, or has no index.
    """
    try:
        with pysam.AlignmentFile(str(path), "rb", require_index=False) as bam:
            order = bam.header.to_dict().get("HD", {}).get("SO")
            lengths = dict(zip(bam.references, bam.lengths, strict=True))
            indexed = bam.has_index()
            paired = [read.is_paired for read in bam.head(READS)]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no BAM file that can be read ({error}); copy it again or leave it out") from error
    if order != "coordinate":
        raise InputError(f"{path}: not sorted by coordinate; run `samtools sort`, then `samtools index`")
    if not indexed:
        raise InputError(f"{path}: no index; run `samtools index {path}`")
    return {"genome": find_genome(lengths), "chr": any(c.startswith("chr") for c in lengths), "paired": any(paired)}


def find_genome(lengths):
    """Name of the assembly with these chromosomes (dict of name, with or without chr, to length in bp), or None."""
    plain = {name.removeprefix("Chr").removeprefix("chr"): length for name, length in lengths.items()}
    return next((genome for genome, (name, length, _) in GENOMES.items() if plain.get(name) == length), None)


def read_name(path):
    """(cell type, TF or None for a control of all TFs, replicate, whether it is a control) by a file's name.

    Names are words with _ or . between them: cell type, TF, replicate (`rep1`, `R1`, `1`), and `input`, `IgG` or `control`
    somewhere in a control. Raises InputError when fewer words are left than are needed.
    """
    words = [word for word in re.split(r"[_.]+", Path(path).name.removesuffix(".bam")) if word.lower() not in ENDINGS]
    control = any(word.lower() in CONTROLS for word in words)
    numbers = [match[1] for word in words if (match := re.fullmatch(r"(?:rep|r)?(\d+)", word, re.I))]
    words = [w for w in words if w.lower() not in CONTROLS and not re.fullmatch(r"(?:rep|r)?\d+", w, re.I)]
    if len(words) < 2 - control:
        raise InputError(
            f"{path}: the name does not tell cell type and TF; call it e.g. K562_CTCF_rep1.bam, a control K562_input.bam"
        )
    words = [re.sub(r"[^A-Za-z0-9-]", "-", word) for word in words]
    return words[0], words[1] if len(words) > 1 else None, numbers[0] if numbers else "1", control


def from_folder(folder):
    """Rows of the table of experiments for a folder of BAM files, and (genome or None, whether names begin with chr).

    A treatment's control is that of its cell type, TF and replicate, else of its cell type and TF, else of its cell type.
    Raises InputError when there is none, when the files are of several genomes, or when controls have no treatment.
    """
    files = [(path.resolve(), *read_name(path)) for path in sorted(Path(folder).glob("*.bam"))]
    if not any(not control for *_, control in files):
        raise InputError(f"{folder}: no BAM file of a treatment; give the folder in which the *.bam files lie")
    found = {path: describe_bam(path) for path, *_ in files}
    genomes = {(told["genome"], told["chr"]) for told in found.values()}
    if len(genomes) > 1:
        told = ", ".join(sorted(f"{path.name} {found[path]['genome']}" for path in found))
        raise InputError(f"{folder}: files of several genomes ({told}); keep those of one, or map all to one")
    rows = []
    for path, cell_type, tf, replicate, control in files:
        if control:
            continue
        fitting = [c for c in files if c[4] and c[1] == cell_type and c[2] in (tf, None)]
        fitting.sort(key=lambda c: (c[2] is None, c[3] != replicate))
        row = {"cell_type": cell_type, "tf": tf, "replicate": replicate, "treatment": str(path)}
        rows.append(row | {"control": str(fitting[0][0]) if fitting else ""})
    return rows, *genomes


def fetch_page(address):
    """Content of a page as text, as JSON where its server has it."""
    request = urllib.request.Request(address, headers={"Accept": "application/json", "User-Agent": "cisgrammar"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def from_accessions(path, fetch=fetch_page):
    """Rows of the table for accessions of ENCODE's experiments (ENCSR...), one per line or in any column, and their genome.

    fetch: function of an address that returns its text. Ready peaks are taken, the best kind of the newest assembly.
    Raises InputError when there is no accession, an experiment has no peaks, or they are of several genomes.
    """
    accessions = list(dict.fromkeys(re.findall(r"\bENCSR\d{3}[A-Z]{3}\b", Path(path).read_text())))
    if not accessions:
        raise InputError(f"{path}: no accession of an experiment of ENCODE (ENCSR and six more); write one per line")
    rows, genomes = [], set()
    for accession in accessions:
        try:
            told = json.loads(fetch(f"{ENCODE}/experiments/{accession}/?format=json"))
        except OSError as error:
            raise InputError(
                f"{accession}: cannot be fetched from ENCODE ({error}); check it and the network"
            ) from error
        files = [
            file
            for file in told["files"]
            if file.get("file_type") == "bed narrowPeak"
            and file.get("status") == "released"
            and file.get("output_type") in PEAKS
            and file.get("assembly") in ASSEMBLIES
        ]
        if not files:
            raise InputError(
                f"{accession}: no released narrowPeak file of a known assembly; give its BAM files instead"
            )
        ranks = list(ASSEMBLIES)
        best = min(files, key=lambda f: (ranks.index(f["assembly"]), PEAKS.index(f["output_type"])))
        genomes.add(ASSEMBLIES[best["assembly"]])
        rows.append(
            {
                "cell_type": clean(told["biosample_ontology"]["term_name"]),
                "tf": clean(told["target"]["label"]),
                "peaks": ENCODE + best["href"],
                "peaks_checksum": f"md5:{best['md5sum']}",
                "batch": accession,
            }
        )
    if len(genomes) > 1:
        raise InputError(f"{path}: experiments of several genomes ({', '.join(sorted(genomes))}); keep those of one")
    counts = {}
    for row in rows:
        key = (row["cell_type"], row["tf"])
        counts[key] = counts.get(key, 0) + 1
        row["replicate"] = str(counts[key])
    return rows, (genomes.pop(), True)


def clean(name):
    """A name of the letters that the table of experiments takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")


def find_checksum(name, fetch=fetch_page):
    """MD5 of an assembly's FASTA file, as UCSC tells it, or None where UCSC cannot be asked or does not say."""
    try:
        listed = fetch(UCSC.format(name) + "md5sum.txt")
    except OSError:
        return None
    found = re.search(rf"^([0-9a-f]{{32}})\s+\*?(?:\./)?{name}\.fa\.gz$", listed, re.M)
    return found and found[1]


def write_start(rows, genome, table, settings, fetch=fetch_page):
    """Write the table of experiments and the configuration; return what is left for the user to do, a list of lines.

    rows: of `from_folder` or `from_accessions`; genome: (name of GENOMES or None, whether chromosomes begin with chr);
    fetch: function of an address that returns its text
    Raises InputError when one of the files is there already.
    """
    for path in (table, settings):
        if Path(path).exists():
            raise InputError(f"{path} is there already; give another name, or remove it")
    name, with_chr = genome
    known = name in GENOMES and name != "TAIR10" and with_chr
    lines, left = [f"samples: {table}", "references:"], []
    if known:
        lines.append(f"  genome: {UCSC.format(name)}{name}.fa.gz")
        md5 = find_checksum(name, fetch)
        lines.append(f"  genome_checksum: md5:{md5 or 'CHECKSUM'}")
        if not md5:
            left.append(
                f"{settings}: the checksum could not be fetched; write what {UCSC.format(name)}md5sum.txt says for CHECKSUM"
            )
    else:
        lines.append("  genome: GENOME.fa.gz")
        what = f"of {name}, its chromosomes named as in your files," if name else "of your genome"
        left.append(f"{settings}: write the FASTA file {what} for GENOME.fa.gz")
    if name in GENOMES and GENOMES[name][2] != "vertebrates":
        lines += ["  jaspar:", f"    taxon: [{GENOMES[name][2]}]"]
    with atomic(table) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with atomic(settings) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    return left
