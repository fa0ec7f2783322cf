"""A recording as its estimators are given it: second moments over stimuli from one reading, or the responses.

    G = Σ G_g   over groups g of units, drawn at random

so that half of the units, or a hundredth, have the sum over some of the groups, and no unit is read again. There are as
many groups, a power of two up to 128, as memory allows; one, if stimuli are many. Where stimuli are more than units and
the matrix over them would not fit, estimators are given the responses, and each reads them for itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import torch
from jaxtyping import Int64
from torch import Tensor

from eigenfall import cluster, grams
from eigenfall.grams import MEMORY
from eigenfall.linalg import VECTORS_LIMIT, Precision
from eigenfall.stages import Working, seeded, seeds
from eigenfall.subsets import of_stimuli, of_units
from eigenfall.types import Gram, Responses

GROUPS = 128


@dataclass(frozen=True, eq=False)
class Recorded:
    """Responses with what one reading made of them.

    Attributes:
        responses: one repeat or more, none missing.
        size: `(repeats, stimuli, units)`, constant units not counted if `whole` is there.
        whole: second moments over stimuli; `None`: estimators are given the responses.
        groups: the same of each group of units.
    """

    responses: Responses
    size: tuple[int, int, int]
    whole: Gram | None = None
    groups: tuple[Gram, ...] = ()

    @property
    def given(self) -> Responses | Gram:
        """What an estimator is called on."""
        return self.responses if self.whole is None else self.whole

    @property
    def fewest_units(self) -> int:
        """How many units the smallest subset has that can be drawn without another reading of a stream."""
        if self.responses.chunks is not None or self.whole is not None:
            return math.ceil(self.size[2] / max(1, len(self.groups)))
        return 1

    def with_stimuli(self, indices: Int64[Tensor, " drawn"]) -> Responses | Gram:
        """The same for some of the stimuli."""
        if self.whole is not None:
            return grams.among(self.whole, indices)
        return of_stimuli(self.responses, indices, self.size[1])

    def with_units(self, count: int, generator: torch.Generator) -> Responses | Gram:
        """The same for so many of the units, drawn at random; as near to it as groups of units come."""
        if self.groups:
            number = max(1, round(count * len(self.groups) / self.size[2]))
            drawn = torch.randperm(len(self.groups), generator=generator)[:number].sort().values
            return _summed([self.groups[place] for place in drawn.tolist()])
        units = self.size[2] if self.responses.shape is None else self.responses.shape[2]
        drawn = torch.randperm(units, generator=generator)[:count].sort().values
        return of_units(self.responses, drawn, units)


def groups_for(size: tuple[int, int, int], memory: float = MEMORY) -> int:
    """How many groups of units are kept apart; 0: second moments over stimuli are not made at all.

    Args:
        size: `(repeats, stimuli, units)`.
        memory: GB that all groups may take.
    """
    repeats, stimuli, units = size
    gigabytes = 8e-9 * (repeats * stimuli) ** 2
    if stimuli > VECTORS_LIMIT or (units < stimuli and gigabytes > memory):
        return 0
    possible = min(GROUPS, units, math.floor(memory / gigabytes))
    return 1 if possible < 4 else 2 ** math.floor(math.log2(possible))


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
        address: of a Dask scheduler whose workers read instead; units are then one group.

    Raises:
        ValueError: as `grams.gram`, or `cluster.gram`.
    """
    size = grams.size_of(responses)
    count = groups_for(size, memory)
    if address:
        whole = yield from cluster.gramming(responses, address, precision, "stimuli", kept=kept)
        return Recorded(responses, (size[0], size[1], whole.units), whole)
    if not count:
        return Recorded(responses, size)
    labels = _labels(size[2], count, seeded(*seeds(generator, 1)))
    if grams.route(responses, precision, memory, side="stimuli").readings > 1:
        labels = None
    found = yield from grams.gramming(responses, precision, memory, "stimuli", labels, kept)
    whole = _summed(found)
    if labels is not None:
        whole = replace(whole, per_unit=_in_order(found, labels))
    return Recorded(responses, (size[0], size[1], whole.units), whole, found if len(found) > 1 else ())


def _labels(units: int, count: int, generator: torch.Generator) -> Int64[Tensor, " units"] | None:
    """A random group for each unit, groups of equal size but for one unit."""
    if count == 1:
        return None
    return (torch.arange(units) % count)[torch.randperm(units, generator=generator)]


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


def _in_order(groups: tuple[Gram, ...], labels: Int64[Tensor, " units"]) -> Tensor:
    """Both numbers of each unit, in the order of the recording."""
    found = torch.zeros(2, len(labels), dtype=torch.float64)
    for number, one in enumerate(groups):
        assert one.per_unit is not None
        found[:, labels == number] = one.per_unit.cpu()
    return found
