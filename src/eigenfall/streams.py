"""Streams of pieces that are changed as they are read, keep their length, and can be sent to another process."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

PIECE = 2**23
"""How many values a piece that is read from a file may have: 32 MB in float32, as many as are multiplied at once."""


@dataclass(frozen=True)
class Changed(Sequence[Tensor]):
    """A sequence whose pieces are changed when they are asked for.

    Attributes:
        pieces: what can be indexed.
        change: of one piece.
    """

    pieces: Sequence[Tensor]
    change: Callable[[Tensor], Tensor]

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> "Changed": ...

    def __getitem__(self, index):
        """The changed piece at a place."""
        if isinstance(index, slice):
            return Changed(self.pieces[index], self.change)
        return self.change(self.pieces[index])

    def __len__(self) -> int:
        return len(self.pieces)


def changed(pieces: Iterable[Tensor], change: Callable[[Tensor], Tensor]) -> Iterable[Tensor]:
    """The pieces changed one by one; with a length and an index if they have them."""
    return Changed(pieces, change) if isinstance(pieces, Sequence) else (change(piece) for piece in pieces)


@dataclass(frozen=True)
class Stream:
    """What a `Responses` calls for its chunks: those of another, changed.

    Attributes:
        chunks: the other's.
        change: of one piece.
    """

    chunks: Callable[[], Iterable[Tensor]]
    change: Callable[[Tensor], Tensor]

    def __call__(self) -> Iterable[Tensor]:
        """The pieces, from the first."""
        return changed(self.chunks(), self.change)


def after(pieces: Iterable[Tensor], first: int) -> Iterator[Tensor]:
    """The pieces from a place on; those before are not made if the pieces can be indexed."""
    if isinstance(pieces, Sequence):
        yield from (pieces[place] for place in range(first, len(pieces)))
        return
    for place, piece in enumerate(pieces):
        if place >= first:
            yield piece


def length(pieces: Iterable[Tensor]) -> int:
    """How many pieces there are; 0 if nobody knows."""
    return len(pieces) if isinstance(pieces, Sequence) else 0


def joined(pieces: Sequence[Tensor], size: tuple[int, int, int], axis: int) -> Tensor:
    """All pieces beside one another along an axis, `(repeats, stimuli, units)`; one at a time is held beside them."""
    whole, place = torch.empty(size, dtype=pieces[0].dtype), 0
    for piece in pieces:
        whole.narrow(axis, place, piece.shape[axis]).copy_(piece)
        place += piece.shape[axis]
    return whole


def bounds(kept: Bool[np.ndarray, " entries"], width: int) -> tuple[tuple[int, int], ...]:
    """Where pieces of an axis begin and end, and which of them hold something that is kept."""
    found = ((start, min(start + width, len(kept))) for start in range(0, len(kept), width))
    return tuple((start, stop) for start, stop in found if kept[start:stop].any())
