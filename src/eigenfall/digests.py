"""SHA-256 of files too large to hold: read in blocks."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(folder: Path, paths: Iterable[Path]) -> str:
    """SHA-256 of several files, by their names inside a folder and their contents; their order does not matter."""
    total = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        total.update(f"{name}\0{of_file(path)}\n".encode())
    return total.hexdigest()


def of_path(path: Path) -> str:
    """SHA-256 of a file, or of everything in a folder."""
    if path.is_file():
        return of_file(path)
    return of_files(path, (found for found in path.rglob("*") if found.is_file()))
