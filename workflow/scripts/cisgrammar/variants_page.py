"""The report on variants of one experiment: how many have a score, and those that change it most."""

from cisgrammar.page import read_table

TEXT = ("chrom", "id", "ref", "alt", "aligned_ref", "aligned_alt", "model", "status")
N_VARIANTS = 10
OK = "ok"


def describe_variants(path, n=N_VARIANTS):
    """What variants.tsv of one experiment says, a dict.

    path: results/variants/<cell_type>/<tf>/variants.tsv
    n_alleles: number of alternative alleles; unscored: dict of the reason to the number without a score; top: the `n` alleles
    whose logit changes most in the mean of all models, the largest change first, dicts chrom, pos, id, ref, alt, delta (of
    the mean), models (dict of model to delta), agree (whether all models change it in the same direction).
    """
    table = read_table(path, TEXT)
    alleles = table.drop_duplicates(["row", "alt"])
    unscored = alleles.loc[alleles["status"] != OK, "status"].value_counts().to_dict()
    columns = ["row", "chrom", "pos", "id", "ref", "alt"]
    wide = table[table["status"] == OK].pivot(index=columns, columns="model", values="delta")
    mean = wide.mean(axis=1)
    top = []
    for key in mean.abs().sort_values(ascending=False, kind="stable").index[:n]:
        models = wide.loc[key].to_dict()
        about = dict(zip(columns, key, strict=True))
        del about["row"]
        agree = len({value > 0 for value in models.values()}) == 1
        top.append(about | {"delta": float(mean[key]), "models": models, "agree": agree})
    return {"n_alleles": len(alleles), "unscored": unscored, "top": top}
