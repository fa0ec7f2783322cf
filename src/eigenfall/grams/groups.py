"""Random groups of units, drawn piece by piece, so that any process can draw those of the pieces that it reads.

Equal groups; where memory does not allow enough of them, the last is halved again and again:

    | 1/4 | 1/4 | 1/4 | 1/8 | 1/16 | 1/32 | 1/32 |      seven groups: two subsets at every fraction down to 1/32
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int16
from torch import Tensor

MOST = 128
"""A group has no less than this share of the units."""

FEWEST = 4
"""Units are told apart by so many equal groups at least, or not at all."""


@dataclass(frozen=True)
class Groups:
    """Which group each unit is in.

    Attributes:
        equal: how many groups there would be if none were halved.
        halvings: how often the last of them is halved, a group more each time.
        seed: of the draws.
    """

    equal: int
    halvings: int = 0
    seed: int = 0

    def __len__(self) -> int:
        """How many groups there are."""
        return self.equal + self.halvings

    @property
    def smallest(self) -> float:
        """Share of the units that the smallest group has."""
        return 1 / (self.equal << self.halvings)

    def __call__(self, piece: int, units: int) -> Int16[Tensor, " units"]:
        """The group of each unit of a piece of a recording.

        Every 1/`smallest` units of a piece are divided as exactly as all should be, so that groups of all units are
        as large as they are meant to be, but for a unit a piece.

        Args:
            piece: its number, from 0.
            units: how many it has.
        """
        generator = torch.Generator().manual_seed((self.seed + piece) % 2**62)
        start = int(torch.randint(self.equal << self.halvings, (1,), generator=generator))
        order = torch.randperm(units, generator=generator) + start
        labels, place = order % self.equal, order // self.equal
        last = labels == self.equal - 1
        for halving in range(1, self.halvings + 1):
            labels += (last & (place % 2**halving == 0)).long()
        return labels.short()


def most_for(possible: int, units: int) -> tuple[int, int]:
    """How many equal groups, and how many halvings of the last of them, so many groups of so many units can be.

    Args:
        possible: how many groups there may be.
        units: how many units there are.
    """
    finest = min(MOST, 2 ** math.floor(math.log2(units)))
    if min(possible, finest) < FEWEST:
        return 1, 0
    for equal in (2**power for power in range(finest.bit_length() - 1, 1, -1)):
        halvings = (finest // equal).bit_length() - 1
        if equal + halvings <= possible:
            return equal, halvings
    return FEWEST, possible - FEWEST
