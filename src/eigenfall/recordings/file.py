"""A file of responses: .npy, or .npz without objects.

Axes are said in words (`axes="units stimuli repeats"`), or guessed: two axes are stimuli × units; of three, the
shortest is the repeats, and the others are stimuli × units if repeats come first, units × stimuli if they come last.
Where NaN mark missing repeats, units are the axis along which all are missing together. What was understood is said.

Source: (repeats, stimuli, units) is this package's order; units × conditions × trials is that of GSN (Kay et al. 2025).
Larger files than `memory` are read in pieces: an .npz then must be one that numpy.savez wrote, uncompressed.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from eigenfall import npyfiles, stored
from eigenfall.check import need, one_of
from eigenfall.gaps import Torn, kind
from eigenfall.labels import need_ids
from eigenfall.pieces import Opening
from eigenfall.types import Responses


@dataclass(frozen=True)
class File:
    """Responses from one array in a file.

    Attributes:
        path: a .npy or .npz file.
        axes: what the array's axes are, in order, for instance "units stimuli repeats" or units/time; empty: guessed.
        array: which array of an .npz; empty: the only one beside the ids.
        memory: arrays larger than this, in GB, stay on disk and are read in pieces.
        block: how many successive stimuli, or time points, belong together when the interval is drawn.
        ids: for presentations × units, the stimulus of each presentation: an array of the .npz, or another .npy file.
        without: ids that are left out, such as -1 for blanks; "largest", the largest.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
    """

    cite: ClassVar[str] = ""
    path: Path
    axes: str = ""
    array: str = ""
    memory: float = 1.0
    block: int = 1
    ids: str = ""
    without: tuple[str, ...] = ()
    torn: Torn = "refuse"

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
        need(path.is_file(), expected=f"a file {str(path)!r}", got="none there", remedy="Mend the path.")
        need(
            path.suffix in (".npy", ".npz"),
            expected="a .npy or .npz file",
            got=repr(path.name),
            remedy="Save the array with numpy.save.",
        )
        ids = self._ids(path) if self.ids else None
        return stored.responses(self, self._opening(path), path.stem, path, ids)

    def _ids(self, path: Path) -> np.ndarray:
        """The stimulus of each presentation."""
        if path.suffix == ".npz":
            return need_ids(_archived(path, self.ids), self.ids)
        beside = Path(self.ids) if Path(self.ids).is_file() else path.with_name(self.ids)
        need(
            beside.is_file(),
            expected=f"a file of ids {self.ids!r}",
            got="none there",
            remedy="Mend its path, or put it beside the recording.",
        )
        return need_ids(_reading(beside, lambda: np.load(beside, allow_pickle=False)), self.ids)

    def _opening(self, path: Path) -> Opening:
        """Opens the array: on disk, or in memory if it lies in an .npz and fits there."""
        if path.suffix == ".npy":
            return partial(_opened, path)
        names = [name for name in _names(path) if name != self.ids]
        need(
            len(names) == 1 or (bool(self.array) and bool(names)),
            expected=f"the name of one array in {path.name!r}",
            got="none" if names else "a file without named arrays",
            remedy=f"Set array to one of: {', '.join(names)}." if names else "Save it again with numpy.savez.",
        )
        name = self.array or names[0]
        one_of(name, names, f"array in {path.name!r}")
        start, size, packed = _reading(path, lambda: _place(path, name))
        if size <= self.memory * 1e9:
            return partial(nullcontext, _archived(path, name))
        need(
            not packed,
            expected=f"an uncompressed array, as its {size / 1e9:.2g} GB are more than memory={self.memory:g}",
            got=f"a compressed one in {path.name!r}",
            remedy="Save it with numpy.save or numpy.savez, or raise memory.",
        )
        _reading(path, lambda: _verify(path, name))
        return partial(_opened, path, start)


def _reading(path: Path, read: Callable[[], Any]) -> Any:
    """What numpy reads; what it refuses, refused in one sentence."""
    try:
        return read()
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as reason:
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected {path.name!r} to hold arrays of numbers, got what numpy refuses: {told}. Save it again with "
            "numpy.save, without objects."
        ) from reason


@contextmanager
def _opened(path: Path, start: int = 0) -> Iterator[npyfiles.Raw]:
    """An array on disk, where an .npy file begins at this byte."""
    yield _reading(path, lambda: npyfiles.opened(path, start))


# ------------------------------------------------------------------------------ archives


def _names(path: Path) -> list[str]:
    """Names of the arrays of an .npz."""

    def read() -> list[str]:
        with path.open("rb") as file:
            return list(getattr(np.load(file, allow_pickle=False), "files", []))

    return _reading(path, read)


def _archived(path: Path, name: str) -> np.ndarray:
    """An array of an .npz, in memory; its checksum is verified."""
    one_of(name, _names(path), f"array in {path.name!r}")

    def read() -> np.ndarray:
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False)[name]

    return _reading(path, read)


def _place(path: Path, name: str) -> tuple[int, float, bool]:
    """Where an array of an .npz begins, how many bytes it has in memory, and whether it is compressed."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{name}.npy")
        with archive.open(entry) as file:
            shape, _, dtype = npyfiles.head(file)
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)  # the lengths of the name and of what follows it
        name_length, extra_length = np.frombuffer(file.read(4), "<u2").tolist()
    start = entry.header_offset + 30 + name_length + extra_length
    return (
        start,
        float(np.prod(shape, dtype=np.float64)) * kind(dtype).itemsize,
        entry.compress_type != zipfile.ZIP_STORED,
    )


def _verify(path: Path, name: str) -> None:
    """Read an array of an .npz once, so that the archive's checksum of it is verified."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        while file.read(2**24):
            pass
