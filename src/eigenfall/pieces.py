"""Pieces of an array on disk: how it is cut, and how each is read when it is asked for.

An array is opened again for each piece, so that pieces can be asked for in any order and by any process. They are cut
along the units if there are as many of them as stimuli, so that second moments over the smaller side add up; where the
chunks of the storage would then be read many times over, along the stimuli.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from torch import Tensor

from eigenfall import streams
from eigenfall.axes import Axes
from eigenfall.gaps import Gaps, Slab

Opening = Callable[[], AbstractContextManager[Any]]
"""Opens an array: something with `shape` and `dtype` that gives NumPy arrays when it is sliced. It can be pickled."""

Over = Literal["units", "stimuli"]


@dataclass(frozen=True)
class Cut:
    """How an array is cut into pieces.

    Attributes:
        over: along which axis.
        width: entries of that axis in each piece.
        times: how often, about, each of the storage's chunks is read.
        notice: what a reader should know of it.
    """

    over: Over
    width: int
    times: float = 1.0
    notice: str = ""


def cut(size: tuple[int, int, int], storage: Sequence[int] | None, memory: float) -> Cut:
    """How to cut an array of `(repeats, stimuli, units)`.

    Args:
        size: of the array.
        storage: the lengths of its storage's chunks along the same axes; `None` if it lies in one run.
        memory: GB; a piece may have a quarter of it if the storage's chunks ask for that.
    """
    first: Over = "units" if size[2] >= size[1] else "stimuli"
    best = cut_along(first, size, storage, memory)
    if best.times > 2 and storage is not None:
        other = cut_along("stimuli" if first == "units" else "units", size, storage, memory)
        if other.times < best.times:
            chunk = " × ".join(map(str, storage))
            notice = (
                f"Read along the {other.over}, as the storage's chunks of {chunk} (repeats × stimuli × units) lie: "
                f"along the {first} each would be read {best.times:.0f} times."
            )
            return Cut(other.over, other.width, other.times, notice)
    return best


def cut_along(over: Over, size: tuple[int, int, int], storage: Sequence[int] | None, memory: float) -> Cut:
    """How to cut it along this axis."""
    axis = 2 if over == "units" else 1
    across = max(1, math.prod(size) // size[axis])
    width = max(1, min(size[axis], streams.PIECE // across))
    chunk = 1 if storage is None else min(storage[axis], size[axis])
    if width >= chunk:
        return Cut(over, width - width % chunk)
    if 8e-9 * chunk * across <= memory / 4:
        return Cut(over, chunk)
    return Cut(over, width, chunk / width)


@dataclass(frozen=True)
class Laid:
    """An array in a file, what its axes are, and how it lies there.

    Attributes:
        opening: opens the array.
        axes: what its axes are.
        dtype: of its values.
        storage: lengths of its storage's chunks as (repeats, stimuli, units); `None` if it lies in one run.
        columns_first: whether its first axis varies fastest.
    """

    opening: Opening
    axes: Axes
    dtype: np.dtype
    storage: tuple[int, int, int] | None = None
    columns_first: bool = False

    @property
    def slowest(self) -> Over:
        """Which of stimuli and units varies slowest, so that entries of it lie together."""
        stimuli_first = self.axes.order[-2] < self.axes.order[-1]
        return "stimuli" if stimuli_first != self.columns_first else "units"

    def slab(self, over: Over, start: int, stop: int) -> np.ndarray:
        """A part of it, cut along units or stimuli, as (repeats, stimuli, units)."""
        axis = self.axes.order[-1 if over == "units" else -2]
        with self.opening() as array:
            part = array[tuple(slice(start, stop) if axis == here else slice(None) for here in range(array.ndim))]
        return self.axes.turned(np.asarray(part))

    def slabs(self, over: Over, width: int) -> Iterator[Slab]:
        """All of it, in order."""
        for start in range(0, self.axes.size[2 if over == "units" else 1], width):
            yield over, start, self.slab(over, start, start + width)

    def row(self, repeat: int, stimulus: int) -> np.ndarray:
        """All units at one place."""
        return self.slab("stimuli", stimulus, stimulus + 1)[repeat, 0]


@dataclass(frozen=True, eq=False)
class Pieces(Sequence[Tensor]):
    """Pieces of an array on disk; each is read when it is asked for.

    Attributes:
        laid: the array.
        over: along which axis it is cut.
        bounds: where each piece begins and ends.
        gaps: what is missing from the array, and what is left out of it.
    """

    laid: Laid
    over: Over
    bounds: tuple[tuple[int, int], ...]
    gaps: Gaps

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> "Pieces": ...

    def __getitem__(self, index):
        """The piece at a place, `(repeats, stimuli, units)`."""
        if isinstance(index, slice):
            return Pieces(self.laid, self.over, self.bounds[index], self.gaps)
        start, stop = self.bounds[index]
        return self.gaps.kept((self.over, start, self.laid.slab(self.over, start, stop)))

    def __len__(self) -> int:
        return len(self.bounds)
