"""MATLAB files by the names of their variables: version 5 through SciPy, version 7.3 (HDF5) through h5py.

A name is a path with dots into structs, and numbers from 1 into cells and struct arrays: `stim.resp`, `clouds.spikes.3`
(or `clouds.spikes{3}`). Axes are in MATLAB's order, whatever the version. Only references that a name leads through are
followed, and functions and objects are refused.

Source: MATLAB MAT-File Format, The MathWorks. A variable of version 5 has at most 2 GB, and is read whole.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from eigenfall import hdf5files
from eigenfall.check import need
from eigenfall.signatures import contents, need_contents

DEEPEST = 4
"""How many structs within one another are listed."""


@dataclass(frozen=True, eq=False)
class Turned:
    """An HDF5 dataset with its axes in MATLAB's order, which is the other way round.

    Attributes:
        dataset: an open one.
    """

    dataset: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """In MATLAB's order."""
        return tuple(self.dataset.shape[::-1])

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.dataset.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return self.dataset.dtype

    @property
    def columns_first(self) -> bool:
        """That the first axis varies fastest, as MATLAB has it."""
        return True

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the storage's chunks, in MATLAB's order."""
        return None if self.dataset.chunks is None else tuple(self.dataset.chunks[::-1])

    def __getitem__(self, slices: tuple[slice, ...]) -> np.ndarray:
        """A part, in MATLAB's order."""
        return self.dataset[slices[::-1]].T


@dataclass(frozen=True, eq=False)
class Variables:
    """An open MATLAB file.

    Attributes:
        path: of the file.
        file: an h5py file, or a mapping of the variables that were read.
        hdf5: which of the two it is.
    """

    path: Path
    file: Any
    hdf5: bool

    def find(self, name: str) -> Any:
        """The array of a name, in MATLAB's order; that of an HDF5 file stays on disk.

        Raises:
            ValueError: if there is none, with what there is, or if it is a cell, a struct, text or an object.
        """
        inside = self._inside(name)
        need(
            inside is not None,
            expected=f"a variable {name!r} in {self.path.name!r}",
            got="none",
            remedy=f"There are: {hdf5files.listed(self.arrays())}.",
        )
        what = self._not_numbers(inside)
        need(
            what == "",
            expected=f"an array of numbers at {name!r} in {self.path.name!r}",
            got=what,
            remedy=f"There are: {hdf5files.listed(self.arrays())}.",
        )
        return Turned(inside) if self.hdf5 else inside.toarray() if hasattr(inside, "toarray") else inside

    def has(self, name: str) -> bool:
        """Whether there is something of this name."""
        return self._inside(name) is not None

    def each(self, name: str, field: str) -> np.ndarray | None:
        """A field's number in every entry of a struct array or a cell of structs; `None` if there is none."""
        inside = self._inside(name)
        values = None if inside is None else self._each(inside, field) if self.hdf5 else _each(inside, field)
        if not values or any(value is None for value in values):
            return None
        return np.concatenate([np.asarray(value, dtype=np.float64).reshape(-1) for value in values])

    def _each(self, inside: Any, field: str) -> list[Any]:
        if not hasattr(inside, "keys"):  # a cell of structs
            found = [one.get(field) for one in self._followed(inside)] if _of_references(inside) else []
        else:
            entries = inside.get(field)
            found = [entries] if entries is None or not _of_references(entries) else self._followed(entries)
        return [None if one is None else one[()] for one in found]

    def _followed(self, references: Any) -> list[Any]:
        """What a dataset of references refers to, in MATLAB's order."""
        return [self.file[one] for one in references[()].T.reshape(-1, order="F")]

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of numbers, in MATLAB's order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.file:
            if not name.startswith("#"):
                (self._list if self.hdf5 else _list)(name, self.file[name], shapes)
        return shapes

    def _list(self, name: str, inside: Any, shapes: dict[str, tuple[int, ...]], depth: int = 0) -> None:
        """Add the arrays of numbers below something in an HDF5 file."""
        if depth > DEEPEST:
            return
        if hasattr(inside, "keys"):
            for field in inside:
                self._list(f"{name}.{field}", inside[field], shapes, depth + 1)
        elif _of_references(inside):
            for number, cell in enumerate(self._followed(inside), start=1):
                self._list(f"{name}.{number}", cell, shapes, depth + 1)
        elif inside.dtype.kind in "fiu" and not self._not_numbers(inside):
            shapes[name] = tuple(inside.shape[::-1])

    def _inside(self, name: str) -> Any:
        """What stands at a name; `None` if nothing does."""
        at: Any = self.file
        for step in steps(name):
            at = self._stepped_hdf5(at, step) if self.hdf5 else _stepped(at, step)
            if at is None:
                return None
        return at

    def _stepped_hdf5(self, at: Any, step: str) -> Any:
        if hasattr(at, "keys"):
            return None if step.startswith("#") else at.get(step)
        if step.isdigit() and _of_references(at) and 1 <= int(step) <= at.size:
            return self._followed(at)[int(step) - 1]
        return None

    def _not_numbers(self, inside: Any) -> str:
        """What stands there instead of an array of numbers, in words."""
        if hasattr(inside, "keys"):
            return "a struct"
        if hasattr(inside, "toarray"):
            return ""
        size = " × ".join(map(str, inside.shape[::-1] if self.hdf5 else inside.shape))
        told = inside.attrs.get("MATLAB_class", b"") if self.hdf5 else b""
        told = told.decode() if isinstance(told, bytes) else str(told)
        if inside.dtype.names:
            return f"a struct of {size}" if not self.hdf5 else "complex numbers"
        if inside.dtype.kind == "O" or told == "cell":
            return f"a cell of {size}"
        return "text" if inside.dtype.kind in "US" or told == "char" else ""


def _of_references(inside: Any) -> bool:
    return inside.dtype.kind == "O" and inside.dtype.metadata is not None and "ref" in inside.dtype.metadata


def steps(name: str) -> list[str]:
    """`stim.resp`, `clouds.spikes{3}` as single steps."""
    return [step for step in re.split(r"[.{}()/]+", name) if step]


def _stepped(at: Any, step: str) -> Any:
    """One step into what SciPy has read."""
    if isinstance(at, dict):
        return at.get(step)
    if step.isdigit() and (at.dtype.kind == "O" or at.dtype.names) and 1 <= int(step) <= at.size:
        found = at.reshape(-1, order="F")[int(step) - 1]
        return found if at.dtype.kind == "O" else np.array([[found]], dtype=at.dtype)
    if at.dtype.names and step in at.dtype.names and at.size == 1:
        return at[step].flat[0]
    return None


def _each(inside: Any, field: str) -> list[Any]:
    if inside.dtype.names:
        return list(inside[field].reshape(-1, order="F")) if field in inside.dtype.names else []
    cells = inside.reshape(-1, order="F") if inside.dtype.kind == "O" else []
    return [cell[field].flat[0] if cell.dtype.names and field in cell.dtype.names else None for cell in cells]


def _list(name: str, value: Any, shapes: dict[str, tuple[int, ...]], depth: int = 0) -> None:
    """Add the arrays of numbers below a value that SciPy has read."""
    if depth > DEEPEST:
        return
    if value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            _list(f"{name}.{field}", value[field].flat[0], shapes, depth + 1)
    elif value.dtype.kind == "O":
        for number, cell in enumerate(value.reshape(-1, order="F"), start=1):
            _list(f"{name}.{number}", cell, shapes, depth + 1)
    elif value.dtype.kind in "fiu":
        shapes[name] = value.shape


@contextmanager
def opened(path: Path, wanted: tuple[str, ...] = ()) -> Iterator[Variables]:
    """An open MATLAB file; of version 5, the variables at the root of these names, or all.

    Raises:
        ValueError: if it is missing, damaged, or no MATLAB file.
    """
    need_contents(
        path, ("matlab", "hdf5"), "a MATLAB file", "Save it in MATLAB with -v7 or -v7.3; a text file is not read."
    )
    if contents(path) == "hdf5":
        with hdf5files.opened(path, "a MATLAB file") as file:
            yield Variables(path, file, True)
        return
    _need_whole(path)
    yield Variables(path, _read(path, wanted), False)


def _need_whole(path: Path) -> None:
    """Refuse a file of version 5 that ends before its last variable does; SciPy reads those before it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:] == b"IM" else ">"
        place = 128
        while place < size:
            file.seek(place)
            tag = np.frombuffer(file.read(8).ljust(8, b"\xff"), f"{order}u4")
            place += 8 + int(tag[1])
    need(
        place == size,
        expected=f"a whole MATLAB file at {str(path)!r}",
        got=f"{size} bytes of at least {place}",
        remedy="The file is damaged; save it again.",
    )


def _read(path: Path, wanted: tuple[str, ...]) -> dict[str, Any]:
    roots = [steps(name)[0] for name in wanted if steps(name)]
    try:
        there = [name for name, *_ in scipy.io.whosmat(path)]
        some = [name for name in roots if name in there]
        read = scipy.io.loadmat(path, variable_names=some or there, chars_as_strings=True)
    except Exception as reason:  # SciPy raises whatever its parser runs into
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected a whole MATLAB file at {str(path)!r}, got what SciPy refuses: {told}. The file is damaged; save "
            "it again."
        ) from reason
    return {name: value for name, value in read.items() if not name.startswith("__")}


def holds(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a file can be opened and has variables of all these names; nothing is refused."""
    try:
        with opened(path, names) as variables:
            return all(variables.has(name) for name in names)
    except ValueError:
        return False


@contextmanager
def variable(path: Path, name: str) -> Iterator[Any]:
    """An open array of a MATLAB file of version 7.3; it stays on disk."""
    with opened(path) as variables:
        yield variables.find(name)


@dataclass(frozen=True)
class Table:
    """Rows × units of a file of version 7.3, some units at a time.

    Attributes:
        path: of the file.
        name: of the variable.
        shape: `(rows, units)`.
    """

    path: Path
    name: str
    shape: tuple[int, int]

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Units from the first to before the last."""
        with variable(self.path, self.name) as array:
            return array[:, first:last]
