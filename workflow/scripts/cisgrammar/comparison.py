"""How much a match of a motif with a known matrix means: divergences, nulls, and whether the matrix is the TF's own."""

import numpy as np
import pandas as pd
from memelite import tomtom

COLUMNS = ["e", "overlap", "js", "kl", "own", "own_rank", "own_p"]
NULLS = ["null_p", "null_best", "untrained_p", "untrained_best", "untrained_same", "better"]


def aligned_columns(query, target, offset, strand):
    """The columns of two matrices of probabilities (4, width) that lie over each other, float arrays (4, overlap).

    offset: column of the query at which the target starts; strand: `-` where the target is turned round
    """
    target = target[::-1, ::-1] if strand == "-" else target
    first, last = max(0, offset), min(query.shape[1], offset + target.shape[1])
    return query[:, first:last], target[:, first - offset : last - offset]


def divergences(query, target, pseudocount=0.001):
    """(Jensen-Shannon, Kullback-Leibler from query to target): means over columns in bits; the first is from 0 to 1.

    query, target: probabilities (4, columns); the pseudocount keeps the second one finite. nan without a column.
    """
    if not query.shape[1]:
        return np.nan, np.nan
    p, q = ((matrix + pseudocount) / (matrix + pseudocount).sum(axis=0) for matrix in (query, target))
    middle = (p + q) / 2

    def kl(a, b):
        return np.sum(a * np.log2(a / b), axis=0).mean()

    return (kl(p, middle) + kl(q, middle)) / 2, kl(p, q)


def own_matrices(tf, known, families=None):
    """Which known matrices are the TF's own: dict of id to `name` or `family`.

    tf: name of the TF; known: dict id to (name, matrix); families: dict of id to the JASPAR family, or None
    A matrix of a complex (MAX::MYC) is that of each of its parts; upper and lower case count alike. Families are those of
    the matrices with the TF's name.
    """
    families = families or {}
    own = {key: "name" for key, (name, _) in known.items() if tf.lower() in name.lower().split("::")}
    related = {families[key] for key in own if families.get(key)}
    return {key: "family" for key in known if families.get(key) in related} | own


def best_p(queries, targets):
    """p values (queries, targets) of TOMTOM, see `motifs.compare_motifs`."""
    return np.clip(tomtom(queries, targets, n_jobs=1)[0], 1e-300, 1) if queries else np.ones((0, len(targets)))


def match_runs(runs, known):
    """Smallest p of each run of a null with each known matrix, float array (runs, matrices); 1 where a run found nothing.

    runs: list of lists of matrices (4, width), counts or probabilities; known: dict id to (name, matrix)
    """
    targets = [matrix for _, matrix in known.values()]
    found = [best_p([m / m.sum(axis=0) for m in run], targets).min(axis=0, initial=1) for run in runs]
    return np.array(found).reshape(len(runs), len(targets))


def best_gains(runs):
    """How much better than all other runs each run is with any matrix, the smallest ratio of p values: float array (runs,).

    runs: of `match_runs`. Some known matrices are matched by noise with any p, so that only the ratio tells. Of a single run
    it is its smallest p.
    """
    others = [np.delete(runs, i, axis=0).min(axis=0, initial=1) for i in range(len(runs))]
    return np.array([(run / other).min() for run, other in zip(runs, others, strict=True)])


def chance(null, p):
    """(share of a null that is as good as p, with one added to both numbers; its smallest p); nan without a null."""
    return ((1 + np.sum(null <= p)) / (1 + len(null)), null.min()) if len(null) else (np.nan, np.nan)


def add_evidence(matches, motifs, known, own, n_null, rng, runs=()):
    """Further columns for the matches of `motifs.compare_motifs`, see COLUMNS and NULLS.

    motifs: list of dicts id, matrix; known: dict id to (name, matrix); own: dict of `own_matrices`; n_null: shuffled
    versions of each motif; runs: of `match_runs`, the same search for motifs in the same windows with untrained weights
    e: p times the number of known matrices; overlap: aligned columns; js, kl: see `divergences`; own: `name`, `family` or
    empty; own_rank, own_p: of the first own matrix among all known ones for this motif (nan without one); null_p: share of
    the versions of the motif with shuffled columns whose best match with any known matrix is as good as this one (with
    one added to both numbers); null_best: the smallest p of these; untrained_p, untrained_best: the same of the untrained
    runs, where the best of all motifs of a run counts; untrained_same: the smallest p of all runs with this known matrix.
    All of these are nan where there is no null. better: 1 for a match whose gain, p divided by untrained_same, is smaller
    than 1, than that of each shuffled version with any matrix, and than that of each run with any matrix over the other
    runs; else 0; nan without a null.
    """
    targets, identifiers = [matrix for _, matrix in known.values()], list(known)
    queries = {motif["id"]: motif["matrix"] / motif["matrix"].sum(axis=0) for motif in motifs}
    runs = np.asarray(runs).reshape(-1, len(targets))
    same, others = runs.min(axis=0, initial=1), best_gains(runs)
    mine = np.flatnonzero([key in own for key in identifiers])
    parts, rows = dict(list(matches.groupby("motif", sort=False))), []
    shuffled = [[queries[name][:, rng.permutation(queries[name].shape[1])] for _ in range(n_null)] for name in parts]
    asked = [query for name, turns in zip(parts, shuffled, strict=True) for query in (queries[name], *turns)]
    found = best_p(asked, targets).reshape(len(parts), 1 + n_null, len(targets))
    for (name, part), p in zip(parts.items(), found, strict=True):
        rank = np.argsort(np.argsort(p[0], kind="stable")) + 1
        first = (int(rank[mine].min()), p[0][mine].min()) if len(mine) else (np.nan, np.nan)
        gains = np.concatenate([[1], (p[1:] / same).min(axis=1), others])
        for match in part.itertuples():
            columns = aligned_columns(queries[name], known[match.jaspar_id][1], match.offset, match.strand)
            alike = same[identifiers.index(match.jaspar_id)] if len(runs) else np.nan
            nulls = *chance(p[1:].min(axis=1), match.p), *chance(runs.min(axis=1), match.p), alike
            better = int(match.p / np.nan_to_num(alike, nan=1) < gains.min()) if len(gains) > 1 else np.nan
            about = match.p * len(targets), columns[0].shape[1], *divergences(*columns), own.get(match.jaspar_id, "")
            rows.append((*about, *first, *nulls, better))
    return matches.assign(**pd.DataFrame(rows, columns=[*COLUMNS, *NULLS], index=matches.index))
