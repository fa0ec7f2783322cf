"""Which change of a setting moved robustness, and what moved with it: ratios over seeds, associations over arms.

    ratio        geometric mean over seeds of share(above) / share(below), Student's interval of the log ratios
    alone        Pearson's r over arms of log-odds of robust accuracy and one trait
    beside       partial r of the same, all other traits of the list held fixed:  −P_ij / √(P_ii P_jj),  P = R⁻¹, R the
                 correlations of the log-odds and the traits

The unit of an association is the arm, its traits averaged over seeds, and arms are what its interval resamples: seeds
of one arm are no independent witnesses of what its setting does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.papers.nassar2020.traits import Seen, Traits
from eigenfall.papers.nassar2020.why import Contrast
from eigenfall.statistics import FEWEST_ROWS, bootstrap, t_interval
from eigenfall.types import Estimate

Trait = Callable[[Traits], float]

MEDIATORS: dict[str, Trait] = {
    "first-order distance": lambda traits: math.log(traits.first_order),
    "hidden weights moved": lambda traits: math.log(traits.moved),
    "α": lambda traits: traits.alpha,
    "n90": lambda traits: math.log(traits.n90),
    "clean accuracy": lambda traits: math.log(traits.clean / (1 - traits.clean)),
}
"""What is held against robustness, over all arms that have it."""


@dataclass(frozen=True)
class Change:
    """What a change of one setting did, over the seeds that both arms have.

    Attributes:
        contrast: of which arms.
        robust: ratio of robust accuracies at ε = .05.
        margin: ratio of median margins.
        slope: ratio of slopes.
        bend: ratio of what is left of the distance.
        moved: ratio of how far the hidden weights moved.
        saturated: difference of the shares of saturated units; NaN without tanh.
        seeds: how many.
    """

    contrast: Contrast
    robust: Estimate
    margin: Estimate
    slope: Estimate
    bend: Estimate
    moved: Estimate
    saturated: Estimate
    seeds: int

    @property
    def verdict(self) -> Literal["more", "less", "open"]:
        """Whether the interval of the ratio lies above 1, below, or neither."""
        return "more" if self.robust.low > 1 else "less" if self.robust.high < 1 else "open"


def change(seen: Seen, contrast: Contrast) -> Change:
    """Ratios between two arms, paired by seed; at least one seed of both."""
    above, below = seen[contrast.above], seen[contrast.below]
    seeds = sorted(set(above) & set(below))

    def ratio(trait: Trait) -> Estimate:
        return paired_ratio([trait(above[seed]) for seed in seeds], [trait(below[seed]) for seed in seeds])

    apart = [above[seed].saturated - below[seed].saturated for seed in seeds]
    return Change(
        contrast,
        robust=ratio(lambda traits: traits.share),
        margin=ratio(lambda traits: traits.margin),
        slope=ratio(lambda traits: traits.slope),
        bend=ratio(lambda traits: traits.bend),
        moved=ratio(lambda traits: traits.moved),
        saturated=Estimate(*t_interval(apart), over="seeds"),
        seeds=len(seeds),
    )


def paired_ratio(above: Sequence[float], below: Sequence[float], level: float = 0.95) -> Estimate:
    """Geometric mean of ratios of positive values of the same seeds, with its interval; without one for one seed."""
    ends = t_interval([math.log(one / other) for one, other in zip(above, below, strict=True)], level)
    value, low, high = (math.exp(end) for end in ends)
    return Estimate(value, low, high, level=level, over="seeds")


@dataclass(frozen=True)
class Association:
    """How robustness goes with traits over arms.

    Attributes:
        alone: correlation of each trait with the log-odds of robust accuracy.
        beside: the same with all others held fixed.
        explained: share of the log-odds' variance over arms that all of them explain together, in a linear fit.
        arms: how many.
    """

    alone: Mapping[str, Estimate]
    beside: Mapping[str, Estimate]
    explained: float
    arms: int


def association(seen: Seen, traits: Mapping[str, Trait], seed: int = 0, draws: int = 2000) -> Association | None:
    """Correlations over arms with intervals by resampling arms; `None` for fewer than ten arms, or five per trait.

    Arms with a trait that is not finite are left out.
    """
    rows = [[mean(records, trait) for trait in (log_odds, *traits.values())] for records in seen.values()]
    table = torch.tensor([row for row in rows if all(map(math.isfinite, row))], dtype=torch.float64)
    if len(table) < max(FEWEST_ROWS, 5 * len(traits)):
        return None

    def told(of: Callable[[Tensor], Tensor]) -> dict[str, Estimate]:
        values = of(table[None])[0].tolist()
        ends = [_ends(table, of, place, seed, draws) for place in range(len(traits))]
        return {name: Estimate(value, *end, over="arms") for name, value, end in zip(traits, values, ends)}

    return Association(told(correlations), told(partial_correlations), explained(table), arms=len(table))


def _ends(table: Tensor, of: Callable[[Tensor], Tensor], place: int, seed: int, draws: int) -> tuple[float, float]:
    """Bootstrap interval over arms of one of the correlations."""
    generator = torch.Generator().manual_seed(seed)
    return bootstrap(len(table), lambda drawn: of(table[drawn])[:, place], generator, draws)


def log_odds(traits: Traits) -> float:
    """Of robust accuracy."""
    return traits.log_odds


def mean(records: Mapping[int, Traits], trait: Trait) -> float:
    """Of a trait over the seeds of an arm."""
    return math.fsum(trait(one) for one in records.values()) / len(records)


def correlations(tables: Float64[Tensor, "draws arms columns"]) -> Float64[Tensor, "draws traits"]:
    """Of the first column with each other."""
    return _correlation(tables)[:, 0, 1:]


def partial_correlations(tables: Float64[Tensor, "draws arms columns"]) -> Float64[Tensor, "draws traits"]:
    """Of the first column with each other, the rest held fixed."""
    precision = torch.linalg.pinv(_correlation(tables), hermitian=True)
    diagonal = precision.diagonal(dim1=1, dim2=2)
    return -precision[:, 0, 1:] / (diagonal[:, :1] * diagonal[:, 1:]).sqrt()


def explained(table: Float64[Tensor, "arms columns"]) -> float:
    """R² of the first column on all others: 1 − 1/P₀₀."""
    precision = torch.linalg.pinv(_correlation(table[None]), hermitian=True)
    return float(1 - 1 / precision[0, 0, 0])


def _correlation(tables: Float64[Tensor, "draws arms columns"]) -> Float64[Tensor, "draws columns columns"]:
    centred = tables - tables.mean(1, keepdim=True)
    scaled = centred / centred.norm(dim=1, keepdim=True)
    return scaled.mT @ scaled
