"""One array of a zarr store, version 2 or 3, read in pieces if it is larger than memory.

Axes as in `file`: said in words or guessed, and told. Pieces follow the store's chunks. A store whose codecs unpickle
objects is refused, unread. Chunks that are not in the store hold its fill value, as zarr has it, and are told of.

Source: the Zarr core specification, versions 2 and 3, zarr-specs.readthedocs.io; read through zarr.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from eigenfall import hdf5files, stored
from eigenfall.check import need
from eigenfall.extras import imported
from eigenfall.gaps import Torn
from eigenfall.labels import need_ids
from eigenfall.signatures import need_contents
from eigenfall.types import Responses


@dataclass(frozen=True)
class Zarr:
    """Responses from one array of a zarr store.

    Attributes:
        path: the store's folder.
        array: which array of a group, for instance session/responses; empty: the only one with two or three axes.
        axes: what the array's axes are, in order, for instance "units stimuli repeats"; empty: guessed.
        ids: for presentations × units, the array with the stimulus of each presentation.
        without: ids that are left out, such as -1 for blanks; "largest", the largest.
        torn: what to do where a single unit is NaN: refuse; leave out such units, or such presentations; or read NaN as
            zero.
        memory: arrays larger than this, in GB, stay on disk and are read in pieces.
        block: how many successive stimuli, or time points, belong together when the interval is drawn.
    """

    cite: ClassVar[str] = ""
    path: Path
    array: str = ""
    axes: str = ""
    ids: str = ""
    without: tuple[str, ...] = ()
    torn: Torn = "refuse"
    memory: float = 1.0
    block: int = 1

    def __call__(self, generator: torch.Generator | None = None) -> Responses:
        """Read the store.

        Args:
            generator: not used; nothing is drawn.

        Returns:
            Responses `(repeats, stimuli, units)` in the store's unit, NaN for a missing repeat, with what was
            understood in words.

        Raises:
            ValueError: if the store is missing, damaged or of another format, holds no such array, its axes are not as
                said, or a value is infinite or NaN outside a missing repeat.
        """
        path = Path(self.path)
        with _opened(path) as store:
            name = self.array if hasattr(store, "members") else ""
            if hasattr(store, "members"):
                name = self.array or hdf5files.only(_arrays(store), path, "array", self.ids)
            array = _found(store, name, path)
            empty = int(array.nchunks) - int(array.nchunks_initialized)
            ids = need_ids(_found(store, self.ids, path)[...], self.ids) if self.ids else None
        found = stored.responses(self, partial(_array, path, name), path.stem, path, ids)
        if not empty:
            return found
        told = f"{empty} of the store's {array.nchunks} chunks are not there: their values are {array.fill_value}."
        return replace(found, notices=(*found.notices, told))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open array or group."""
    zarr = imported("zarr", "recordings", "reading zarr stores")
    need_contents(path, ("zarr",), "a zarr store", "Look at what it is, or save it again with zarr.")
    try:
        yield zarr.open(str(path), mode="r")
    except Exception as reason:
        if isinstance(reason, ValueError) and str(reason).startswith("Expected "):
            raise
        told = (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
        raise ValueError(
            f"Expected a whole zarr store at {str(path)!r}, got what zarr refuses: {told}. It is damaged, or a codec "
            "is missing; save it again."
        ) from reason


@contextmanager
def _array(path: Path, name: str) -> Iterator[Any]:
    """An open array."""
    with _opened(path) as store:
        yield _found(store, name, path)


def _arrays(group: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays of numbers below a group."""
    inside = {name: member for name, member in group.members(max_depth=None) if hasattr(member, "shape")}
    return {name: tuple(inside[name].shape) for name in sorted(inside) if inside[name].dtype.kind in "fiu"}


def _found(store: Any, name: str, path: Path) -> Any:
    """The array of a name; `""`: the store itself."""
    if hasattr(store, "members"):
        need(
            name in store and hasattr(store[name], "shape"),
            expected=f"an array {name!r} in {path.name!r}",
            got="a group" if name in store else "none",
            remedy=f"There are: {hdf5files.listed(_arrays(store))}.",
        )
    array = store[name] if hasattr(store, "members") else store
    need(
        "pickle" not in str(array.metadata.to_dict()).lower(),
        expected=f"an array of numbers in {path.name!r}",
        got="one whose codecs unpickle objects",
        remedy="Save it again without objects.",
    )
    return array
