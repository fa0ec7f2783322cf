"""HDF5 files: opened, listed, and refused in one sentence where they are damaged. Nothing in them is unpickled.

Source: the HDF5 file format, The HDF Group; read through h5py.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from eigenfall.check import need
from eigenfall.extras import imported
from eigenfall.signatures import need_contents

LISTED = 12
"""How many names a refusal lists."""


@contextmanager
def opened(path: Path, what: str = "an HDF5 file") -> Iterator[Any]:
    """An open file; it is closed afterwards.

    Args:
        path: of the file.
        what: what it should be, in words.

    Raises:
        ValueError: if it is missing, damaged, or no HDF5 file, or if what is read of it is damaged.
    """
    h5py = imported("h5py", "recordings", "reading HDF5 files")
    need_contents(path, ("hdf5",), what, "Look at what the file is, or save it again.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as reason:
        told = (str(reason.args[0] if reason.args else reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected {what} at {str(path)!r}, got what h5py refuses: {told}. The file is damaged, or a filter is "
            "missing; save it again."
        ) from reason


def holds(path: Path, attribute: str) -> bool:
    """Whether a file can be opened and has this attribute at its root; nothing is refused."""
    try:
        with opened(path) as file:
            return attribute in file.attrs
    except ValueError:
        return False


@contextmanager
def dataset(path: Path, name: str) -> Iterator[Any]:
    """An open dataset; it is closed afterwards."""
    with opened(path) as file:
        yield found(file, name, path)


def found(file: Any, name: str, path: Path) -> Any:
    """The dataset of a name.

    Raises:
        ValueError: if there is none, with those that there are.
    """
    inside = file.get(name)
    need(
        hasattr(inside, "dtype"),
        expected=f"a dataset {name!r} in {path.name!r}",
        got="none" if inside is None else "a group",
        remedy=f"There are: {listed(arrays(file))}.",
    )
    return inside


def arrays(group: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the datasets of numbers below a group, in the order of their names."""
    shapes: dict[str, tuple[int, ...]] = {}

    def look(name: str, inside: Any) -> None:
        if hasattr(inside, "dtype") and np.dtype(inside.dtype).kind in "fiu" and inside.shape is not None:
            shapes[name] = tuple(inside.shape)

    group.visititems(look)
    return shapes


def listed(shapes: dict[str, tuple[int, ...]]) -> str:
    """`spont (7018 × 8704), resp (5880 × 8704) and 3 more`: those that could be responses, then others, by size."""

    def order(name: str) -> tuple[bool, int]:
        shape = shapes[name]
        return len(shape) not in (2, 3) or min(shape) == 1, -math.prod(shape)

    ordered = sorted(shapes, key=order)
    texts = [f"{name} ({' × '.join(map(str, shapes[name])) or 'one value'})" for name in ordered[:LISTED]]
    more = f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return ", ".join(texts) + more if texts else "no arrays of numbers"


def only(shapes: dict[str, tuple[int, ...]], path: Path, setting: str, ids: str = "") -> str:
    """The one array of two or three axes among several, other than the ids.

    Raises:
        ValueError: if there is none, or more than one, with what there is.
    """
    likely = [name for name, shape in shapes.items() if len(shape) in (2, 3) and max(shape) > 1 and name != ids]
    several = [name for name in likely if min(shapes[name]) > 1]
    likely = several or likely
    need(
        len(likely) == 1,
        expected=f"the name of one array in {path.name!r}",
        got="none",
        remedy=f"Set {setting} to one of: {listed({name: shapes[name] for name in likely} or shapes)}.",
    )
    return likely[0]


def text_of(values: Any) -> np.ndarray:
    """Strings of a dataset as an array of text, numbers as they are."""
    if getattr(values.dtype, "kind", "") == "O":
        return np.asarray([one.decode() if isinstance(one, bytes) else str(one) for one in values[()].reshape(-1)])
    return np.asarray(values[()])
