"""A recording as its estimators are given it: second moments over stimuli from one reading, or the responses.

    G = Σ G_g   over groups g of units, drawn at random

so that half of the units, or a hundredth, have the sum over some of the groups, and no unit is read again. There are
128 equal groups; or, where memory does not allow that, fewer, the last of them halved again and again:

    | 1/4 | 1/4 | 1/4 | 1/8 | 1/16 | 1/32 | 1/32 |      seven groups: two subsets at every fraction down to 1/32

There is one, if stimuli are many. Where stimuli are more than units and the matrix over them would not fit, estimators
are given the responses, and each reads them for itself.
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
FEWEST = 4
"""Units are told apart by so many equal groups at least, or not at all."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Responses with what one reading made of them.

    Attributes:
        responses: one repeat or more, none missing.
        size: `(repeats, stimuli, units)`, constant units not counted if `whole` is there.
        whole: second moments over stimuli; `None`: estimators are given the responses.
        groups: the same of each group of units.
        equal: how many groups there would be if none were halved.
    """

    responses: Responses
    size: tuple[int, int, int]
    whole: Gram | None = None
    groups: tuple[Gram, ...] = ()
    equal: int = 1

    @property
    def given(self) -> Responses | Gram:
        """What an estimator is called on."""
        return self.responses if self.whole is None else self.whole

    @property
    def fewest_units(self) -> int:
        """How many units the smallest subset has that can be drawn without another reading of a stream."""
        if self.responses.chunks is not None or self.whole is not None:
            return math.ceil(self.size[2] / (self.equal << self._halvings))
        return 1

    @property
    def _halvings(self) -> int:
        return max(0, len(self.groups) - self.equal)

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
        if self.groups:
            return _summed([self.groups[number] for number in self._drawn(count, generator, place)])
        units = self.size[2] if self.responses.shape is None else self.responses.shape[2]
        return of_units(self.responses, some_of(units, count, generator, place), units)

    def _drawn(self, count: int, generator: torch.Generator, place: int) -> list[int]:
        """Numbers of the groups that hold about so many units."""
        share, last = count * self.equal / self.size[2], self.equal - 1
        number = round(share)
        if number or not self._halvings:
            drawn = some_of(self.equal, max(1, number), generator, place).tolist()
            return [*drawn, *range(self.equal, len(self.groups))] if last in drawn else drawn
        level = min(max(1, round(-math.log2(share))), self._halvings)
        other = (int(torch.randint(2, (1,), generator=generator)) + place) % 2
        return list(range(last + level, len(self.groups))) if other else [last + level - 1]


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
    possible, finest = math.floor(memory / gigabytes), min(GROUPS, 2 ** math.floor(math.log2(units)))
    if min(possible, finest) < FEWEST:
        return 1, 0
    for equal in (2**power for power in range(finest.bit_length() - 1, 1, -1)):
        halvings = (finest // equal).bit_length() - 1
        if equal + halvings <= possible:
            return equal, halvings
    return FEWEST, possible - FEWEST


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
    equal, halvings = groups_for(size, memory)
    if address:
        whole = yield from cluster.gramming(responses, address, precision, "stimuli", kept=kept)
        return Recorded(responses, (size[0], size[1], whole.units), whole)
    if not equal:
        return Recorded(responses, size)
    labels = _labels(size[2], equal, halvings, seeded(*seeds(generator, 1)))
    if grams.route(responses, precision, memory, side="stimuli").readings > 1:
        labels = None
    found = yield from grams.gramming(responses, precision, memory, "stimuli", labels, kept)
    whole = _summed(found)
    if labels is not None:
        whole = replace(whole, per_unit=_in_order(found, labels))
    if len(found) == 1:
        return Recorded(responses, (size[0], size[1], whole.units), whole)
    return Recorded(responses, (size[0], size[1], whole.units), whole, found, equal)


def _labels(units: int, equal: int, halvings: int, generator: torch.Generator) -> Int64[Tensor, " units"] | None:
    """A random group for each unit; groups that are meant to be of equal size are, but for one unit."""
    if equal == 1:
        return None
    labels, place = torch.arange(units) % equal, torch.arange(units) // equal
    last = labels == equal - 1
    for halving in range(1, halvings + 1):
        labels += (last & (place % 2**halving == 0)).long()
    return labels[torch.randperm(units, generator=generator)]


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
