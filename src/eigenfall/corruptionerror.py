"""Mean corruption error of a model relative to a baseline model.

    CE_c = Σ over severities of E_c,s / the baseline's same sum,        mCE = mean over corruptions of CE_c
    relative:  E_c,s − E_clean in place of E_c,s, in both

E are error rates. The relative one asks how much is lost from the clean accuracy, not how much is there.

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261, §4.1.
Differs from the source: an interval, by a bootstrap over images; the baseline is whichever model is given.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.statistics import bootstrap
from eigenfall.types import CorruptionCurve, Estimate


def mean_corruption_error(
    curve: CorruptionCurve, baseline: CorruptionCurve, relative: bool = False, draws: int = 1000
) -> Estimate:
    """Mean corruption error of a model relative to a baseline on the same images: below 1 is better than it.

    Args:
        curve: of the model.
        baseline: of the baseline.
        relative: errors less the clean error.
        draws: of the images, behind the interval; 0: none.

    Raises:
        ValueError: if the two were not corrupted alike, or the baseline makes no error that could be divided by.
    """
    for what, here, there in (
        ("corruptions", dict(curve.corruptions), dict(baseline.corruptions)),
        ("severities", curve.severities, baseline.severities),
        ("number of images", curve.correct.shape[2], baseline.correct.shape[2]),
        ("seed", curve.seed, baseline.seed),
    ):
        need(
            here == there,
            expected=f"a baseline with the same {what}",
            got=f"{there} for {here}",
            remedy="Corrupt the same images for both models alike.",
        )
    ours, theirs = (_losses(found, relative) for found in (curve, baseline))
    whole = theirs.mean(1)
    for name, loss in zip(curve.corruptions, whole.tolist()):
        need(
            loss > 0,
            expected=f"a baseline that {name!r} makes worse",
            got=f"a loss of {loss:.3g}",
            remedy="Leave the corruption out, or take a weaker baseline.",
        )
    value = float((ours.mean(1) / whole).mean())
    if draws == 0 or ours.shape[1] < 10:
        return Estimate(value)

    def redrawn(drawn: Tensor) -> Tensor:
        return torch.stack([(ours[:, rows].mean(1) / theirs[:, rows].mean(1)).mean() for rows in drawn])

    low, high = bootstrap(ours.shape[1], redrawn, torch.Generator().manual_seed(0), draws)
    if not (math.isfinite(low) and math.isfinite(high)):  # in some draw the baseline makes no error
        return Estimate(value)
    return Estimate(value, low, high, over="images")


def _losses(curve: CorruptionCurve, relative: bool) -> Float64[Tensor, "corruptions inputs"]:
    """Errors of each image over severities, less its clean error if relative."""
    wrong = (~curve.correct).double()
    return (wrong - (~curve.clean_correct).double() if relative else wrong).mean(1)
