"""Responses less spontaneous activity: z-scored by it, and without its largest dimensions.

    z = (x − mean) / (s.d. + 10⁻⁶)              R ← R − (R V) Vᵀ,  V the leading right singular vectors of spontaneous z

Mean and s.d. (divisor n) are each unit's in spontaneous activity; without any, in the responses. R are the responses
z-scored in this way, one row per presentation. Second moments need no more than the scores R V:

    G = R Rᵀ   ⟹   G ← G − (R V)(R V)ᵀ

Source: Stringer et al. 2019, Nature 571, Methods, doi:10.1038/s41586-019-1346-5, and its code: 32 dimensions.
Units are read some at a time; V comes from second moments on the smaller side, times or units, and their float64
eigenvectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy
import torch
from jaxtyping import Bool, Float64, Shaped

from eigenfall.check import need
from eigenfall.linalg import symmetric_eigh

ADDED = 1e-6
"""What is added to each standard deviation."""

BLOCK = 2**22
"""How many values of a table are read at once."""

DENSE = 1000
"""Up to which side all eigenvectors are computed, though few are wanted."""


@runtime_checkable
class Columns(Protocol):
    """Rows × units of which some units can be read at a time. It can be pickled."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, units)`."""
        ...

    def __call__(self, first: int, last: int) -> Shaped[np.ndarray, "rows some_units"]:
        """Units from the first to before the last."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Columns of an array in memory.

    Attributes:
        values: `(rows, units)`.
    """

    values: Shaped[np.ndarray, "rows units"]

    @property
    def shape(self) -> tuple[int, int]:
        """`(rows, units)`."""
        return self.values.shape[0], self.values.shape[1]

    def __call__(self, first: int, last: int) -> Shaped[np.ndarray, "rows some_units"]:
        """Units from the first to before the last."""
        return self.values[:, first:last]


@dataclass(frozen=True, eq=False)
class Baseline:
    """What is taken off the responses of each unit; entries of units that are left out mean nothing.

    Attributes:
        mean: of each unit, in spontaneous activity or over the presentations.
        deviation: its standard deviation there, with what is added to it.
        basis: the removed dimensions V, `(units, components)`.
        scores: R V, `(presentations, components)`.
    """

    mean: Float64[np.ndarray, " units"]
    deviation: Float64[np.ndarray, " units"]
    basis: Float64[np.ndarray, "units components"]
    scores: Float64[np.ndarray, "presentations components"]

    def scored(self, rows: Shaped[np.ndarray, "rows some_units"], first: int) -> Float64[np.ndarray, "rows some_units"]:
        """Some units, from the first on, z-scored; NaN are read as 0 before."""
        last = first + rows.shape[1]
        return (np.nan_to_num(rows.astype(np.float64)) - self.mean[first:last]) / self.deviation[first:last]

    def removed(
        self, rows: Shaped[np.ndarray, "presentations some_units"], first: int
    ) -> Float64[np.ndarray, "presentations some_units"]:
        """Some units, z-scored and without the removed dimensions."""
        scored = self.scored(rows, first)
        return scored - self.scores @ self.basis[first : first + rows.shape[1]].T if self.basis.shape[1] else scored


def blocks(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First and last unit of each block that is read at once."""
    width = max(1, BLOCK // max(1, shape[0]))
    yield from ((first, min(first + width, shape[1])) for first in range(0, shape[1], width))


def baseline(
    responses: Columns,
    rows: Shaped[np.ndarray, " presentations"],
    units: Bool[np.ndarray, " units"],
    spontaneous: Columns | None = None,
    components: int = 0,
) -> Baseline:
    """The mean and standard deviation of each unit, and the leading dimensions of spontaneous activity.

    Args:
        responses: `(all presentations, units)`.
        rows: numbers of the presentations that count.
        units: which units count.
        spontaneous: `(times, units)`; `None`: units are z-scored by their responses, and no dimension is removed.
        components: how many dimensions are removed.

    Raises:
        ValueError: if spontaneous activity has other units, or not as many dimensions.
    """
    source = responses if spontaneous is None else spontaneous
    need(
        source.shape[1] == responses.shape[1],
        expected=f"spontaneous activity of the same {responses.shape[1]} units",
        got=f"{source.shape[1]}",
        remedy="Look at whether time × units is transposed.",
    )
    every = rows if spontaneous is None else slice(None)
    mean, deviation = np.zeros(len(units)), np.ones(len(units))
    for first, last in blocks(source.shape):
        values = np.nan_to_num(source(first, last)[every].astype(np.float64))
        mean[first:last], deviation[first:last] = values.mean(0), values.std(0) + ADDED
    plain = Baseline(mean, deviation, np.zeros((len(units), 0)), np.zeros((len(rows), 0)))
    if spontaneous is None or components == 0:
        return plain
    most = min(spontaneous.shape[0], int(units.sum()))
    need(
        0 < components <= most,
        expected=f"at most {most} dimensions of spontaneous activity",
        got=f"components={components}",
        remedy="Lower it; 0 removes none.",
    )
    basis = _leading(plain, spontaneous, units, components)
    scores = np.zeros((len(rows), basis.shape[1]))
    for first, last in blocks(responses.shape):
        scores += plain.scored(responses(first, last)[rows], first) @ basis[first:last]
    return Baseline(mean, deviation, basis, scores)


def _leading(
    plain: Baseline, spontaneous: Columns, units: Bool[np.ndarray, " units"], components: int
) -> Float64[np.ndarray, "units components"]:
    """Right singular vectors of z-scored spontaneous activity, largest first, 0 for units that do not count."""
    times = spontaneous.shape[0]

    def scored(first: int, last: int) -> np.ndarray:
        return plain.scored(spontaneous(first, last), first) * units[first:last]

    if times <= units.sum():
        matrix = np.zeros((times, times))
        for first, last in blocks(spontaneous.shape):
            part = scored(first, last)
            matrix += part @ part.T
        squares, vectors = _eigenvectors(matrix, components)
        vectors = vectors / np.sqrt(squares)
        parts = [scored(first, last).T @ vectors for first, last in blocks(spontaneous.shape)]
        return np.concatenate(parts)
    matrix = np.zeros((len(units), len(units)))
    for number, (first, last) in enumerate(blocks(spontaneous.shape)):
        part = scored(first, last)
        for start, stop in list(blocks(spontaneous.shape))[: number + 1]:
            products = part.T @ (part if start == first else scored(start, stop))
            matrix[first:last, start:stop], matrix[start:stop, first:last] = products, products.T
    return _eigenvectors(matrix, components)[1]


def _eigenvectors(
    matrix: Float64[np.ndarray, "side side"], count: int
) -> tuple[Float64[np.ndarray, " found"], Float64[np.ndarray, "side found"]]:
    """The largest eigenvalues and their vectors; those that are 0 but for rounding are left out."""
    if len(matrix) <= DENSE or count > len(matrix) // 4:
        values, vectors = (found.numpy()[..., :count] for found in symmetric_eigh(torch.from_numpy(matrix)))
    else:
        start = np.random.default_rng(0).standard_normal(len(matrix))
        values, vectors = (found[..., ::-1] for found in scipy.sparse.linalg.eigsh(matrix, count, which="LA", v0=start))
    real = values > len(matrix) * 2.0**-52 * values[0]
    return values[real], vectors[:, real]
