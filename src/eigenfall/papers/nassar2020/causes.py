"""Which change of a setting moved robustness, and what moved with it: effects over seeds, associations over arms.

    yₐₛ = ln share of arm a and seed s,   effect = Σₐ cₐ ȳₐ ± t s √(Σₐ cₐ²/nₐ),   s² = Σₐₛ (yₐₛ − ȳₐ)² / Σₐ (nₐ − 1)

A contrast has c = 1 for the changed arm and −1 for the other; an effect averages contrasts of one factor. Its e-power
is a ratio. The spread over seeds is pooled over all arms, since two or three seeds of one arm do not tell it.

    alone    Pearson's r over arms of log-odds of robust accuracy and one trait
    beside   partial r of the same, the other traits of the list held fixed:  −P_ij / √(P_ii P_jj),  P = R⁻¹, R the
             correlations of the log-odds and the traits

The unit of an association is the arm, its traits averaged over seeds, and arms are what its interval resamples: seeds
of one arm are no independent witnesses of what its setting does. Arms were chosen, not drawn: an association says what
goes with what over these, not what would follow from moving one trait.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.papers.nassar2020.traits import Seen, Traits
from eigenfall.papers.nassar2020.why import Contrast
from eigenfall.statistics import FEWEST_ROWS, bootstrap, t_reach
from eigenfall.types import Estimate

Trait = Callable[[Traits], float]

MEDIATORS: dict[str, Trait] = {
    "margin": lambda traits: math.log(traits.margin),
    "slope": lambda traits: math.log(traits.slope),
    "α": lambda traits: traits.alpha,
    "aligned": lambda traits: math.log(traits.aligned),
    "linear": lambda traits: traits.linear,
    "saturated": lambda traits: traits.saturated,
    "moved": lambda traits: math.log(traits.moved),
}
"""What is held against robustness over arms."""


def robust(traits: Traits) -> float:
    """Logarithm of robust accuracy."""
    return math.log(traits.share)


def log_odds(traits: Traits) -> float:
    """Of robust accuracy."""
    return traits.log_odds


# ------------------------------------------------------------------------------- effects


def there(seen: Seen, contrasts: Sequence[Contrast], factor: str = "") -> list[Contrast]:
    """Contrasts, of one factor if named, both of whose arms were run."""
    return [
        each
        for each in contrasts
        if each.above in seen and each.below in seen and (not factor or each.factor == factor)
    ]


def effect(seen: Seen, contrasts: Sequence[Contrast], trait: Trait = robust, level: float = 0.95) -> Estimate:
    """Mean difference of a trait over contrasts, with an interval over seeds.

    Args:
        seen: traits of every arm; those with two seeds or more tell the spread.
        contrasts: both arms of each were run; they may share arms.
        trait: whose difference; arms in which it is not finite tell nothing of the spread.
        level: nominal coverage.

    Returns:
        The difference, without an interval if no arm has two seeds. Not finite if the trait is not, in one of the arms.

    Raises:
        ValueError: if there is no contrast.
    """
    need(len(contrasts) >= 1, expected="a contrast or more", got="none", remedy="Run both arms of one.")
    weight: Counter[str] = Counter()
    for each in contrasts:
        weight[each.above] += 1
        weight[each.below] -= 1
    values = {arm: [trait(one) for one in records.values()] for arm, records in seen.items()}
    means = {arm: math.fsum(some) / len(some) for arm, some in values.items()}
    whole = len(contrasts)
    found = math.fsum(times * means[arm] for arm, times in weight.items()) / whole
    spread = [
        ((value - means[arm]) ** 2, 1 / len(some))
        for arm, some in values.items()
        if len(some) > 1 and math.isfinite(means[arm])
        for value in some
    ]
    freedom = round(math.fsum(1 - share for _, share in spread))
    if freedom < 1 or not math.isfinite(found):
        return Estimate(found)
    variance = math.fsum(square for square, _ in spread) / freedom
    error = math.sqrt(variance * math.fsum((times / whole) ** 2 / len(values[arm]) for arm, times in weight.items()))
    half = t_reach(level, freedom) * error
    return Estimate(found, found - half, found + half, level=level, over="seeds")


def ratio(difference: Estimate) -> Estimate:
    """What a difference of logarithms is as a factor."""
    value, low, high = (math.exp(end) for end in (difference.value, difference.low, difference.high))
    return Estimate(value, low, high, level=difference.level, over=difference.over)


def verdict(found: Estimate) -> Literal["more", "less", "open"]:
    """Whether the interval of a ratio lies above 1, below, or neither."""
    return "more" if found.low > 1 else "less" if found.high < 1 else "open"


# -------------------------------------------------------------------------- associations


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
    """Correlations over arms with intervals by resampling arms; `None` for fewer than ten arms, or four per trait.

    Arms with a trait that is not finite are left out.
    """
    rows = [[mean(records, trait) for trait in (log_odds, *traits.values())] for records in seen.values()]
    table = torch.tensor([row for row in rows if all(map(math.isfinite, row))], dtype=torch.float64)
    if len(table) < max(FEWEST_ROWS, 4 * len(traits)):
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
    scaled = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return scaled.mT @ scaled
