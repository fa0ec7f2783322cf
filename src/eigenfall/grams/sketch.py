"""Leading second moments of responses that are too large for an exact solver: block power iteration on a stream.

    Q ← orthonormal basis of X₁ᵀ(X₁Q), q + 1 times from normal Q;   then QᵀX₁ᵀX₁Q and QᵀX₁ᵀX₂Q, k × k

on the side across which chunks are cut, units or stimuli, from q + 2 readings. The k × k matrices stand for the whole
ones: the leading half of their eigenvalues is good, the other half is not and is left out by whoever uses them. What
is lost falls on the tail and steepens the exponent; `lost` says by how much, on a law, where it can be known exactly.

Source: Halko, Martinsson & Tropp 2011, SIAM Review 53, doi:10.1137/090771806.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.excess import exponent
from eigenfall.grams import routes
from eigenfall.grams.readings import need_stimuli
from eigenfall.grams.sums import need_finite
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.stages import Working, seeded
from eigenfall.types import Responses, Stage

ITERATIONS = 2
RANK = 1024
"""Columns of a sketch where nobody says how many: twice the last rank that is usually fitted."""


@dataclass(frozen=True, eq=False)
class Sketch:
    """Second moments in a basis of the leading directions.

    Attributes:
        first: QᵀX₁ᵀX₁Q.
        across: symmetric part of QᵀX₁ᵀX₂Q; equal to `first` for one repeat.
        size: `(repeats, stimuli, units)`.
    """

    first: Float64[Tensor, "rank rank"]
    across: Float64[Tensor, "rank rank"]
    size: tuple[int, int, int]


def sketching(
    responses: Responses,
    rank: int,
    generator: torch.Generator,
    coins: Bool[Tensor, " stimuli"] | None = None,
    iterations: int = ITERATIONS,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[Sketch]:
    """Second moments of one or two repeats in the leading directions of the first.

    Args:
        responses: one or two repeats, in memory or in chunks.
        rank: k, how many directions; twice as many as are wanted.
        generator: the first basis is drawn with it.
        coins: which stimuli have their two repeats swapped.
        iterations: q.
        kept: pieces of an earlier call that did not end.
    """
    kept = kept or {}
    reading = _Reading(responses, coins)
    total = iterations + 3
    if "means" in kept:
        reading.resume(kept)
    else:
        reading.look()
    need_stimuli(reading.size, responses.name)
    at, basis = int(kept.get("at", torch.tensor(0))), kept.get("basis")
    rank = min(rank, reading.side)
    if basis is None:
        basis = torch.linalg.qr(torch.randn(reading.side, rank, generator=generator, dtype=torch.float64)).Q
    for number in range(at, iterations + 1):
        found = torch.zeros_like(basis)
        for first, _ in reading.pairs():
            found += first.T @ (first @ basis)
        basis = torch.linalg.qr(found).Q
        made = {**reading.made(), "basis": basis, "at": torch.tensor(number + 1)}
        yield Stage("randomised, readings", number + 2, total, made)
    own, across = torch.zeros(2, rank, rank, dtype=torch.float64)
    for first, second in reading.pairs():
        one = first @ basis
        own += one.T @ one
        across += one.T @ (one if second is None else second @ basis)
    return Sketch(own, (across + across.T) / 2, reading.size)


def sketched(
    first: Float64[Tensor, "side side"],
    across: Float64[Tensor, "side side"],
    size: tuple[int, int, int],
    rank: int,
    generator: torch.Generator,
    iterations: int = ITERATIONS,
) -> Sketch:
    """The same of matrices that are at hand: X₁X₁ᵀ, and X₂X₁ᵀ or its symmetric part."""
    basis = torch.randn(len(first), min(rank, len(first)), generator=generator, dtype=torch.float64).to(first.device)
    for _ in range(iterations + 1):
        basis = torch.linalg.qr(first @ basis).Q
    both = basis.T @ across @ basis
    return Sketch(basis.T @ first @ basis, (both + both.T) / 2, size)


class _Reading:
    """Pieces of a stream as rows along the axis that they are cut along, centred, repeats swapped."""

    def __init__(self, responses: Responses, coins: Bool[Tensor, " stimuli"] | None) -> None:
        self.responses, self.coins = responses, coins
        self.over_units = responses.chunks is not None and responses.chunked_over == "units"
        self.size = (1, 0, 0)
        self.means = torch.zeros(0, dtype=torch.float64)

    @property
    def side(self) -> int:
        """How long a row is: stimuli, or units."""
        return self.size[1] if self.over_units else self.size[2]

    def _pieces(self) -> Iterable[Tensor]:
        values = self.responses.values
        if values is None:
            return self.responses.pieces()
        return values.split(max(1, routes.BLOCK // max(1, len(values) * values.shape[2])), dim=1)

    def look(self) -> None:
        """A first reading: sizes, and each unit's mean over stimuli and repeats if pieces do not know it."""
        place, total = 0, torch.zeros(0, dtype=torch.float64)
        for piece in self._pieces():
            repeats, stimuli, units = piece.shape
            here = piece.sum((0, 1), dtype=torch.float64)
            if not bool(torch.isfinite(here.sum())):
                need_finite(piece, self.responses.name, *((0, place) if self.over_units else (place, 0)))
            place += units if self.over_units else stimuli
            self.size = (repeats, stimuli, place) if self.over_units else (repeats, place, units)
            total = here if self.over_units or not len(total) else total + here
        self.means = total / max(1, self.size[0] * self.size[1])

    def made(self) -> dict[str, Tensor]:
        """What the first reading found."""
        return {"means": self.means, "size": torch.tensor(self.size)}

    def resume(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from what was made."""
        repeats, stimuli, units = kept["size"].tolist()
        self.means, self.size = kept["means"], (repeats, stimuli, units)

    def pairs(self) -> Iterator[tuple[Float64[Tensor, "along side"], Float64[Tensor, "along side"] | None]]:
        """Rows of the first repeat, and of the second if there is one."""
        place = 0
        for piece in self._pieces():
            piece = piece.double()
            means = piece.mean((0, 1)) if self.over_units else self.means
            piece = piece - means
            coins = self.coins
            if coins is not None and not self.over_units:
                coins = coins[place : place + piece.shape[1]]
            place += piece.shape[1]
            if coins is not None:
                swap = coins.to(piece.device)[:, None]
                piece = torch.stack([torch.where(swap, piece[1], piece[0]), torch.where(swap, piece[0], piece[1])])
            rows = piece.transpose(1, 2) if self.over_units else piece
            yield rows[0], rows[1] if len(rows) > 1 else None


def lost(
    eigenvalues: Float64[Tensor, " ranks"], rank: int, generator: torch.Generator, iterations: int = ITERATIONS
) -> Float64[Tensor, " leading"]:
    """What a sketch finds of a matrix with these eigenvalues: the leading half of its ranks.

    A normal basis has no preferred direction, so that a diagonal matrix stands for all matrices with its eigenvalues.

    Args:
        eigenvalues: of the whole matrix, largest first.
        rank: k.
        generator: the first basis is drawn with it.
        iterations: q.
    """
    rank = min(rank, len(eigenvalues))
    basis = torch.randn(len(eigenvalues), rank, generator=generator, dtype=torch.float64)
    for _ in range(iterations + 1):
        basis = torch.linalg.qr(eigenvalues[:, None] * basis).Q
    return symmetric_eigenvalues(basis.T @ (eigenvalues[:, None] * basis))[: max(1, rank // 2)]


@lru_cache(maxsize=64)
def bias_of_sketch(alpha: float, columns: int, iterations: int = ITERATIONS) -> tuple[float, float]:
    """What a sketch makes of a law n^−α over four times as many ranks as it has columns.

    Returns:
        The share by which the last rank that is kept comes out too small; and by how much the exponent beyond rank 10,
        unweighted, comes out too large, NaN where fewer than 15 ranks are kept.
    """
    law = torch.arange(1, 4 * columns + 1, dtype=torch.float64) ** -alpha
    found = lost(law, columns, seeded(0), iterations)
    short = 1 - float(found[-1] / law[len(found) - 1])
    return short, float(exponent(found, 10)) - alpha if len(found) >= 15 else math.nan


def said_of_sketch(columns: int, iterations: int = ITERATIONS) -> str:
    """What a reader of such a spectrum must know."""
    (steep, steeper), (flat, flatter) = (bias_of_sketch(alpha, columns, iterations) for alpha in (1.0, 0.5))
    exponents = (
        "" if math.isnan(steeper) else f", and the exponent beyond rank 10 {steeper:.2g} or {flatter:.2g} too large"
    )
    return (
        f"randomised: the leading {columns // 2} ranks, from {columns} columns and {iterations} power iterations; "
        f"the rest was not computed. Of a law n^−1 or n^−0.5 the last of these ranks is {100 * steep:.2g} % or "
        f"{100 * flat:.2g} % too small{exponents}."
    )
