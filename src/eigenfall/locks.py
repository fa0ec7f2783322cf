"""Locks that die with their process: what is held is held by somebody alive.

A file's lock is taken with `flock`, which the system gives back when its holder ends, however it ends. The file goes
when the lock does, so whoever gets a lock looks whether the path still leads to the file that was locked.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eigenfall.atomic import writing
from eigenfall.check import need

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None

HELD = (errno.EAGAIN, errno.EACCES)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system without locks says; there everybody gets one."""
TRIES = 1000
"""How often a lock's folder may come or go between two looks before that is an error."""


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a file's lock if nobody else does; afterwards the file is gone, and its folder if nothing else is in it.

    Yields:
        Whether it is held.

    Raises:
        ValueError: if the file cannot be written.
    """
    handle = _taken(path)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            if _leads_to(path, handle):
                path.unlink()
                path.parent.rmdir()
        os.close(handle)


def _taken(path: Path) -> int | None:
    """The file, open and locked; `None` if somebody else holds it."""
    for left in reversed(range(TRIES)):
        try:
            with writing(path):
                handle = _opened(path)
        except ValueError as refusal:
            if left and isinstance(refusal.__cause__, FileNotFoundError | FileExistsError):
                continue  # its folder went, or was made, meanwhile
            raise
        if not _got(handle):
            os.close(handle)
            return None
        if _leads_to(path, handle):
            return handle
        os.close(handle)
    need(False, expected=f"to lock {path}", got="a file that does not stay", remedy="Choose another folder.")
    return None


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _got(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as reason:
        if reason.errno in HELD:
            return False
        if reason.errno not in NO_LOCKS:
            os.close(handle)
            raise
    return True


def _leads_to(path: Path, handle: int) -> bool:
    """Whether the path is that of the open file still."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
