"""A recording as its estimators are given it: second moments over stimuli from one reading, or the responses.

    G = Σ G_g   over groups g of units, drawn at random

so that half of the units, or a hundredth, have the sum over some of the groups, and no unit is read again. There are as
many as memory allows (`grams/groups.py`). Where stimuli are more than units and the matrix over them would not fit,
estimators are given the responses, and each reads them for itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import torch
from jaxtyping import Int64
from torch import Tensor

from eigenfall import cluster, grams
from eigenfall.grams import MEMORY, Groups
from eigenfall.linalg import VECTORS_LIMIT, Precision
from eigenfall.stages import Working, seeds
from eigenfall.subsets import of_stimuli, of_units
from eigenfall.types import Gram, Responses


@dataclass(frozen=True, eq=False)
class Recorded:
    """Responses with what one reading made of them.

    Attributes:
        responses: one repeat or more, none missing.
        size: `(repeats, stimuli, units)`, constant units not counted if `whole` is there.
        whole: second moments over stimuli; `None`: estimators are given the responses.
        groups: the same of each group of units.
        grouped: how the groups were made; `None`: there are none.
    """

    responses: Responses
    size: tuple[int, int, int]
    whole: Gram | None = None
    groups: tuple[Gram, ...] = ()
    grouped: Groups | None = None

    @property
    def given(self) -> Responses | Gram:
        """What an estimator is called on."""
        return self.responses if self.whole is None else self.whole

    @property
    def fewest_units(self) -> int:
        """How many units the smallest subset has that can be drawn without another reading of a stream."""
        if self.responses.chunks is not None or self.whole is not None:
            return self.size[2] if self.grouped is None else math.ceil(self.size[2] * self.grouped.smallest)
        return 1

    def with_stimuli(self, indices: Int64[Tensor, " drawn"]) -> Responses | Gram:
        """The same for some of the stimuli."""
        if self.whole is not None:
            return grams.among(self.whole, indices)
        return of_stimuli(self.responses, indices, self.size[1])

    def with_units(self, count: int, generator: torch.Generator, place: int = 0) -> Responses | Gram:
        """The same for so many of the units, drawn at random; as near to it as groups of units come.

        Args:
            count: how many units.
            generator: draws them.
            place: which subset of this draw; subsets have no units in common while there are units for that.
        """
        if self.grouped is not None:
            drawn = _drawn(self.grouped, count / self.size[2], generator, place)
            return _summed([self.groups[number] for number in drawn])
        units = self.size[2] if self.responses.shape is None else self.responses.shape[2]
        return of_units(self.responses, some_of(units, count, generator, place), units)


def _drawn(groups: Groups, share: float, generator: torch.Generator, place: int) -> list[int]:
    """Numbers of the groups that hold about this share of the units."""
    last, number = groups.equal - 1, round(share * groups.equal)
    if number or not groups.halvings:
        drawn = some_of(groups.equal, max(1, number), generator, place).tolist()
        return [*drawn, *range(groups.equal, len(groups))] if last in drawn else drawn
    level = min(max(1, round(-math.log2(share * groups.equal))), groups.halvings)
    other = (int(torch.randint(2, (1,), generator=generator)) + place) % 2
    return list(range(last + level, len(groups))) if other else [last + level - 1]


def some_of(total: int, count: int, generator: torch.Generator, place: int = 0) -> Int64[Tensor, " drawn"]:
    """So many of all, drawn without replacement, in ascending order; at another place the next ones of the draw."""
    return torch.randperm(total, generator=generator).roll(-place * count)[:count].sort().values


def groups_for(size: tuple[int, int, int], memory: float = MEMORY) -> tuple[int, int]:
    """How many equal groups of units are kept apart, and how often the last of them is halved, a group more each time.

    No equal group: second moments over stimuli are not made at all.

    Args:
        size: `(repeats, stimuli, units)`.
        memory: GB that all groups may take.
    """
    repeats, stimuli, units = size
    gigabytes = 8e-9 * (repeats * stimuli) ** 2
    if stimuli > VECTORS_LIMIT or (units < stimuli and gigabytes > memory):
        return 0, 0
    return grams.most_for(math.floor(memory / gigabytes), units)


def recording(
    responses: Responses,
    generator: torch.Generator,
    precision: Precision = "float64",
    memory: float = MEMORY,
    kept: Mapping[str, Tensor] | None = None,
    address: str = "",
) -> Working[Recorded]:
    """Read a recording once.

    Args:
        responses: one repeat or more, none missing.
        generator: groups of units are drawn with it.
        precision: of the products.
        memory: GB that the groups' second moments may take, and that may be held where chunks come the wrong way.
        kept: pieces of an earlier call that did not end.
        address: of a Dask scheduler whose workers read instead.

    Raises:
        ValueError: as `grams.gram`, or `cluster.gram`.
    """
    size = grams.size_of(responses)
    equal, halvings = groups_for(size, memory)
    groups = Groups(equal, halvings, *seeds(generator, 1)) if equal > 1 else None
    if address:
        found = yield from cluster.gramming(responses, address, precision, "stimuli", groups=groups, kept=kept)
    elif not equal:
        return Recorded(responses, size)
    else:
        if grams.route(responses, precision, memory, side="stimuli").readings > 1:
            groups = None
        found = yield from grams.gramming(responses, precision, memory, "stimuli", groups, kept)
    return Recorded(responses, (size[0], size[1], found[0].units), found[0], found[1:], groups)


def _summed(groups: list[Gram] | tuple[Gram, ...]) -> Gram:
    """The second moments of all units of these groups."""
    if len(groups) == 1:
        return groups[0]
    matrix, across = (
        groups[0].matrix.clone(),
        reduce(torch.add, [one.across for one in groups if one.across is not None]),
    )
    for one in groups[1:]:
        matrix += one.matrix
    dropped: dict[str, int] = {}
    for one in groups:
        dropped |= {what: dropped.get(what, 0) + number for what, number in one.dropped.items()}
    per_unit = torch.cat([one.per_unit for one in groups if one.per_unit is not None], 1)
    units = sum(one.units for one in groups)
    return replace(groups[0], matrix=matrix, units=units, across=across, per_unit=per_unit, dropped=dropped)
