"""Where the files of the named data sets lie, whether they are whole, and how they are fetched.

A file is looked for in `EIGENFALL_DATA/<usual name>`, then in the user's cache folder; a missing one is downloaded
there. Every file is compared with its SHA-256 before a byte of it is used, so that a corrupt one is refused by name.
Nothing is ever unpacked to disk: archives are read where they lie.
"""

import errno
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from eigenfall.check import need, one_of
from eigenfall.downloads import download
from eigenfall.sources import SOURCES

FOLDER = "EIGENFALL_DATA"
"""The environment variable that names the folder of data sets."""

Place = Literal["EIGENFALL_DATA", "cache", "missing", "embedded"]


@dataclass(frozen=True)
class Held:
    """One file of a data set, as it lies on this machine.

    Attributes:
        file: its official name.
        path: where it is read from; `None` if it would have to be downloaded.
        place: which folder that is.
        fault: what is wrong with it, "" if nothing is or nobody has looked.
    """

    file: str
    path: Path | None
    place: Place
    fault: str = ""


@dataclass(frozen=True)
class Status:
    """What there is of a data set on this machine.

    Attributes:
        name: the data set's name.
        files: each file that loading would read; none if the data set comes with the package.
        checked: whether the files were compared with their checksums.
    """

    name: str
    files: tuple[Held, ...] = ()
    checked: bool = False

    @property
    def present(self) -> bool:
        """Whether loading would need no network."""
        return self.place != "missing"

    @property
    def place(self) -> Place:
        """Where it is read from: "missing" if any file is, "embedded" if it comes with the package."""
        places = {held.place for held in self.files} or {"embedded"}
        return next(place for place in ("missing", "cache", "EIGENFALL_DATA", "embedded") if place in places)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with its files, one refusal each."""
        return tuple(held.fault for held in self.files if held.fault)


def names() -> tuple[str, ...]:
    """Names of the data sets that come from elsewhere or with the package, in alphabetical order."""
    return tuple(sorted((*SOURCES, "digits")))


def status(name: str) -> Status:
    """Where each file of a data set would be read from; nothing is opened."""
    one_of(name, names(), "data set")
    return Status(name, _found(name) if name in SOURCES else ())


def verify(name: str) -> Status:
    """The same, with every file that is there compared with its checksum."""
    return Status(name, tuple(_looked_at(name, held) for held in status(name).files), checked=True)


def fetch(name: str, progress: bool = True) -> Status:
    """Download into the user's cache folder what is missing of a data set, and what is corrupt in that folder.

    Raises:
        ValueError: if a file cannot be downloaded or written.
    """
    before = verify(name).files
    for held in before:
        if held.place == "missing" or (held.fault and held.place == "cache"):
            _download(name, held.file, progress)
    return verify(name)


def contents(name: str) -> Iterator[tuple[str, bytes]]:
    """Official files of a data set one after the other, name and checked bytes; what is missing is downloaded first.

    Raises:
        ValueError: if a file is corrupt or cannot be read, or a missing one cannot be downloaded.
    """
    for held in status(name).files:
        if held.place == "missing":
            _download(name, held.file, progress=True)
    for held in status(name).files:
        if held.file in SOURCES[name].files:
            yield held.file, _checked(name, held)
        else:
            yield from _members(name, held)


def cache_folder(name: str) -> Path:
    """Where a data set is downloaded to, in the user's cache folder."""
    import pooch

    return Path(pooch.os_cache("eigenfall")) / SOURCES[name].folder


def _found(name: str) -> tuple[Held, ...]:
    """What loading would read: each file, or the archive if some lie nowhere on their own."""
    source, own = SOURCES[name], os.environ.get(FOLDER)
    places: list[tuple[Place, Path]] = [("EIGENFALL_DATA", Path(own) / source.folder)] if own else []
    places.append(("cache", cache_folder(name)))

    def first(file: str, *spellings: str) -> Held:
        for place, folder in places:
            for spelling in spellings:
                if (folder / spelling).is_file():
                    return Held(file, folder / spelling, place)
        return Held(file, None, "missing")

    held = tuple(first(file, *([file, f"{file}.xz"] if source.packed else [file])) for file in source.files)
    if source.archive[0] and any(one.place == "missing" for one in held):
        return (first(source.archive[0], source.archive[0]),)
    return held


def _need_sum(name: str, held: Held, found: str) -> None:
    source = SOURCES[name]
    wanted = source.files.get(held.file, source.archive[1])
    need(
        found == wanted,
        expected=f"SHA-256 {wanted} for {held.path}",
        got=f"{found}: the file is corrupt, truncated or another version",
        remedy=_remedy(name, held),
    )


def _remedy(name: str, held: Held) -> str:
    again = f"`eigenfall data fetch {name}`"
    return f"Run {again}." if held.place == "cache" else f"Put the official file there, or delete it and run {again}."


def _path(held: Held) -> Path:
    """Where a file lies; it may be gone since it was looked for."""
    if held.path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), held.file)
    return held.path


def _checked(name: str, held: Held) -> bytes:
    """Bytes of a file, unpacked if it lies there as .xz, once they have passed their checksum."""
    try:
        path = _path(held)
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
    except (lzma.LZMAError, EOFError) as reason:
        raise ValueError(f"Expected a whole .xz file at {held.path}, got {reason}. {_remedy(name, held)}") from reason
    except OSError as reason:
        raise ValueError(_unreadable(held, reason)) from reason
    _need_sum(name, held, hashlib.sha256(data).hexdigest())
    return data


def _unreadable(held: Held, reason: OSError) -> str:
    return f"Expected a readable file at {held.path}, got {reason.strerror}. Grant read permission, or delete it."


def _need_whole_archive(name: str, held: Held) -> None:
    """Compare an archive with its checksum, without holding it in memory."""
    try:
        with _path(held).open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as reason:
        raise ValueError(_unreadable(held, reason)) from reason
    _need_sum(name, held, found)


def _members(name: str, held: Held) -> Iterator[tuple[str, bytes]]:
    """An archive's files by exact name, in its order; nothing is written, so no name in it can lead anywhere."""
    source = SOURCES[name]
    wanted = {f"{source.inside}/{file}": file for file in source.files}
    _need_whole_archive(name, held)
    try:
        with tarfile.open(_path(held), "r|gz") as archive:
            for member in archive:
                file = wanted.get(member.name)
                opened = archive.extractfile(member) if file is not None and member.isreg() else None
                if file is None or opened is None:
                    continue
                data = opened.read()
                if hashlib.sha256(data).hexdigest() == source.files[file]:
                    del wanted[member.name]
                    yield file, data
    except (tarfile.TarError, EOFError, zlib.error, OSError) as reason:
        raise ValueError(f"Expected a whole archive at {held.path}, got {reason}. {_remedy(name, held)}") from reason
    need(
        not wanted,
        expected=f"the official files in {held.path}",
        got=f"an archive without {', '.join(wanted)}",
        remedy=_remedy(name, held),
    )


def _looked_at(name: str, held: Held) -> Held:
    if held.path is None:
        return held
    try:
        if held.file in SOURCES[name].files:
            _checked(name, held)
        else:
            _need_whole_archive(name, held)
    except ValueError as refusal:
        return replace(held, fault=str(refusal))
    return held


def _download(name: str, file: str, progress: bool) -> None:
    source, own = SOURCES[name], os.environ.get(FOLDER)
    now = f"it is now {own}, where they are not" if own else "it is not set"
    remedy = f"Or set {FOLDER} ({now}) to a folder that holds {source.folder}/{file}."
    download(file, source.files.get(file, source.archive[1]), source.urls, cache_folder(name), remedy, progress)
