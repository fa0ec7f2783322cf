"""Bytes of data files as arrays: IDX, and the array pickles in which CIFAR-10 comes.

Both readers take bytes that are already in memory and checked, and refuse whatever is not plain numbers.

Source: the IDX layout is described on the MNIST page, yann.lecun.com/exdb/mnist; the batches on the CIFAR-10 page,
www.cs.toronto.edu/~kriz/cifar.html.
"""

import gzip
import io
import pickle
import zlib
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Shaped

from eigenfall.check import need

_DAMAGED = "The file is damaged; get it again from its makers."


def gunzipped(contents: bytes, name: str) -> bytes:
    """Unpacked bytes of a gzip file.

    Raises:
        ValueError: if the file is not gzip, ends too early, or fails gzip's own checksum.
    """
    try:
        return gzip.decompress(contents)
    except (OSError, EOFError, zlib.error) as reason:
        raise ValueError(f"Expected a whole gzip file in {name}, got {reason}. {_DAMAGED}") from reason


def idx(contents: bytes, name: str) -> Shaped[np.ndarray, "..."]:
    """Array of an IDX file of unsigned bytes, without a copy.

    The file is 0, 0, 8 (unsigned byte), the number of axes, each axis's length as a big-endian 32-bit integer, then the
    values, last axis fastest.

    Raises:
        ValueError: if the head is another, or there are more or fewer values than it says.
    """
    need(
        len(contents) >= 4 and contents[:3] == b"\x00\x00\x08" and len(contents) >= 4 + 4 * contents[3],
        expected=f"an IDX file of unsigned bytes in {name}",
        got=f"a file that starts with {contents[:4].hex() or 'nothing'}",
        remedy=_DAMAGED,
    )
    start = 4 + 4 * contents[3]
    shape = tuple(np.frombuffer(contents, ">u4", contents[3], offset=4).tolist())
    values = np.frombuffer(contents, np.uint8, offset=start)
    need(
        len(values) == np.prod(shape, dtype=object),
        expected=f"{' × '.join(map(str, shape))} values in {name}",
        got=str(len(values)),
        remedy=_DAMAGED,
    )
    return values.reshape(shape)


class _OnlyBytes:
    """Stands for the name `numpy.ndarray` inside a pickle; it cannot be called."""


def _array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    if kind is not _OnlyBytes:
        raise pickle.UnpicklingError("an array of another class")
    return np.ndarray((0,), "b")


def _dtype(code: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if code != "u1":
        raise pickle.UnpicklingError(f"an array of {code!r}")
    return np.dtype("u1", copy=True)


class _ArraysOnly(pickle.Unpickler):
    """Reads containers, text, numbers and arrays of unsigned bytes; any other name is refused unseen."""

    _known: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): _OnlyBytes,
        ("numpy", "dtype"): _dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return self._known[module, name]


def unpickled(contents: bytes, name: str) -> Any:
    """What a pickle of containers, text, numbers and arrays of unsigned bytes holds, python 2's text read as latin1.

    Raises:
        ValueError: if the pickle asks for anything else, which is named and never looked up, or is damaged.
    """
    try:
        return _ArraysOnly(io.BytesIO(contents), encoding="latin1").load()
    except pickle.UnpicklingError as reason:
        raise ValueError(
            f"Expected only containers, text and arrays of unsigned bytes in {name}, got {reason}. "
            "Do not open this file; get it again from its makers."
        ) from reason
    except (
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as reason:
        raise ValueError(
            f"Expected a whole pickle in {name}, got {type(reason).__name__}: {reason}. {_DAMAGED}"
        ) from reason
