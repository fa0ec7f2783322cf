"""Files that are either whole or absent: written aside, forced to the disk, then given their name in one step."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from eigenfall.check import need

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says against writing into one sentence."""
    try:
        yield
    except OSError as reason:
        if reason.errno in FULL:
            got, remedy = "a full disk", "Free some space and run again; what was finished before is whole."
        elif reason.errno in FORBIDDEN:
            got, remedy = "no permission", "Choose another folder, or have its permissions changed."
        elif reason.errno in NO_FOLDER:
            got, remedy = "a file where a folder is needed", "Move the file, or choose another folder."
        elif reason.errno == errno.ENOTEMPTY:
            got, remedy = "one of that name", "It was written meanwhile: read it, or remove it and run again."
        else:
            got, remedy = f"the error {reason.strerror!r}", "Choose another folder, or mend the disk."
        raise ValueError(f"Expected to write {path}, got {got}. {remedy}") from reason


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Force a folder's list of names to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one.

    A link is followed; a device or a pipe is written to as it is.
    """
    path = path.resolve()
    with writing(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            _write(aside, data)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        _sync(path.parent)


def write_folder(path: Path, aside: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files so that a kill at any moment leaves the whole folder or none.

    Args:
        path: the folder; it must not exist.
        aside: where it is put together, on the same disk; nothing is left of it.
        files: contents by file name.
    """
    with making_folder(path, aside) as put:
        for name, data in files.items():
            put(name, data)


@contextmanager
def making_folder(path: Path, aside: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A folder that is put together file by file, and has its name when all are there; on a failure nothing is left.

    Args:
        path: the folder; it must not exist.
        aside: where it is put together, on the same disk; nothing is left of it.

    Yields:
        What writes a file, given its name inside the folder, folders before it joined by /, and its contents.
    """
    made = [aside]

    def put(name: str, data: bytes) -> None:
        goal = aside / name
        need(
            aside in goal.parents and ".." not in Path(name).parts,
            expected=f"the name of a file inside {path}",
            got=repr(name),
            remedy="Name it by letters and digits.",
        )
        if goal.parent not in made:
            goal.parent.mkdir(parents=True)
            made.append(goal.parent)
        _write(goal, data)

    with writing(path):
        try:
            aside.mkdir(parents=True)
            yield put
            for folder in reversed(made):
                _sync(folder)
            aside.rename(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _sync(path.parent)
