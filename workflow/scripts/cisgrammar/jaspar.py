"""Known motifs out of JASPAR, through pyjaspar, which only the rule `export_jaspar` and its environment use."""

import numpy as np
from pyjaspar import jaspar_releases, jaspardb

from cisgrammar.log import InputError


def read_jaspar(release, collection, taxa, all_versions):
    """Matrices of one JASPAR release, in the order of their ids.

    Returns a list of dicts: jaspar_id, name, tf_class, tf_family, taxon, counts (float array (4, width), rows ACGT).
    Raises InputError when the release is unknown or holds no such matrices.
    """
    if release not in jaspar_releases:
        raise InputError(f"references.jaspar.release: '{release}' is not one of {', '.join(jaspar_releases)}")
    database = jaspardb(release=release)
    found = database.fetch_motifs(collection=collection, tax_group=list(taxa), all_versions=all_versions) or []
    if not found:
        raise InputError(f"JASPAR release {release} has no matrices of collection {collection} for {', '.join(taxa)}")
    motifs = [
        {
            "jaspar_id": motif.matrix_id,
            "name": motif.name,
            "tf_class": "; ".join(map(str, motif.tf_class or [])),
            "tf_family": "; ".join(map(str, motif.tf_family or [])),
            "taxon": motif.tax_group,
            "counts": np.array([motif.counts[base] for base in "ACGT"], dtype=float),
        }
        for motif in found
    ]
    return sorted(motifs, key=lambda motif: motif["jaspar_id"])
