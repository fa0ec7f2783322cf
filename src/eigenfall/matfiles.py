"""MATLAB files of either version, by the names of their variables; axes are in MATLAB's order.

Version 5 is read through SciPy (`mat5files.py`), version 7.3 through h5py (`mat73files.py`), whose arrays stay on disk.
Functions and objects are refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eigenfall import hdf5files, mat5files
from eigenfall.check import need
from eigenfall.mat5files import Plain
from eigenfall.mat73files import Stored
from eigenfall.signatures import contents, need_contents


@dataclass(frozen=True, eq=False)
class Variables:
    """An open MATLAB file.

    Attributes:
        path: of the file.
        held: its variables, in memory or on disk.
    """

    path: Path
    held: Plain | Stored

    @property
    def on_disk(self) -> bool:
        """Whether arrays stay on disk, as those of version 7.3 do."""
        return isinstance(self.held, Stored)

    def find(self, name: str) -> Any:
        """The array of a name.

        Raises:
            ValueError: if there is none, with what there is, or if it is a cell, a struct or text.
        """
        inside = self.held.inside(name)
        need(
            inside is not None,
            expected=f"a variable {name!r} in {self.path.name!r}",
            got="none",
            remedy=f"There are: {hdf5files.listed(self.arrays())}.",
        )
        found = self.held.numbers(inside)
        need(
            not isinstance(found, str),
            expected=f"an array of numbers at {name!r} in {self.path.name!r}",
            got=str(found) if isinstance(found, str) else "",
            remedy=f"There are: {hdf5files.listed(self.arrays())}.",
        )
        return found

    def has(self, name: str) -> bool:
        """Whether there is something of this name."""
        return self.held.inside(name) is not None

    def each(self, name: str, field: str) -> np.ndarray | None:
        """A field's number in every struct of an array or a cell of them; `None` if one is without it."""
        values = self.held.each(name, field)
        if not values or any(value is None for value in values):
            return None
        return np.concatenate([np.asarray(value, dtype=np.float64).reshape(-1) for value in values])

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of numbers."""
        return self.held.arrays()


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
            yield Variables(path, Stored(file))
    else:
        yield Variables(path, mat5files.read(path, wanted))


def holds(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a file can be opened and has variables of all these names; nothing is refused."""
    try:
        with opened(path, names) as variables:
            return all(variables.has(name) for name in names)
    except ValueError:
        return False


@contextmanager
def variable(path: Path, name: str) -> Iterator[Any]:
    """An open array of a file of version 7.3; it stays on disk."""
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
