"""Arrays in files as responses: read at once, or piece by piece where they are larger than memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np

from eigenfall import axes, digests, gaps, streams
from eigenfall.axes import Axes
from eigenfall.check import need
from eigenfall.gaps import Slab
from eigenfall.pieces import Cut, Laid, Opening, Pieces, cut, cut_along
from eigenfall.presentations import Arrangement
from eigenfall.types import Responses


@runtime_checkable
class Reading(Protocol):
    """Settings that parts share which read one array."""

    @property
    def axes(self) -> str:
        """What the array's axes are, or "" to guess."""
        ...

    @property
    def without(self) -> tuple[str, ...]:
        """Ids of stimuli that are left out."""
        ...

    @property
    def torn(self) -> gaps.Torn:
        """What to do where a single unit is NaN."""
        ...

    @property
    def memory(self) -> float:
        """GB above which an array stays on disk."""
        ...

    @property
    def block(self) -> int:
        """How many successive samples belong together."""
        ...


# -------------------------------------------------------------------------------- responses


def need_numbers(array: Any) -> None:
    """Refuse what is no array of real numbers with two or three axes; nothing of it is read."""
    need(
        array.dtype.kind in "fiu",
        expected="real numbers",
        got=f"an array of type {array.dtype}",
        remedy="Save responses as integers or floats.",
    )
    need(
        math.prod(array.shape) > 0 and len(array.shape) in (2, 3),
        expected="an array of two or three axes, none of them empty",
        got=f"shape {tuple(array.shape)}",
        remedy="Save (stimuli, units) or (repeats, stimuli, units).",
    )


def laid(opening: Opening, text: str, torn: gaps.Torn, memory: float) -> Laid:
    """An array with its axes.

    Args:
        opening: opens the array.
        text: the axes as the user said them, or "" to guess.
        torn: what to do where a single unit is NaN.
        memory: GB above which only the beginning of each axis is looked at for a guess.

    Raises:
        ValueError: if it holds no numbers, or its axes cannot be as said.
    """
    with opening() as array:
        need_numbers(array)
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        chunks, columns_first = getattr(array, "chunks", None), getattr(array, "columns_first", False)
        corner = axes.corner_of(shape, math.prod(shape) * gaps.kind(dtype).itemsize <= memory * 1e9)
        found = axes.said(text, shape) if text else axes.guessed(shape, np.asarray(array[corner]))
        if text and dtype.kind == "f" and len(shape) == 3 and torn == "refuse":
            _need_units_together(found, text, np.asarray(array[corner]))
    storage = None
    if chunks is not None:
        lengths = [int(chunks[axis]) for axis in found.order]
        storage = (lengths[0] if len(lengths) == 3 else 1, lengths[-2], lengths[-1])
    return Laid(opening, found, dtype, storage, columns_first)


def _need_units_together(found: Axes, text: str, corner: np.ndarray) -> None:
    axis = axes.together(corner)
    need(
        axis is None or found.names[axis] == "units",
        expected=f"NaN together along the units, as axes {text!r} names them",
        got=f"NaN together along the axis of length {found.shape[axis or 0]}, there called {found.names[axis or 0]}",
        remedy="Call that axis units: a missing repeat is missing for all of them.",
    )


def responses(how: Reading, opening: Opening, name: str, path: Path, ids: Any = None) -> Responses:
    """An array in a file as responses; larger ones than `how.memory` stay on disk.

    Args:
        how: the part that reads.
        opening: opens the array.
        name: what the responses are called.
        path: the file or folder that the digest of what stays on disk is of.
        ids: the stimulus of each presentation, if the array is presentations × units.

    Raises:
        ValueError: if the array holds no numbers, its axes are not as said, or a value is infinite, or NaN where it
            must not be.
    """
    if ids is not None:
        return _presented(how, opening, name, path, ids)
    array = laid(opening, how.axes, how.torn, how.memory)
    size, samples = array.axes.size, array.axes.samples
    need(
        samples != "presentations" and not how.without,
        expected="the stimulus of each presentation",
        got="no ids",
        remedy="Set ids to where they are.",
    )
    way = cut(size, array.storage, how.memory)
    scan = _scan(array, way) if array.dtype.kind == "f" else ()
    found = gaps.found(scan, size, samples, how.torn, array.row)
    in_memory = math.prod(found.size) * gaps.kind(array.dtype).itemsize <= how.memory * 1e9
    kept = found.units if way.over == "units" else found.stimuli
    pieces = partial(Pieces, array, way.over, streams.bounds(kept, way.width), found)
    told = "" if how.axes else f"; axes guessed as {' '.join(array.axes.names)}"
    return Responses(
        values=streams.joined(pieces(), found.size, 2 if way.over == "units" else 1) if in_memory else None,
        chunks=None if in_memory else pieces,
        chunked_over=way.over,
        sampled_over=cast(Literal["stimuli", "time"], samples),
        name=name,
        understood=axes.understood(found.size, found.present, samples) + told,
        dropped=found.dropped,
        block=how.block,
        size=None if in_memory else found.size,
        digest="" if in_memory else digests.of_path(path),
        notices=(*array.axes.doubts, *((way.notice,) if way.notice and not in_memory else ())),
    )


def _scan(array: Laid, way: Cut) -> Iterator[Slab]:
    """All of an array in the order in which it lies."""
    if array.storage is not None:
        yield from array.slabs(way.over, way.width)
        return
    size = array.axes.size
    length = size[1 if array.slowest == "stimuli" else 2]
    yield from array.slabs(array.slowest, max(1, streams.PIECE * length // math.prod(size)))


@dataclass(frozen=True)
class Table:
    """Presentations × units on disk, some units at a time.

    Attributes:
        laid: the array.
    """

    laid: Laid

    @property
    def shape(self) -> tuple[int, int]:
        """`(presentations, units)`."""
        return self.laid.axes.size[1:]

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Units from the first to before the last."""
        return self.laid.slab("units", first, last)[0]


def _presented(how: Reading, opening: Opening, name: str, path: Path, ids: Any) -> Responses:
    """Presentations with their ids as responses."""
    doubts: tuple[str, ...] = ()
    text = how.axes
    if not text:
        with opening() as array:
            need_numbers(array)
            text, doubts = _by_length(tuple(array.shape), len(ids))
    array = laid(opening, text, how.torn, how.memory)
    need(
        array.axes.samples == "presentations",
        expected="axes 'presentations units' or 'units presentations', as the stimulus of each is given",
        got=repr(text),
        remedy="Leave axes out, or leave ids out.",
    )
    found = Arrangement(how.without, how.torn, memory=how.memory)(Table(array), ids, name=name)
    told = "" if how.axes else f"; axes guessed as {text}"
    way = cut_along("units", array.axes.size, array.storage, how.memory)
    if found.chunks is not None and way.times > 2:
        doubts += (f"Each of the storage's chunks is read {way.times:.0f} times: chunks along the units are faster.",)
    return replace(
        found,
        understood=found.understood + told,
        block=how.block,
        digest="" if found.chunks is None else digests.of_path(path),
        notices=(*found.notices, *doubts),
    )


def _by_length(shape: tuple[int, ...], count: int) -> tuple[str, tuple[str, ...]]:
    """Which axis the presentations are along: the one with as many entries as there are ids."""
    need(
        len(shape) == 2 and count in shape,
        expected=f"presentations × units with {count} presentations, one for each id",
        got=f"shape {shape}",
        remedy="Give one id per presentation.",
    )
    if shape[0] == shape[1]:
        return "presentations units", (f"Either axis may be the presentations: both have {count} entries.",)
    return ("presentations units" if shape[0] == count else "units presentations"), ()
