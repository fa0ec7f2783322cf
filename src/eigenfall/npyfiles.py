"""Arrays of .npy files, also inside archives, read part by part without being mapped.

A mapped file counts as memory that is in use, as much of it as the system chooses to read ahead; a part that is read
into a buffer has the size of the part. Arrays of objects are refused: nothing is unpickled.

Source: the NPY format, numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MANY = 2**16
"""From how many separate runs of a part on, the file is mapped for the time of reading it."""


@dataclass(frozen=True)
class Raw:
    """An array in a file.

    Attributes:
        path: of the file.
        start: at which byte its values begin.
        shape: of the array.
        dtype: of its values.
        columns_first: whether the first axis varies fastest.
    """

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype
    columns_first: bool = False

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    def __getitem__(self, slices: tuple[slice, ...]) -> np.ndarray:
        """A part, as an array of its own; slices have no steps."""
        bounds = [part.indices(length)[:2] for part, length in zip(slices, self.shape, strict=True)]
        if self.columns_first:
            return _part(self, self.shape[::-1], bounds[::-1]).T
        return _part(self, self.shape, bounds)


def _part(raw: Raw, shape: tuple[int, ...], bounds: list[tuple[int, int]]) -> np.ndarray:
    """A part of an array whose last axis varies fastest."""
    lengths = [max(0, last - first) for first, last in bounds]
    cut = max((axis for axis, length in enumerate(shape) if lengths[axis] < length), default=0)
    runs = math.prod(lengths[:cut])
    if runs > MANY:
        mapped = np.memmap(raw.path, raw.dtype, "r", raw.start, shape)
        return np.array(mapped[tuple(slice(*bound) for bound in bounds)])
    found = np.empty(lengths, dtype=raw.dtype)
    if found.size == 0:
        return found
    run, at = found.nbytes // runs, 0
    steps = [math.prod(shape[axis + 1 :]) * raw.dtype.itemsize for axis in range(len(shape))]
    first = raw.start + bounds[cut][0] * steps[cut]
    bytes_of = found.reshape(-1).view(np.uint8).data
    with raw.path.open("rb", buffering=0) as file:
        for outer in itertools.product(*(range(*bound) for bound in bounds[:cut])):
            file.seek(first + sum(index * step for index, step in zip(outer, steps)))
            end = at + run
            while at < end:
                count = file.readinto(bytes_of[at:end])
                if not count:
                    raise ValueError(f"{raw.path.name} ends too early")
                at += count
    return found


def head(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type that an .npy file says at its beginning.

    Raises:
        ValueError: if it says nothing of the kind, or that its values are objects.
    """
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format")
    shape, columns_first, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    return shape, columns_first, dtype


def opened(path: Path, start: int = 0) -> Raw:
    """The array that begins at a byte of a file.

    Raises:
        ValueError: if there is none, or it is not whole.
    """
    with path.open("rb") as file:
        file.seek(start)
        shape, columns_first, dtype = head(file)
        begin, size = file.tell(), math.prod(shape) * dtype.itemsize
        there = file.seek(0, 2) - begin
    if there < size:
        raise ValueError(f"the file ends after {max(0, there)} of {size} bytes")
    return Raw(path, begin, shape, dtype, columns_first)
