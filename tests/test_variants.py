"""Variants: read, checked, left-aligned by hand, and scored by a network whose motif is known."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch
from cisgrammar.architectures import detectors
from cisgrammar.layers import one_hot
from cisgrammar.log import InputError
from cisgrammar.model import score
from cisgrammar.variants import (
    allele_window,
    check_variant,
    cut_windows,
    left_align,
    prepare_variants,
    read_variants,
    score_variants,
)
from sequence_data import codes_of

MOTIF = "TGACTCAGC"
HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def exact_network(motif=MOTIF, channels=4):
    """A network with the logit 6 where the very motif is on either strand, -2 elsewhere."""
    network = detectors(1, len(motif), hidden=1, dropout=0.0, hidden_dropout=0.0, channels=channels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.detectors.free[0, 0, :4] = one_hot(codes_of(motif))
        network.detectors.bias.fill_(0.5 - 0.75 * len(motif))
        network.trunk[3].weight[0, 0, 0] = 4
        network.head.weight.fill_(4)
        network.head.bias.fill_(-2)
    return network.eval()


def write_vcf(path, *rows):
    text = HEAD + "".join("\t".join(map(str, (*row, ".", "PASS", "."))) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["in.vcf", "in.vcf.gz"])
def test_alleles_are_split(tmp_path, name):
    rows = [("chr1", 5, "rs1", "a", "c,G,<DEL>"), ("chr2", 9, ".", "AT", "A")]
    found = read_variants(write_vcf(tmp_path / name, *rows))
    assert found["row"].tolist() == [3, 3, 3, 4]
    assert found["alt"].tolist() == ["C", "G", "<DEL>", "A"]
    assert found["ref"].tolist() == ["A", "A", "A", "AT"]
    assert found["pos"].tolist() == [5, 5, 5, 9]


def test_bad_files_are_refused(tmp_path):
    path = tmp_path / "in.vcf"
    path.write_text(HEAD)
    with pytest.raises(InputError, match="no variant"):
        read_variants(path)
    path.write_text(HEAD + "chr1\tfive\t.\tA\tC\n")
    with pytest.raises(InputError, match="row 3: not a VCF row"):
        read_variants(path)
    path.write_text(HEAD + "chr1 5 . A C\n")
    with pytest.raises(InputError, match="row 3"):
        read_variants(path)
    whole = write_vcf(tmp_path / "in.vcf.gz", *[("chr1", i, ".", "A", "C") for i in range(500)]).read_bytes()
    (tmp_path / "in.vcf.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match="cut short"):
        read_variants(tmp_path / "in.vcf.gz")


def test_status_by_hand(write_genome):
    store = write_genome({"chr1": "ACGTacgtNN"})
    for variant, status in (
        (("chr1", 1, "A", "G"), "ok"),
        (("chr1", 5, "A", "G"), "ok"),  # soft-masked
        (("chr1", 8, "T", "G"), "ok"),
        (("chr1", 1, "C", "G"), "other reference"),
        (("chr1", 7, "GTN", "G"), "unknown base"),
        (("chr1", 9, "A", "G"), "other reference"),
        (("chr1", 10, "NA", "N"), "outside the chromosome"),
        (("chr1", 0, "A", "C"), "outside the chromosome"),
        (("chr1", 11, "A", "C"), "outside the chromosome"),
        (("chr1", 1, "A", "N"), "unknown base"),
        (("chr1", 1, "A", "A"), "no change"),
        (("1", 1, "A", "G"), "unknown chromosome"),
        (("chr1", 1, "A", "*"), "no sequence"),
        (("chr1", 1, "A", "."), "no sequence"),
        (("chr1", 1, "A", "A[CHR1:5["), "no sequence"),
        (("chr1", 1, ".", "A"), "no reference sequence"),
        (("chr1", 1, "", "A"), "no reference sequence"),
    ):
        assert check_variant(*variant, store) == status, variant


def test_left_align_by_hand():
    bases = codes_of("GGCACACATT")
    for given, expected in (
        ((2, "C", "T"), (2, "C", "T")),
        ((1, "GC", "GT"), (2, "C", "T")),
        ((5, "ACA", "A"), (2, "CA", "")),  # one CA of three, written at its last copy
        ((7, "A", "ACA"), (2, "", "CA")),
        ((1, "GCA", "G"), (2, "CA", "")),
        ((0, "G", "GG"), (0, "", "G")),
        ((0, "GG", "G"), (0, "G", "")),
        ((8, "TT", "AA"), (8, "TT", "AA")),
        ((6, "CATT", "CTTT"), (7, "A", "T")),
    ):
        assert left_align(*given, bases) == expected
    assert left_align(2, "A", "", codes_of("NAAA")) == (1, "A", "")  # not into what is unknown


def test_alignment_keeps_the_sequence():
    """Whatever is written, the chromosome after the change is the same."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(rng.choice(list("AC"), 30))
        start, width = int(rng.integers(0, 28)), int(rng.integers(1, 3))
        ref, alt = text[start : start + width], "".join(rng.choice(list("AC"), rng.integers(1, 4)))
        if ref == alt:
            continue
        at, short, new = left_align(start, ref, alt, codes_of(text))
        assert at <= start + width and text[at : at + len(short)] == short
        assert text[:at] + new + text[at + len(short) :] == text[:start] + alt + text[start + width :]
        assert not (short and new and (short[0] == new[0] or short[-1] == new[-1]))


def test_nothing_is_lost(write_genome, tmp_path):
    store = write_genome({"chr1": "GGCACACATT" * 3})
    rows = [("chr1", 6, "a", "ACA", "A,T"), ("chrX", 1, "b", "A", "T"), ("chr1", 1, "c", "T", "G")]
    table = prepare_variants(read_variants(write_vcf(tmp_path / "in.vcf", *rows)), store)
    assert table["status"].tolist() == ["ok", "ok", "unknown chromosome", "other reference"]
    assert table["start"].tolist() == [2, 5, -1, -1]
    assert table["aligned_ref"].tolist() == ["CA", "ACA", "", ""]
    assert table["aligned_alt"].tolist() == ["", "T", "", ""]
    with pytest.raises(InputError, match="none of 1 lies on a chromosome"):
        prepare_variants(table.iloc[2:3][["row", "chrom", "pos", "id", "ref", "alt"]], store)


def test_windows_by_hand():
    places, here = allele_window(10, 1, 1, 5)
    assert places.tolist() == [8, 9, 10, 11, 12] and here == slice(2, 3)
    places, here = allele_window(10, 0, 2, 6)  # two bases before base 10
    assert places.tolist() == [8, 9, 9, 9, 10, 11] and here == slice(2, 4)
    places, here = allele_window(10, 3, 0, 4)  # bases 10, 11 and 12 are gone
    assert places.tolist() == [8, 9, 13, 14] and here == slice(2, 2)
    places, here = allele_window(10, 2, 3, 3)
    assert places.tolist() == [10, 11, 11] and here == slice(0, 3)


def test_windows_hold_the_alleles(write_genome, tmp_path):
    text = "ACGTTGCAACCGGTTAAGCC"
    store = write_genome({"chr1": text})
    rows = [("chr1", 10, ".", "C", "T"), ("chr1", 1, ".", "A", "G"), ("chr1", 11, ".", "C", "CTT")]
    table = prepare_variants(read_variants(write_vcf(tmp_path / "in.vcf", *rows)), store)
    codes, values = cut_windows(table, store, 6)
    words = [["".join("ACGTN"[base] for base in row) for row in allele] for allele in codes]
    assert words[0] == ["AACCGG", "NNACGT", "ACCGGT"]
    assert words[1] == ["AATCGG", "NNGCGT", "CCTTGG"]
    assert values.shape == (2, 3, 0, 6)


def test_channels_follow_the_bases(write_genome, tmp_path):
    store = write_genome({"chr1": "ACGTTGCAACCGGTTAAGCC"})
    path = tmp_path / "track.bedGraph"
    path.write_text("".join(f"chr1\t{i}\t{i + 1}\t{i}\n" for i in range(20)))
    table = prepare_variants(read_variants(write_vcf(tmp_path / "in.vcf", ("chr1", 11, ".", "C", "CTT"))), store)
    _, values = cut_windows(table, store, 6, [{"path": str(path), "mean": 0, "sd": 1}])
    assert values[:, 0, 0].tolist() == [[8, 9, 10, 11, 12, 13], [9, 10, 10, 10, 11, 12]]


def planted_genome(write_genome):
    """A motif at 50, its other strand at 150, one base short of it (CGACTCAGC) at 250, with one base more at 350."""
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 500))
    turned = "GCTGAGTCA"
    for at, site in ((50, MOTIF), (150, turned), (250, "C" + MOTIF[1:]), (350, MOTIF[:4] + "G" + MOTIF[4:])):
        text = text[:at] + site + text[at + len(site) :]
    return text, write_genome({"chr1": text})


def test_variants_break_and_make_motifs(write_genome, tmp_path):
    text, store = planted_genome(write_genome)
    rows = [
        ("chr1", 53, "break", "A", "T"),
        ("chr1", 153, "break on the other strand", "T", "A"),
        ("chr1", 251, "make", "C", "T"),
        ("chr1", 354, "make by a deletion", "CG", "C"),
        ("chr1", 53, "break by an insertion", "A", "AGG"),
        ("chr1", 401, "neutral", text[400], "ACGT".replace(text[400], "")[0]),
        ("chr1", 53, "wrong", "C", "T"),
        ("chr1", 53, "wide", text[52:120], "A"),
    ]
    table = prepare_variants(read_variants(write_vcf(tmp_path / "in.vcf", *rows)), store)
    found = score_variants(exact_network(), table, store, 60)
    assert found["delta"].tolist()[:6] == pytest.approx([-8, -8, 8, 8, -8, 0], abs=1e-4)
    assert found["ref_logit"].tolist()[:3] == pytest.approx([6, 6, -2], abs=1e-4)
    assert found["status"].tolist()[5:] == ["ok", "other reference", "longer than the window"]
    assert found.iloc[6:][["ref_logit", "alt_logit", "delta"]].isna().all(axis=None)
    assert found["delta"].tolist() == pytest.approx((found["alt_logit"] - found["ref_logit"]).tolist(), nan_ok=True)


def test_strands_are_averaged(write_genome, tmp_path):
    class FirstBase(torch.nn.Module):
        """A network that counts A at the first base alone."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, sequences):
            return self.weight * sequences[:, 0, :1]

    store = write_genome({"chr1": "CCCCACCTCC"})
    path = write_vcf(tmp_path / "in.vcf", ("chr1", 7, ".", "C", "G"), ("chr1", 5, ".", "A", "C"))
    table = prepare_variants(read_variants(path), store)
    network = FirstBase()
    codes, _ = cut_windows(table, store, 3)
    assert score(network, codes[0])[:, 0].tolist() == [0, 0]
    found = score_variants(network, table, store, 3)  # windows CCT and CAC; the other strand of CCT starts with A
    assert found["ref_logit"].tolist() == [0.5, 0]


def test_many_variants_in_parts(write_genome, tmp_path, monkeypatch):
    _, store = planted_genome(write_genome)
    rng = np.random.default_rng(2)
    bases = store.bases("chr1") & 7
    places = rng.integers(0, 500, 30)
    rows = [("chr1", p + 1, ".", "ACGT"[bases[p]], "ACGT"[(bases[p] + 1) % 4]) for p in places]
    table = prepare_variants(read_variants(write_vcf(tmp_path / "in.vcf", *rows)), store)
    whole = score_variants(exact_network(), table, store, 40)
    monkeypatch.setattr("cisgrammar.variants.AT_ONCE", 7)
    pd.testing.assert_frame_equal(whole, score_variants(exact_network(), table, store, 40))
