"""Families of TFs, as JASPAR has them from TFClass (Wingender et al. 2018, Nucleic Acids Research 46:D343)."""

from cisgrammar.log import InputError


def families_of(tf, table):
    """The families of a TF: those of the matrices with its name, alone or as a part of a dimer, whatever the case.

    table: data frame name, tf_family, the latter `; ` between several. Returns a set of str.
    """
    own = [tf.lower() in name.lower().split("::") for name in table["name"]]
    return {family for text in table.loc[own, "tf_family"] for family in text.split("; ") if family}


def same_family(tf, sources, table):
    """The sources, `cell_type/tf`, of which the TF is of a family of `tf` or is the same, in their order.

    table: see `families_of`. Raises InputError when there is none, with what is known of the TF.
    """
    families = families_of(tf, table)
    found = []
    for source in sources:
        other = source.split("/")[1]
        if other.lower() == tf.lower() or families & families_of(other, table):
            found.append(source)
    if not found:
        what = f"of the family {', '.join(sorted(families))}" if families else "and JASPAR has no family for it"
        raise InputError(
            f"transfer.sources: {tf} has no other experiment {what}; take `related` or `all_others` as its sources"
        )
    return found
