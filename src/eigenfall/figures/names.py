"""What parts are called in figures and on pages; a part without an entry keeps the name that it is written by."""

CALLED = {
    "alpha_req": "α-ReQ",
    "alphareq": "α-ReQ",
    "brokenlaw": "broken power law",
    "crossdecomposition": "cross-decomposition",
    "cutoff": "exponential cut-off",
    "cvpca": "cvPCA",
    "density_exponent": "density exponent",
    "densityexponent": "density exponent",
    "effective_rank": "effective rank",
    "effectiverank": "effective rank",
    "leastsquares": "least squares",
    "levina_bickel": "Levina–Bickel",
    "levinabickel": "Levina–Bickel",
    "lidar": "LiDAR",
    "lognormal": "lognormal rank law",
    "marchenkopastur": "Marčenko–Pastur",
    "meme": "MEME",
    "momentlaw": "law of the moments",
    "participation": "participation ratio",
    "participation_ratio": "participation ratio",
    "pca": "PCA",
    "rank_at_80_percent": "rank at 80 % of the variance",
    "rank_at_90_percent": "rank at 90 % of the variance",
    "rankme": "RankMe",
    "stable_rank": "stable rank",
    "stablerank": "stable rank",
    "stretched": "stretched exponential",
    "twonn": "TwoNN",
    "variancerank": "rank at a share of the variance",
}


def called(part: str) -> str:
    """The words for a part in the grammar: its name without its settings; `cvpca#2` is the second cvPCA.

    Example:
        >>> called("pca:precision=mixed"), called("cvpca#2"), called("lab.own:Estimator")
        ('PCA', 'cvPCA, second', 'lab.own:Estimator')
    """
    if "." in part.partition(":")[0]:
        return part
    name, _, number = part.partition("#")
    name = name.partition(":")[0].partition("@")[0]
    ordinal = {"": "", "2": ", second", "3": ", third"}.get(number, f", number {number}")
    return CALLED.get(name, name) + ordinal
