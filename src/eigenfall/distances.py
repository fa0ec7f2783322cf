"""Critical distances of a robustness curve, on all images or on some, in each norm and unit in which they are told.

    L2 also as rms = L2/√d, d values in an input;   pixels = native units × the image's own factor

An image that was not broken is censored at the largest budget, in its own unit: with a factor per image the censoring
differs from image to image, which Kaplan-Meier allows.

Source: `docs/robustness.md` §6.
"""

import math

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.survival import Survival, of_distances, reached, survival
from eigenfall.types import RobustnessCurve

QUARTILES = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}


def survivals(curve: RobustnessCurve, keep: Bool[Tensor, " inputs"] | None = None) -> dict[tuple[str, str], Survival]:
    """How many images stand as a function of the distance, by norm and unit: that of the threat first.

    In the threat's norm only: an L2 norm of what an Linf attack found bounds an L2 distance from above, but says
    nothing of the images that it did not break. Those norms are `sizes`.

    Args:
        curve: one with distances.
        keep: on which images, such as those that all compared models classify correctly; `None`: all, a clean error
            being broken at 0.

    Raises:
        ValueError: if the curve has no distances, or no image is kept.
    """
    distances, keep = _kept(curve, keep)
    largest = curve.epsilons[-1]
    norm, unit = curve.threat.norm, curve.threat.unit
    own = of_distances(distances, largest)
    found = {(norm, unit): own}
    if norm == "L2" and curve.input_size:
        root = math.sqrt(curve.input_size)
        found["rms", unit] = of_distances(distances / root, largest / root)
    if curve.scale is not None and unit != "pixel":
        factor = curve.scale[keep].double()
        broken = distances.isfinite()
        pixels = torch.where(broken, distances, reached(distances, largest)) * factor
        found[norm, "pixel"] = survival(pixels, broken)
        if norm == "L2" and curve.input_size:
            found["rms", "pixel"] = survival(pixels / math.sqrt(curve.input_size), broken)
    return found


def sizes(curve: RobustnessCurve, keep: Bool[Tensor, " inputs"] | None = None) -> Float64[Tensor, " broken"]:
    """L2 norms of the smallest perturbations that broke an image, of those that were broken and right when clean.

    Raises:
        ValueError: if the curve has no distances, or no image is kept.
    """
    _, keep = _kept(curve, keep)
    if curve.distances_l2 is None:
        return torch.empty(0, dtype=torch.float64)
    lengths = curve.distances_l2[keep & curve.clean_correct]
    return lengths[lengths.isfinite()]


def has_distances(curve: RobustnessCurve) -> bool:
    """Whether a curve tells critical distances; repeated noise has none: a first flip shrinks with the draws."""
    return curve.distances is not None and curve.flip_probability is None


def of_images(curve: RobustnessCurve) -> Float64[Tensor, " inputs"]:
    """The critical distance of each image, infinite where nothing broke it.

    Raises:
        ValueError: if the curve has none.
    """
    return given(
        curve.distances if has_distances(curve) else None,
        expected="a curve with the critical distance of each image",
        got=f"one of {', '.join(curve.attacks)} without",
        remedy="Use the headline: one attack's part of a curve has none of its own, nor has repeated noise.",
    )


def _kept(
    curve: RobustnessCurve, keep: Bool[Tensor, " inputs"] | None
) -> tuple[Float64[Tensor, " kept"], Bool[Tensor, " inputs"]]:
    distances = of_images(curve)
    keep = torch.ones_like(curve.clean_correct) if keep is None else keep
    need(
        bool(keep.any()),
        expected="at least one image",
        got="none",
        remedy="The models have no image in common that all of them classify correctly.",
    )
    return distances[keep], keep
