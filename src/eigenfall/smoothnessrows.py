"""Smoothness over many inputs, and bounds, as tidy rows."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from eigenfall.distributions import distribution
from eigenfall.rows import row
from eigenfall.statistics import t_interval
from eigenfall.types import ByDistance, Distribution, Estimate, LandscapeSummary, LipschitzBound, Row, Smoothness


def of_smoothness(smoothness: Smoothness, generator: torch.Generator, draws: int = 1000) -> Iterator[Row]:
    """Mean and quantiles, each with its interval over images, and the mean over the layer's own scale.

    Values that are not finite, or of another rank than most, are left out and counted.

    Args:
        smoothness: a value per input.
        generator: of the resamples behind the quantiles' intervals.
        draws: how many resamples.
    """
    kept = smoothness.comparable
    if not bool(kept.any()):
        return
    about: dict[str, Any] = {"layer": smoothness.layer, "method": smoothness.method, "n": int(kept.sum())}
    about["points"] = smoothness.points
    if smoothness.residuals is not None:
        about["largest_residual"] = float(smoothness.residuals[kept].max())
    found = distribution(smoothness, generator, draws=draws)
    about |= {"rank": found.rank, "left_out": found.left_out or None}
    yield row(smoothness.quantity, _mean(smoothness.values[kept]), statistic="mean", **about)
    for name, value in _quantiles(found).items():
        yield row(smoothness.quantity, value, statistic=name, **about)
    if smoothness.scale > 0 and smoothness.scaling != "free":
        of = f"relative_{smoothness.quantity}"
        yield row(of, _mean(smoothness.relative[kept]), statistic="mean", scale=smoothness.scale, **about)


def _mean(values: torch.Tensor) -> Estimate:
    """Mean over images with Student's interval."""
    return Estimate(*t_interval(values.tolist()), over="images")


def _quantiles(found: Distribution) -> dict[str, Estimate]:
    return {
        "lower quartile": found.lower_quartile,
        "median": found.median,
        "upper quartile": found.upper_quartile,
        "95th percentile": found.percentile_95,
    }


def of_distribution(found: Distribution) -> Iterator[Row]:
    """Median, quartiles and 95th percentile, each with its interval over images."""
    quantity = f"relative_{found.quantity}" if found.relative else found.quantity
    about = {"layer": found.layer, "n": found.inputs - found.left_out, "rank": found.rank}
    about["left_out"] = found.left_out or None
    for name, value in _quantiles(found).items():
        yield row(quantity, value, statistic=name, **about)


def of_distance_bins(found: ByDistance) -> Iterator[Row]:
    """Rank correlation of a value with the distance from the boundary, and the median of each bin."""
    about = {"layer": found.layer, "of": found.quantity, "left_out": found.left_out or None}
    yield row("distance_correlation", found.correlation, method="Spearman", n=sum(found.counts), **about)
    for number, (at, median, count) in enumerate(zip(found.distances, found.medians, found.counts), start=1):
        yield row("median_at_distance", median, bin=number, distance=at, n=count, **about)


def of_landscapes(found: LandscapeSummary) -> Iterator[Row]:
    """What decisions look like on planes, with intervals over base images."""
    about = {"planes": found.planes, "n": found.images, "of": found.kind, "left_out": found.left_out or None}
    about |= {"extent": found.extent, "extent_of": found.extent_of, "bounds": "masked" if found.masked else "ignored"}
    yield row("landscape_regions", found.regions, **about)
    yield row("landscape_boundary_per_area", found.boundary_per_area, **about)
    yield row("landscape_base_share", found.base_share, **about)
    if not math.isnan(found.norm_spread.value):
        yield row("landscape_norm_spread", found.norm_spread, **about)


def of_lipschitz(found: LipschitzBound) -> Iterator[Row]:
    """The global bound, and that of the map to each step."""
    yield row("lipschitz_bound", found.value, norm="L2")
    for name, value in found.steps.items():
        yield row("lipschitz_bound", value, norm="L2", layer=name)
