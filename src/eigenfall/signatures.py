"""What a file or folder is by its first bytes, whatever its name says."""

from pathlib import Path

from eigenfall.check import need

HDF5 = b"\x89HDF\r\n\x1a\n"
USER_BLOCKS = (0, 512, 1024, 2048)
"""Where an HDF5 file may begin; MATLAB puts 512 bytes of its own before."""

FORMATS = {
    "npy": "a NumPy array (.npy)",
    "zip": "a zip archive (.npz)",
    "hdf5": "an HDF5 file (.h5, .nwb, or .mat of version 7.3)",
    "matlab": "a MATLAB file of version 5 (.mat)",
    "pickle": "a Python pickle",
    "zarr": "a zarr store",
    "empty": "an empty file",
}
"""How each kind of contents is called in a refusal."""


def contents(path: Path) -> str:
    """One of the formats, or "" for what is none of them."""
    if path.is_dir():
        return "zarr" if any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup")) else ""
    with path.open("rb") as file:
        head = file.read(128)
        if any(_at(file, place) == HDF5 for place in USER_BLOCKS):
            return "hdf5"
    if not head:
        return "empty"
    begins = {b"\x93NUMPY": "npy", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"MATLAB 5.0": "matlab"}
    found = next((name for begin, name in begins.items() if head.startswith(begin)), "")
    return found or ("pickle" if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") else "")


def _at(file, place: int) -> bytes:
    file.seek(place)
    return file.read(len(HDF5))


def need_contents(path: Path, wanted: tuple[str, ...], what: str, remedy: str) -> None:
    """Refuse what is missing, or is by its first bytes of another format.

    Args:
        path: of a file or folder.
        wanted: the formats that will do.
        what: what was expected, in words.
        remedy: what to do, unless the file is of a format that another part reads.

    Raises:
        ValueError: if there is nothing, or something else.
    """
    need(path.exists(), expected=f"{what} at {str(path)!r}", got="none there", remedy="Mend the path.")
    found = contents(path)
    need(
        found in wanted,
        expected=f"{what} at {str(path)!r}",
        got=FORMATS.get(found, "a folder" if path.is_dir() else "something else, or a damaged one"),
        remedy=remedy,
    )
