"""Variables of MATLAB files of version 7.3, which are HDF5.

Axes are stored the other way round; a struct is a group; a cell, or an array of structs, is a dataset of references.
Only references that a name leads through, or that are listed, are followed.

Source: MATLAB MAT-File Format, The MathWorks; read through h5py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from eigenfall.hdf5files import LISTED
from eigenfall.mat5files import DEEPEST, steps


@dataclass(frozen=True, eq=False)
class Turned:
    """An HDF5 dataset with its axes in MATLAB's order.

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
class Stored:
    """Variables of an open file.

    Attributes:
        file: an h5py file.
    """

    file: Any

    def inside(self, name: str) -> Any:
        """What stands at a name; `None` if nothing does."""
        at: Any = self.file
        for step in steps(name):
            if at is None or step.startswith("#"):
                return None
            if hasattr(at, "keys"):
                at = at.get(step)
            elif step.isdigit() and _of_references(at) and 1 <= int(step) <= at.size:
                at = self._followed(at)[int(step) - 1]
            else:
                return None
        return at

    def numbers(self, inside: Any) -> Any:
        """The array of numbers that this is; a text that says what else it is."""
        if hasattr(inside, "keys"):
            return "a struct"
        told = inside.attrs.get("MATLAB_class", b"")
        told = told.decode() if isinstance(told, bytes) else str(told)
        if inside.attrs.get("MATLAB_empty", 0):
            return "nothing: it is empty"
        if inside.dtype.names:
            return "complex numbers"
        if inside.dtype.kind == "O" or told == "cell":
            return f"a cell of {' × '.join(map(str, inside.shape[::-1]))}"
        return "text" if told == "char" else Turned(inside)

    def each(self, name: str, field: str) -> list[Any]:
        """A field of every struct of an array or a cell of them; `None` for a struct without it."""
        inside = self.inside(name)
        if hasattr(inside, "keys"):
            entries = inside.get(field)
            found = self._followed(entries) if _of_references(entries) else [entries]
        else:
            cells = self._followed(inside) if _of_references(inside) else []
            found = [one.get(field) if hasattr(one, "keys") else None for one in cells]
        return [None if one is None else one[()] for one in found]

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of numbers, in MATLAB's order; of long cells the first ones."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.file:
            if not name.startswith("#"):
                self._list(name, self.file[name], shapes)
        return shapes

    def _list(self, name: str, inside: Any, shapes: dict[str, tuple[int, ...]], depth: int = 0) -> None:
        """Add the arrays of numbers below something."""
        if inside is None or depth > DEEPEST:
            return
        if hasattr(inside, "keys"):
            for field in inside:
                self._list(f"{name}.{field}", inside[field], shapes, depth + 1)
        elif _of_references(inside):
            for number, cell in enumerate(self._followed(inside, LISTED), start=1):
                self._list(f"{name}.{number}", cell, shapes, depth + 1)
        elif inside.dtype.kind in "fiu" and isinstance(self.numbers(inside), Turned):
            shapes[name] = tuple(inside.shape[::-1])

    def _followed(self, references: Any, most: int | None = None) -> list[Any]:
        """What a dataset of references refers to, in MATLAB's order, at most so many; `None` for one to nothing."""
        every = references[()].T.reshape(-1, order="F")[:most]
        return [self.file[one] if one else None for one in every]


def _of_references(inside: Any) -> bool:
    kind = getattr(inside, "dtype", None)
    return kind is not None and kind.kind == "O" and kind.metadata is not None and "ref" in kind.metadata
