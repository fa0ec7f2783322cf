"""A file of responses: .npy, or .npz without objects.

Axes are said in words (`axes="units stimuli repeats"`), or guessed: two axes are stimuli × units; of three, the
shortest is the repeats, and the others are stimuli × units if repeats come first, units × stimuli if they come last.
Where NaN mark missing repeats, units are the axis along which all are missing together. What was understood is said.

Source: (repeats, stimuli, units) is this package's order; units × conditions × trials is that of GSN (Kay et al. 2025).
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.types import Responses

WORDS = ("repeats", "stimuli", "time", "units")
CHUNK = 2**22
"""How many values a chunk may have: 32 MB in float64."""


@dataclass(frozen=True)
class File:
    """Responses from one array in a file.

    Attributes:
        path: a .npy or .npz file.
        axes: what the array's axes are, in order, for instance "units stimuli repeats" or units/time; empty: guessed.
        array: which array of an .npz; empty: the only one.
        memory: arrays larger than this, in GB, stay on disk and are read in chunks.
        block: how many successive stimuli, or time points, belong together when the interval is drawn.
    """

    path: Path
    axes: str = ""
    array: str = ""
    memory: float = 1.0
    block: int = 1

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read the file.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)` in the file's unit, NaN for a missing repeat, with what was understood
            in words, and how many repeats are missing.

        Raises:
            ValueError: if the file is missing, damaged, holds objects or no numbers, its axes are not as said, or a
                value is infinite or NaN outside a missing repeat.
        """
        path = Path(self.path)
        values = _opened(path, self.array)
        names = _named(self.axes, values) if self.axes else _guessed(values)
        samples = "time" if "time" in names else "stimuli"
        order = [names.index(name) for name in ("repeats", samples, "units") if name in names]
        ordered = values.transpose(order) if values.ndim == 3 else values.transpose(order)[None]
        missing = _missing(ordered, samples)
        said = "" if self.axes else f"; axes guessed as {' '.join(names)}"
        in_memory = ordered.size * _kind(ordered).itemsize <= self.memory * 1e9
        chunked_over = "units" if ordered.shape[2] >= ordered.shape[1] else "stimuli"
        return Responses(
            values=_tensor(ordered) if in_memory else None,
            chunks=None if in_memory else partial(_chunks, ordered, chunked_over),
            chunked_over=chunked_over,
            sampled_over=samples,
            name=path.stem,
            understood=_words(ordered, missing, samples) + said,
            dropped={"missing repeats": int(missing.sum())} if missing.any() else {},
            block=self.block,
        )


def _reading(path: Path, read: Callable[[], Any]) -> Any:
    """What numpy reads; what it refuses, refused in one sentence."""
    try:
        return read()
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as reason:
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected {path.name!r} to hold arrays of numbers, got what numpy refuses: {told}. Save it again with "
            "numpy.save, without objects."
        ) from reason


def _opened(path: Path, array: str) -> np.ndarray:
    """The array; that of an .npy stays on disk."""
    need(path.is_file(), expected=f"a file {str(path)!r}", got="none there", remedy="Mend the path.")
    need(
        path.suffix in (".npy", ".npz"),
        expected="a .npy or .npz file",
        got=repr(path.name),
        remedy="Save the array with numpy.save.",
    )
    if path.suffix == ".npy":
        values = _reading(path, lambda: np.lib.format.open_memmap(path, mode="r"))
    else:
        with path.open("rb") as handle:
            values = _of_archive(path, _reading(path, lambda: np.load(handle, allow_pickle=False)), array)
    need(
        values.dtype.kind in "fiu",
        expected="real numbers",
        got=f"an array of type {values.dtype}",
        remedy="Save responses as integers or floats.",
    )
    need(
        values.size > 0 and values.ndim in (2, 3),
        expected="an array of two or three axes, none of them empty",
        got=f"shape {values.shape}",
        remedy="Save (stimuli, units) or (repeats, stimuli, units).",
    )
    return values


def _of_archive(path: Path, archive: Any, array: str) -> np.ndarray:
    """The array of an .npz that was asked for, or its only one."""
    names = getattr(archive, "files", [])
    need(
        len(names) == 1 or (bool(array) and bool(names)),
        expected=f"the name of one array in {path.name!r}",
        got="none" if names else "a file without named arrays",
        remedy=f"Set array to one of: {', '.join(names)}." if names else "Save it again with numpy.savez.",
    )
    name = array or names[0]
    one_of(name, names, f"array in {path.name!r}")
    return _reading(path, lambda: archive[name])


def _named(axes: str, values: np.ndarray) -> tuple[str, ...]:
    """The axes as the user said them."""
    names = tuple(filter(None, re.split(r"[\s,/×]+", axes)))
    for name in names:
        one_of(name, WORDS, "axis")
    wanted = ("repeats", "units") if values.ndim == 3 else ("units",)
    example = "units stimuli repeats" if values.ndim == 3 else "units stimuli"
    need(
        len(names) == values.ndim
        and all(names.count(name) == 1 for name in wanted)
        and names.count("stimuli") + names.count("time") == 1,
        expected=f"names for {values.ndim} axes, such as {example!r}",
        got=repr(axes),
        remedy=f"The array's shape is {values.shape}.",
    )
    return names


def _guessed(values: np.ndarray) -> tuple[str, ...]:
    """The axes, from NaN or else from the shape."""
    if values.ndim == 2:
        return ("stimuli", "units")
    if values.dtype.kind == "f":
        empty = np.isnan(values)
        together = [axis for axis in range(3) if np.array_equal(empty.all(axis), empty.any(axis))]
        if empty.any() and len(together) == 1:
            others = [axis for axis in range(3) if axis != together[0]]
            repeats = min(others, key=lambda axis: values.shape[axis])
            return tuple(
                "units" if axis in together else "repeats" if axis == repeats else "stimuli" for axis in range(3)
            )
    shortest = int(np.argmin(values.shape))
    need(
        shortest != 1,
        expected="axes that can be guessed: repeats, the shortest, first or last",
        got=f"shape {values.shape}",
        remedy="Set axes, for instance 'stimuli repeats units'.",
    )
    return ("repeats", "stimuli", "units") if shortest == 0 else ("units", "stimuli", "repeats")


def _missing(ordered: np.ndarray, samples: str) -> np.ndarray:
    """Which repeat is missing at which stimulus, `(repeats, stimuli)`; anything else that is not finite is refused."""
    repeats, stimuli, units = ordered.shape
    count = np.zeros((repeats, stimuli), dtype=np.int64)
    if ordered.dtype.kind != "f":
        return count > 0
    for start, piece in _pieces(ordered, "units"):
        infinite = np.argwhere(np.isinf(piece))
        need(
            len(infinite) == 0,
            expected="finite responses",
            got="an infinite value" + (_place(infinite[0] + [0, 0, start], samples) if len(infinite) else ""),
            remedy="Mend the file, or leave that unit out.",
        )
        count += np.isnan(piece).sum(2)
    torn = np.argwhere((count > 0) & (count < units))
    if len(torn):
        repeat, stimulus = torn[0]
        unit = int(np.argmax(np.isnan(ordered[repeat, stimulus])))
        need(
            False,
            expected="NaN only where a repeat is missing for all units",
            got="a single one" + _place((repeat, stimulus, unit), samples),
            remedy="Leave that unit or that repeat out, or say the axes with `axes`.",
        )
    missing = count == units
    without = np.flatnonzero(missing.all(0))
    need(
        len(without) == 0,
        expected="at least one repeat of everything",
        got=f"none at {samples} number {without[0] if len(without) else 0}, counted from 0",
        remedy="Leave it out of the file.",
    )
    return missing


def _place(at: Any, samples: str) -> str:
    repeat, stimulus, unit = (int(index) for index in at)
    what = "stimulus" if samples == "stimuli" else "time"
    return f" at repeat {repeat}, {what} {stimulus}, unit {unit}, counted from 0"


def _words(ordered: np.ndarray, missing: np.ndarray, samples: str) -> str:
    repeats, stimuli, units = ordered.shape
    present = repeats - missing.sum(0)
    low, high = int(present.min()), int(present.max())
    times = f"{low}-{high} repeats" if low < high else f"{high} repeat{'s' if high > 1 else ''}"
    what = "stimuli" if samples == "stimuli" else "time points"
    return f"{stimuli} {what} × {units} units × {times}"


def _kind(values: np.ndarray) -> np.dtype:
    """float32 where it holds every value, else float64."""
    exact = values.dtype.itemsize <= (4 if values.dtype.kind == "f" else 2)
    return np.dtype(np.float32 if exact else np.float64)


def _tensor(values: np.ndarray) -> Tensor:
    """A copy in memory, `(repeats, stimuli, units)`."""
    return torch.from_numpy(np.array(values, dtype=_kind(values), order="C"))


def _pieces(ordered: np.ndarray, over: str) -> Iterator[tuple[int, np.ndarray]]:
    """Slices along units or stimuli, with where they start."""
    axis = 2 if over == "units" else 1
    width = max(1, CHUNK * ordered.shape[axis] // ordered.size)
    for start in range(0, ordered.shape[axis], width):
        end = start + width
        yield start, ordered[:, :, start:end] if over == "units" else ordered[:, start:end]


def _chunks(ordered: np.ndarray, over: str) -> Iterator[Tensor]:
    for _, piece in _pieces(ordered, over):
        yield _tensor(piece)
