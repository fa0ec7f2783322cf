"""Summaries of smoothness over many inputs, and bounds, as tidy rows."""

import math
from collections.abc import Iterator

from eigenfall.rows import row
from eigenfall.types import ByDistance, Distribution, LandscapeSummary, LipschitzBound, Row


def of_distribution(found: Distribution) -> Iterator[Row]:
    """Median, quartiles and 95th percentile, each with its interval over images."""
    quantity = f"relative_{found.quantity}" if found.relative else found.quantity
    about = {"layer": found.layer, "n": found.inputs - found.left_out, "rank": found.rank}
    about["left_out"] = found.left_out or None
    for name, value in (
        ("lower quartile", found.lower_quartile),
        ("median", found.median),
        ("upper quartile", found.upper_quartile),
        ("95th percentile", found.percentile_95),
    ):
        yield row(quantity, value, statistic=name, **about)


def of_distance_bins(found: ByDistance) -> Iterator[Row]:
    """Rank correlation of a value with the distance from the boundary, and the median of each bin."""
    about = {"layer": found.layer, "of": found.quantity, "left_out": found.left_out or None}
    yield row("distance_correlation", found.correlation, method="Spearman", n=sum(found.counts), **about)
    for at, median, count in zip(found.distances, found.medians, found.counts):
        yield row("median_at_distance", median, at=at, n=count, **about)


def of_landscapes(found: LandscapeSummary) -> Iterator[Row]:
    """What decisions look like on planes, with intervals over base images."""
    about = {"planes": found.planes, "n": found.images, "of": found.kind, "left_out": found.left_out or None}
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
