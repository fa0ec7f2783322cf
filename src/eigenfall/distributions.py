"""Smoothness over many inputs: quantiles, and how it depends on the distance from the decision boundary.

Inputs are independent, so that they are resampled with replacement: the interval of a number holds the middle 95 % of
its values over resamples. Spectra must never be resampled so (`eigenfall.intervals`).

Source: Efron 1979, Ann. Statist. 7, doi:10.1214/aos/1176344552.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy
import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.statistics import FEWEST_ROWS, bootstrap
from eigenfall.types import ByDistance, Distribution, Estimate, Smoothness

Statistic = Callable[[Float64[Tensor, "draws inputs"]], Float64[Tensor, " draws"]]


def quantile(share: float) -> Statistic:
    """The statistic that is a quantile, between its two neighbours in proportion; partitions rows, which sorts less."""

    def of_rows(drawn: Float64[Tensor, "draws inputs"]) -> Float64[Tensor, " draws"]:
        place = share * (drawn.shape[1] - 1)
        below, above = math.floor(place), math.ceil(place)
        rows = torch.from_numpy(np.partition(drawn.numpy(), sorted({below, above}), axis=1))
        if below == above:
            return rows[:, below]
        return rows[:, below].lerp(rows[:, above], place - below)

    return of_rows


def bootstrapped(
    values: Float64[Tensor, " inputs"],
    statistic: Statistic,
    generator: torch.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """A number computed from independent values, with its percentile interval over resamples.

    Args:
        values: one per input.
        statistic: from `(draws, inputs)`, resamples as rows, to a number for each.
        generator: of the resamples.
        draws: how many resamples.
        level: nominal coverage.

    Returns:
        The estimate; without interval for fewer than ten values, of which a bootstrap's is too narrow.

    Raises:
        ValueError: if there are no values, or fewer than ten draws.
    """
    need(len(values) >= 1, expected="at least one value", got="none", remedy="Measure more inputs.")
    need(draws >= 10, expected="ten draws or more", got=f"{draws}", remedy="Use draws=1000, which is the default.")
    values = values.cpu()
    whole = float(statistic(values[None])[0])
    if len(values) < FEWEST_ROWS:
        return Estimate(whole, level=level)
    low, high = bootstrap(len(values), lambda drawn: statistic(values[drawn]), generator, draws, level)
    return Estimate(whole, low, high, level, "images")


def distribution(
    smoothness: Smoothness,
    generator: torch.Generator,
    relative: bool = False,
    draws: int = 1000,
    level: float = 0.95,
) -> Distribution:
    """Median, quartiles and 95th percentile over inputs, each with its bootstrap interval.

    Args:
        smoothness: a value per input; those not finite, or of another rank than most, are left out and counted.
        generator: of the resamples.
        relative: of the values over the layer's own scale.
        draws: how many resamples.
        level: nominal coverage.

    Raises:
        ValueError: if no value is left, or for fewer than ten draws.
    """
    kept = smoothness.comparable
    need(
        bool(kept.any()),
        expected=f"a finite {smoothness.quantity} at some input",
        got=f"none at {len(kept)} inputs",
        remedy="Look for a dead layer.",
    )
    values = (smoothness.relative if relative else smoothness.values)[kept].cpu()

    def at(share: float) -> Estimate:
        return bootstrapped(values, quantile(share), generator, draws, level)

    return Distribution(
        quantity=smoothness.quantity,
        layer=smoothness.layer,
        median=at(0.5),
        lower_quartile=at(0.25),
        upper_quartile=at(0.75),
        percentile_95=at(0.95),
        inputs=len(kept),
        left_out=int((~kept).sum()),
        rank=None if smoothness.ranks is None else int(smoothness.ranks[kept][0]),
        relative=relative,
    )


def by_distance(
    smoothness: Smoothness,
    distances: Smoothness,
    generator: torch.Generator,
    bins: int = 10,
    relative: bool = False,
    draws: int = 1000,
    level: float = 0.95,
) -> ByDistance:
    """Values in bins of equal count by distance from the decision boundary, and Spearman's rank correlation.

    Args:
        smoothness: a value per input.
        distances: of the same inputs, such as `signed_distances`; critical distances may be put into a `Smoothness`.
        generator: of the resamples.
        bins: how many bins.
        relative: of the values over the layer's own scale.
        draws: how many resamples.
        level: nominal coverage.

    Raises:
        ValueError: if inputs differ in number, or fewer than two are left for each bin.
    """
    need(
        len(smoothness.values) == len(distances.values),
        expected="a distance for each value",
        got=f"{len(distances.values)} distances and {len(smoothness.values)} values",
        remedy="Measure both on the same inputs.",
    )
    kept = smoothness.comparable & distances.comparable
    values = (smoothness.relative if relative else smoothness.values)[kept].cpu()
    where = distances.values[kept].cpu()
    need(
        bins >= 1 and len(values) >= 2 * bins,
        expected=f"two inputs or more for each of {bins} bins",
        got=f"{len(values)}",
        remedy="Take fewer bins, or more inputs.",
    )
    middles, medians, counts = [], [], []
    for chosen in where.argsort(stable=True).tensor_split(bins):
        middles.append(float(where[chosen].quantile(0.5)))
        medians.append(bootstrapped(values[chosen], quantile(0.5), generator, draws, level))
        counts.append(len(chosen))
    places = torch.arange(len(values), dtype=torch.float64)

    def rank_correlation(drawn: Tensor) -> Tensor:
        return _spearman(values[drawn.long()], where[drawn.long()])

    return ByDistance(
        quantity=f"relative_{smoothness.quantity}" if relative else smoothness.quantity,
        layer=smoothness.layer,
        distances=tuple(middles),
        medians=tuple(medians),
        counts=tuple(counts),
        correlation=bootstrapped(places, rank_correlation, generator, draws, level),
        left_out=int((~kept).sum()),
    )


def _spearman(
    first: Float64[Tensor, "draws inputs"], second: Float64[Tensor, "draws inputs"]
) -> Float64[Tensor, " draws"]:
    """Pearson's correlation of ranks, ties at their mean rank, row by row; 0 where one side is constant."""
    ranks = [scipy.stats.rankdata(side.numpy(), axis=1) for side in (first, second)]
    centred = [torch.from_numpy(side - side.mean(1, keepdims=True)) for side in ranks]
    lengths = centred[0].norm(dim=1) * centred[1].norm(dim=1)
    return torch.where(lengths > 0, (centred[0] * centred[1]).sum(1) / lengths.clamp_min(1e-300), 0.0)
