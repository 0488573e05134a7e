"""Motifs from contributions with planted sites, and known matrices found again at the right column and strand."""

import matplotlib.image
import numpy as np
import pytest
import torch
from cisgrammar.layers import one_hot, reverse_complement
from cisgrammar.meme import read_meme, write_meme
from cisgrammar.motifs import (
    CORE_BP,
    WINDOW_BP,
    align,
    cluster_seqlets,
    compare_motifs,
    count_members,
    cut,
    cut_seqlets,
    draw_logos,
    find_motifs,
    information,
    trim,
)
from sequence_data import codes_of

COLUMNS = ["motif", "n_sites", "jaspar_id", "jaspar_name", "p", "q", "offset", "strand"]
OTHER = {"A": "T", "C": "G", "G": "C", "T": "A"}


def turned(sequence):
    return "".join(OTHER[base] for base in reversed(sequence))


def consensus(matrix):
    return "".join("ACGT"[row] for row in matrix.argmax(axis=0))


def planted(motifs, n=150, bases=80, seed=0):
    """Contributions near 0 but for one site per window, of the motifs in turn, on either strand at a random place."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n, bases)).astype(np.uint8)
    sizes = rng.normal(0, 0.02, (n, 1, bases))
    for row in range(n):
        motif = motifs[row % len(motifs)]
        at = rng.integers(0, bases - len(motif) + 1)
        codes[row, at : at + len(motif)] = codes_of(motif if rng.random() < 0.5 else turned(motif))
        sizes[row, 0, at : at + len(motif)] = rng.normal(1, 0.1, len(motif))
    return (one_hot(codes).numpy() * sizes).astype(np.float32), codes


def test_information_by_hand():
    counts = np.array([[25, 1000, 10, 50], [25, 0, 0, 50], [25, 0, 0, 0], [25, 0, 0, 0]], dtype=float)
    bits = information(counts)
    assert bits[0] == pytest.approx(0)
    assert 1.97 < bits[1] < 2
    # 10.5, 0.5, 0.5 and 0.5 of 12
    assert bits[2] == pytest.approx(2 + 0.875 * np.log2(0.875) + 0.125 * np.log2(1 / 24))
    assert 0.9 < bits[3] < 1


def test_trim_by_hand():
    none, full = np.full(4, 25.0), np.array([100.0, 0, 0, 0])
    counts = np.array([none, none, full, full, none, full, full, none]).T
    assert np.array_equal(trim(counts), counts[:, 2:7])
    assert np.array_equal(trim(np.array([none, none, none, full, none, none, none]).T).T[2], full)
    assert trim(np.array([full, *[none] * 7]).T).shape == (4, 5)
    assert trim(np.array([*[none] * 7, full]).T).shape == (4, 5)
    assert trim(np.tile(none, (7, 1)).T).shape == (4, 7)
    assert trim(np.tile(full, (3, 1)).T, shortest=3).shape == (4, 3)


def test_align_by_hand():
    rng = np.random.default_rng(1)
    pattern = torch.as_tensor(rng.normal(0, 1, (4, CORE_BP)), dtype=torch.float32)
    seqlets = torch.zeros(3, 4, WINDOW_BP)
    seqlets[0, :, 4 : 4 + CORE_BP] = 3 * pattern
    seqlets[1, :, 13 : 13 + CORE_BP] = reverse_complement(pattern)
    similarity, shift, other = align(pattern, seqlets)
    assert similarity.tolist() == pytest.approx([1, 1, 0], abs=1e-5)
    # turned round, the site that starts at 13 of 41 starts at 41 - 21 - 13
    assert shift[:2].tolist() == [4, 7]
    assert other[:2].tolist() == [False, True]
    straight = torch.stack([seqlets[0], reverse_complement(seqlets[1])])
    assert torch.allclose(cut(straight, shift[:2]), torch.stack([3 * pattern, pattern]))


def test_seqlets_are_centred_and_the_strongest_is_first():
    codes = np.random.default_rng(2).integers(0, 4, (40, 60)).astype(np.uint8)
    sizes = np.zeros((40, 1, 60))
    sizes[7, 0, 30:38], sizes[3, 0, 0:8] = 1, 2
    values = (one_hot(codes).numpy() * sizes).astype(np.float32)
    contributions, bases, attribution = cut_seqlets(values, codes, 0.01)
    assert contributions.shape[1:] == bases.shape[1:] == (4, WINDOW_BP)
    assert attribution.tolist() == sorted(attribution.tolist(), reverse=True)
    assert attribution[:2].tolist() == pytest.approx([16, 8])
    # the seqlet may be a few bases wider than the 8 that contribute, so its middle is that of 8 to 14 bases
    before = int((bases[0].sum(dim=0) == 0).sum())
    assert WINDOW_BP // 2 - 7 <= before <= WINDOW_BP // 2 - 4
    # what lies before the window is unknown and contributes nothing
    assert not bases[0, :, :before].any()
    assert torch.equal(bases[0, :, before:], one_hot(codes[3, : WINDOW_BP - before]))
    assert contributions[0].sum().item() == pytest.approx(16)
    assert (contributions[0, :, before : before + 8].sum(dim=0) == 2).all()


def test_a_planted_motif_is_found_on_both_strands():
    found = find_motifs(*planted(["TGACTCAGC"]), threshold=0.01, minimum_sites=20, maximum=10)
    assert [motif["id"] for motif in found] == ["motif_1"]
    assert consensus(found[0]["matrix"]) in ("TGACTCAGC", turned("TGACTCAGC"))
    assert 140 <= found[0]["n_sites"] <= 155
    # counts of all sites and a pseudocount of 0.5 in each of four rows
    assert found[0]["matrix"].sum(axis=0) == pytest.approx(found[0]["n_sites"] + 2)


def test_two_planted_motifs_are_two():
    pair = ["TGACTCAGC", "AACCGGATATG", "AACCGGATATG"]  # the second twice as often
    found = find_motifs(*planted(pair), threshold=0.01, minimum_sites=20, maximum=10)
    assert [motif["id"] for motif in found] == ["motif_1", "motif_2"]
    assert consensus(found[0]["matrix"]) in (pair[1], turned(pair[1]))
    assert consensus(found[1]["matrix"]) in (pair[0], turned(pair[0]))
    assert found[0]["n_sites"] > found[1]["n_sites"]
    assert len(find_motifs(*planted(pair), threshold=0.01, minimum_sites=20, maximum=1)) == 1


def test_motifs_survive_a_meme_file(tmp_path):
    found = find_motifs(*planted(["TGACTCAGC"]), threshold=0.01, minimum_sites=20, maximum=10)
    write_meme(found, tmp_path / "motifs.meme")
    name, matrix = read_meme(tmp_path / "motifs.meme")["motif_1"]
    assert name == ""
    assert matrix == pytest.approx(found[0]["matrix"] / found[0]["matrix"].sum(axis=0), abs=1e-5)


def test_each_seqlet_is_in_one_motif():
    contributions, bases, _ = cut_seqlets(*planted(["TGACTCAGC", "AACCGGATATG"]), 0.01)
    found = cluster_seqlets(contributions, bases, minimum_sites=5, maximum=50)
    assert sum(motif["n_sites"] for motif in found) <= len(contributions)
    assert [motif["weight"] for motif in found] == sorted((motif["weight"] for motif in found), reverse=True)


def test_no_motif_without_signal(known):
    codes = np.random.default_rng(3).integers(0, 4, (100, 80)).astype(np.uint8)
    noise = np.random.default_rng(3).normal(0, 0.1, (100, 1, 80))
    for values in (one_hot(codes).numpy() * noise, np.zeros((100, 4, 80))):
        found = find_motifs(values.astype(np.float32), codes, threshold=0.01, minimum_sites=20, maximum=10)
        assert found == []
        matches = compare_motifs(found, known, most=3)
        assert list(matches.columns) == COLUMNS
        assert matches.empty


def test_too_few_sites_are_no_motif():
    values, codes = planted(["TGACTCAGC"], n=15)
    assert find_motifs(values, codes, threshold=0.01, minimum_sites=50, maximum=10) == []


@pytest.fixture(scope="module")
def known():
    """Sixty random matrices of 8 to 13 columns; TOMTOM needs some dozens for its background."""
    rng = np.random.default_rng(4)
    matrices = [rng.dirichlet(np.full(4, 0.3), rng.integers(8, 14)).T for _ in range(60)]
    return {f"MA{i:04d}.1": (f"TF{i}", matrix) for i, matrix in enumerate(matrices)}


def motif_of(matrix, n_sites=100):
    return {"id": "motif_1", "matrix": matrix * n_sites + 0.5, "n_sites": n_sites}


def best_match(matrix, known):
    return compare_motifs([motif_of(matrix)], known, most=1).iloc[0]


@pytest.mark.parametrize("identifier", ["MA0007.1", "MA0021.1", "MA0058.1"])
def test_a_matrix_matches_itself(known, identifier):
    name, matrix = known[identifier]
    match = best_match(matrix, known)
    assert (match["jaspar_id"], match["jaspar_name"], match["n_sites"]) == (identifier, name, 100)
    assert match["p"] < 1e-6
    assert match["p"] <= match["q"] <= 60 * match["p"] * (1 + 1e-9)
    assert (match["offset"], match["strand"]) == (0, "+")
    match = best_match(matrix[::-1, ::-1], known)
    assert match["jaspar_id"] == identifier
    assert match["p"] < 1e-6
    assert (match["offset"], match["strand"]) == (0, "-")


def test_offset_is_the_column_where_the_known_matrix_starts(known):
    matrix = known["MA0021.1"][1]
    flank = np.random.default_rng(5).dirichlet(np.full(4, 5), 3).T
    other = matrix[::-1, ::-1]
    for query, offset, strand in (
        (np.hstack([flank, matrix]), 3, "+"),
        (np.hstack([matrix, flank]), 0, "+"),
        (matrix[:, 2:], -2, "+"),
        (matrix[:, :-2], 0, "+"),
        (np.hstack([flank, other]), 3, "-"),
        (np.hstack([other, flank]), 0, "-"),
        (other[:, 2:], -2, "-"),
    ):
        match = best_match(query, known)
        assert (match["jaspar_id"], match["offset"], match["strand"]) == ("MA0021.1", offset, strand)


def test_members_that_find_a_motif_are_counted(known):
    """Of three members one finds the first motif on the other strand, one both, one nothing."""
    rng = np.random.default_rng(8)
    first, second = (rng.dirichlet(np.full(4, 0.3), 10).T for _ in range(2))
    motifs = [{**motif_of(matrix), "id": f"motif_{i}"} for i, matrix in enumerate((first, second), start=1)]
    members = [[motif_of(first[::-1, ::-1])], [], [motif_of(second, 20), motif_of(first, 30)]]
    assert count_members(motifs, members, known) == [2, 1]
    assert count_members([], members, known) == []
    assert count_members(motifs, [], known) == [0, 0]


def test_the_search_ends_after_seqlets_without_company():
    """Forty seqlets that have nothing in common, then thirty alike: found unless the search gives up before."""
    noise = torch.as_tensor(np.random.default_rng(0).normal(size=(40, 4, WINDOW_BP)), dtype=torch.float32)
    alike = torch.zeros(30, 4, WINDOW_BP)
    alike[:, 2, 15:25] = 1
    both = torch.cat([noise, alike])
    bases = (both == both.amax(dim=1, keepdim=True)).float()
    assert [motif["n_sites"] for motif in cluster_seqlets(both, bases, 20, 5)] == [30]
    assert cluster_seqlets(both, bases, 20, 5, tries=40) == []


def test_several_motifs_keep_their_order(known):
    motifs = [{**motif_of(known[i][1]), "id": f"motif_{n}"} for n, i in ((1, "MA0030.1"), (2, "MA0002.1"))]
    matches = compare_motifs(motifs, known, most=3)
    assert list(matches.columns) == COLUMNS
    assert matches["motif"].tolist() == ["motif_1"] * 3 + ["motif_2"] * 3
    assert matches["jaspar_id"].iloc[[0, 3]].tolist() == ["MA0030.1", "MA0002.1"]
    assert all(part["p"].is_monotonic_increasing for _, part in matches.groupby("motif"))
    assert ((matches["q"] >= matches["p"]) & (matches["q"] <= 1)).all()


def test_a_found_motif_matches_what_was_planted(known):
    """The whole way: planted sites, motif, the matrix of the planted motif among the known ones."""
    found = find_motifs(*planted(["TGACTCAGC"]), threshold=0.01, minimum_sites=20, maximum=10)
    target = 0.9 * one_hot(codes_of("ATGACTCAGC")).numpy().astype(float) + 0.025
    match = compare_motifs(found, {**known, "MA9999.1": ("AP1", target)}, most=1).iloc[0]
    assert match["jaspar_id"] == "MA9999.1"
    assert match["q"] < 1e-3
    straight = consensus(found[0]["matrix"]) == "TGACTCAGC"
    assert (match["offset"], match["strand"]) == ((-1, "+") if straight else (0, "-"))


@pytest.mark.parametrize("turn", [False, True])
def test_logos_are_drawn(known, tmp_path, turn):
    matrix = known["MA0021.1"][1][:, 2:]
    motif = motif_of(matrix[::-1, ::-1] if turn else matrix)
    match = compare_motifs([motif], known, most=1).iloc[0]
    path = tmp_path / "logos" / "motif_1.png"
    draw_logos(motif, known, match, path)
    assert [file.name for file in path.parent.iterdir()] == ["motif_1.png"]
    image = matplotlib.image.imread(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert min(image.shape[:2]) >= 250
    assert image[..., :3].std() > 0.05


def test_logos_are_aligned(known, tmp_path, monkeypatch):
    """The lower logo is the known matrix, turned round for strand -, from its column on."""
    drawn = []
    monkeypatch.setattr("cisgrammar.motifs.plot_logo", lambda heights, ax: drawn.append(heights))
    name, matrix = known["MA0021.1"]
    motif = motif_of(matrix[::-1, ::-1][:, 2:])
    match = compare_motifs([motif], known, most=1).iloc[0]
    assert (match["offset"], match["strand"], name) == (-2, "-", "TF21")
    draw_logos(motif, known, match, tmp_path / "motif_1.png")
    upper, lower = drawn
    width = matrix.shape[1]
    assert upper.shape == lower.shape == (4, width)
    assert not upper[:, :2].any()
    assert np.array_equal(upper[:, 2:].argmax(axis=0), motif["matrix"].argmax(axis=0))
    assert np.array_equal(lower.argmax(axis=0), matrix[::-1, ::-1].argmax(axis=0))
    assert (lower.sum(axis=0) <= 2 + 1e-6).all()
