"""What is known of each unit beside the second moments: how much of it repeats, and whether it varies at all."""

import math

import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

ROUNDING = 2.0**-49
"""A unit whose root mean square is no larger than this share of its mean is constant."""

CACHED = 2**17
"""How many values are looked at together where a whole block would be copied: 1 MB in float64."""


class Growing:
    """Columns that are added one block after another to one tensor, which doubles where it is full.

    Many small tensors that stay would lie between large ones that go, and keep their memory from being used again: of
    a long stream as much as the stream itself.
    """

    def __init__(self, columns: Shaped[Tensor, "rows units"]) -> None:
        self.room, self.count = columns.clone(), columns.shape[1]

    @property
    def columns(self) -> Shaped[Tensor, "rows units"]:
        """All so far, as a view."""
        return self.room[:, : self.count]

    def add(self, columns: Shaped[Tensor, "rows units"]) -> None:
        """Add some on the right."""
        end = self.count + columns.shape[1]
        if end > self.room.shape[1]:
            room = columns.new_empty(len(columns), max(end, 2 * self.room.shape[1], 1024))
            room[:, : self.count] = self.columns
            self.room = room
        self.room[:, self.count : end] = columns
        self.count = end


class Energies:
    """Σₛ Σₜ xₜ² and Σₛ (Σₜ xₜ)² of centred units, from some stimuli after others."""

    def __init__(self, like: Tensor, units: int) -> None:
        self.squares, self.totals = torch.zeros(2, units, dtype=torch.float64, device=like.device)

    def add(self, centred: Tensor) -> None:
        """Add some stimuli of all units, `(repeats, stimuli, units)`."""
        self.squares += centred.square().sum((0, 1), dtype=torch.float64)
        if len(centred) > 1:
            self.totals += centred.sum(0).square().sum(0, dtype=torch.float64)

    def each(self, repeats: int) -> Float64[Tensor, "2 units"]:
        """Mean over pairs of repeats of Σₛ xₜxᵤ, NaN for one repeat, and mean over repeats of Σₛ xₜ²."""
        if repeats == 1:
            return torch.stack([torch.full_like(self.squares, math.nan), self.squares])
        return torch.stack([(self.totals - self.squares) / (repeats * (repeats - 1)), self.squares / repeats])


def varying(
    energies: Float64[Tensor, "2 units"], means: Float64[Tensor, " units"], stimuli: int
) -> Float64[Tensor, "2 units"]:
    """Energies that are both 0 for a constant unit: one that varies by no more than its mean's rounding."""
    return torch.where(energies[1] > stimuli * (ROUNDING * means).square(), energies, 0)


def of_blocks(
    diagonals: Float64[Tensor, "repeats repeats units"], means: Float64[Tensor, " units"], stimuli: int
) -> Float64[Tensor, "2 units"]:
    """The same from Σₛ xₜxᵤ of each unit and pair of repeats."""
    repeats = len(diagonals)
    squares = diagonals.diagonal().sum(1)
    together = torch.full_like(squares, math.nan)
    if repeats > 1:
        together = (diagonals.sum((0, 1)) - squares) / (repeats * (repeats - 1))
    return varying(torch.stack([together, squares / repeats]), means, stimuli)


def dropped(energies: Float64[Tensor, "2 all_units"]) -> dict[str, int]:
    """How many units are constant, if any are."""
    constant = int((energies[1] == 0).sum())
    return {"constant units": constant} if constant else {}


def among_rows(
    matrix: Float64[Tensor, "rows rows"],
    kept: Bool[Tensor, " rows"],
    off: Float64[Tensor, " rows"] | None = None,
    weight: float = 0.0,
) -> Float64[Tensor, "kept kept"]:
    """The rows and columns that are kept of the matrix + weight · off offᵀ, of which nothing else is formed."""
    place = kept.nonzero()[:, 0]
    found = matrix.new_empty(len(place), len(place))
    step = max(1, CACHED // max(1, len(matrix)))
    for start in range(0, len(place), step):
        rows = place[start : start + step]
        into = found[start : start + step]
        into.copy_(matrix[rows][:, place])
        if off is not None:
            into.addr_(off[rows], off[place], alpha=weight)
    return found
