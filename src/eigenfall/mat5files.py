"""Variables of MATLAB files of version 5, and steps into structs and cells.

    stim.resp        a field of a struct
    spikes{3}        the third cell, or struct of an array of them, counted from 1 down the columns; also spikes.3

Source: MATLAB MAT-File Format, The MathWorks; read through SciPy. A variable has at most 2 GB, and is read whole.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from eigenfall.check import need

DEEPEST = 4
"""How many structs and cells within one another are listed."""


def steps(name: str) -> list[str]:
    """`clouds.spikes{3}` as single steps."""
    return [step for step in re.split(r"[.{}()/]+", name) if step]


@dataclass(frozen=True, eq=False)
class Plain:
    """Variables that were read.

    Attributes:
        variables: by name, as SciPy makes them: structs are arrays with fields, cells arrays of objects.
    """

    variables: dict[str, Any]

    def inside(self, name: str) -> Any:
        """What stands at a name; `None` if nothing does."""
        first, *rest = steps(name) or [""]
        at = self.variables.get(first)
        for step in rest:
            at = None if at is None else _stepped(at, step)
        return at

    def numbers(self, inside: Any) -> Any:
        """The array of numbers that this is; a text that says what else it is."""
        if hasattr(inside, "toarray"):
            return inside.toarray()
        size = " × ".join(map(str, inside.shape))
        if inside.dtype.names:
            return f"a struct of {size}"
        if inside.dtype.kind == "O":
            return f"a cell of {size}"
        return "text" if inside.dtype.kind in "US" else inside

    def each(self, name: str, field: str) -> list[Any]:
        """A field of every struct of an array or a cell of them; `None` for a struct without it."""
        inside = self.inside(name)
        if inside is None:
            return []
        if inside.dtype.names:
            return list(inside[field].reshape(-1, order="F")) if field in inside.dtype.names else []
        cells = inside.reshape(-1, order="F") if inside.dtype.kind == "O" else []
        return [cell[field].flat[0] if cell.dtype.names and field in cell.dtype.names else None for cell in cells]

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of numbers."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, value in self.variables.items():
            _list(name, value, shapes)
        return shapes


def _stepped(at: Any, step: str) -> Any:
    """One step into a struct or a cell; `None` if it leads nowhere."""
    if step.isdigit() and (at.dtype.kind == "O" or at.dtype.names) and 1 <= int(step) <= at.size:
        found = at.reshape(-1, order="F")[int(step) - 1]
        return found if at.dtype.kind == "O" else np.array([[found]], dtype=at.dtype)
    if at.dtype.names and step in at.dtype.names and at.size == 1:
        return at[step].flat[0]
    return None


def _list(name: str, value: Any, shapes: dict[str, tuple[int, ...]], depth: int = 0) -> None:
    """Add the arrays of numbers below a value."""
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


def read(path: Path, wanted: tuple[str, ...] = ()) -> Plain:
    """The variables at the root of these names, or all.

    Raises:
        ValueError: if the file is damaged.
    """
    _need_whole(path)
    roots = [steps(name)[0] for name in wanted if steps(name)]
    try:
        there = [name for name, *_ in scipy.io.whosmat(path)]
        found = scipy.io.loadmat(path, variable_names=[name for name in roots if name in there] or there)
    except Exception as reason:  # SciPy raises whatever its parser runs into
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected a whole MATLAB file at {str(path)!r}, got what SciPy refuses: {told}. The file is damaged; save "
            "it again."
        ) from reason
    return Plain({name: value for name, value in found.items() if not name.startswith("__")})


def _need_whole(path: Path) -> None:
    """Refuse a file that ends before its last variable does; SciPy reads those before it."""
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
