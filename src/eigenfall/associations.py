"""How far one number of many models goes with another, others held: rank correlations, over groups of models.

    raw        r(x, y)        of ranks
    partial    r(x − x̂(z), y − ŷ(z))        of ranks, x̂ and ŷ their least squares on 1 and the ranks of all others z
    interval   tanh(z̄ ± t · s),  z = artanh r,  s² = (G − 1)/G Σ_g (z₋g − z̄₋)²        each of G groups left out in turn

Seeds of one method are no independent models: the group that is left out is a method with all its seeds.

Source: the jackknife of groups, Efron & Stein 1981, The jackknife estimate of variance, doi:10.1214/aos/1176345462.
Differs from the source: on Fisher's scale, with Student's t of G − 1 degrees of freedom.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from eigenfall.check import need
from eigenfall.statistics import t_reach
from eigenfall.types import Estimate

LARGEST = 1 - 1e-12
"""Correlations nearer to ±1 are held there, where Fisher's scale ends."""


@dataclass(frozen=True)
class Association:
    """How far one number goes with the outcome.

    Attributes:
        raw: rank correlation.
        partial: the same, all other numbers held.
        models: over how many.
        groups: of them.
    """

    raw: Estimate
    partial: Estimate
    models: int
    groups: int


def associated(
    outcome: Sequence[float], numbers: Mapping[str, Sequence[float]], groups: Sequence[str], level: float = 0.95
) -> dict[str, Association]:
    """Rank correlation of each number with the outcome, raw and partial.

    Args:
        outcome: one value per model.
        numbers: one value per model each.
        groups: of each model, which are left out together; at least three.
        level: of the intervals.

    Raises:
        ValueError: for values that are not finite or of unequal number, fewer than three groups, no more models than
            numbers and two, or a number that does not vary or follows from the others.
    """
    count, distinct = len(outcome), sorted(set(groups))
    columns = np.array([list(values) for values in numbers.values()], dtype=float)
    need(
        len(numbers) >= 1 and columns.shape == (len(numbers), count) and len(groups) == count,
        expected=f"numbers and groups of {count} models, as of the outcome",
        got=", ".join(f"{name}: {len(values)}" for name, values in {**numbers, "groups": groups}.items()),
        remedy="Leave out models that lack one.",
    )
    need(
        bool(np.isfinite(columns).all() and np.isfinite(outcome).all()),
        expected="finite values",
        got="NaN or infinity",
        remedy="Leave out models without a number.",
    )
    need(len(distinct) >= 3, expected="three groups or more", got=f"{len(distinct)}", remedy="Add other methods.")
    table = np.column_stack([np.asarray(outcome, dtype=float), columns.T])
    kept = [np.array([group != left for group in groups]) for left in distinct]
    fewest = min(int(some.sum()) for some in kept)
    need(
        fewest > len(numbers) + 2,
        expected=f"more than {len(numbers) + 2} models without any one group",
        got=f"{fewest}",
        remedy="Add models, or ask of fewer numbers.",
    )
    for some in (np.ones(count, bool), *kept):
        ranks = scipy.stats.rankdata(table[some], axis=0)[:, 1:]
        need(
            int(np.linalg.matrix_rank(ranks - ranks.mean(0))) == len(numbers),
            expected=f"{', '.join(numbers)} of which none is constant or follows from the others",
            got="ranks that do, in all models or without one group",
            remedy="Leave one of them out.",
        )
    found = {}
    for place, name in enumerate(numbers, start=1):
        others = [other for other in range(1, len(numbers) + 1) if other != place]
        raw, partial = (_jackknifed(table, kept, place, held, level) for held in ([], others))
        found[name] = Association(raw, partial, count, len(distinct))
    return found


def partial_rank_correlation(table: np.ndarray, place: int, held: Sequence[int]) -> float:
    """Of the first column with another, those that are held taken out of both.

    Args:
        table: `(models, columns)`.
        place: of the other column.
        held: of those taken out; none: the plain rank correlation.
    """
    ranks = scipy.stats.rankdata(table, axis=0)
    design = np.column_stack([np.ones(len(ranks)), ranks[:, list(held)]])
    both = ranks[:, [0, place]]
    left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    sizes = np.linalg.norm(left, axis=0)
    if min(sizes) < 1e-9 * np.linalg.norm(both):
        return 0.0
    return float(left[:, 0] @ left[:, 1] / sizes.prod())


def _jackknifed(
    table: np.ndarray, kept: Sequence[np.ndarray], place: int, held: Sequence[int], level: float
) -> Estimate:
    """A correlation with its interval over groups."""
    whole = _fisher(partial_rank_correlation(table, place, held))
    without = np.array([_fisher(partial_rank_correlation(table[some], place, held)) for some in kept])
    count = len(kept)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = t_reach(level, count - 1) * error
    low, high = math.tanh(whole - half), math.tanh(whole + half)
    return Estimate(math.tanh(whole), low, high, level=level, over="methods")


def _fisher(correlation: float) -> float:
    return math.atanh(max(-LARGEST, min(LARGEST, correlation)))
