"""Formats by their first bytes, of files that their own writers wrote."""

import pickle

import h5py
import numpy as np
import pytest
import scipy.io
import zarr
from exact import refusal

from eigenfall.signatures import contents, need_contents


def written(folder, name):
    path = folder / name
    if name == "npy":
        np.save(folder / "a.npy", np.ones(3))
        return folder / "a.npy"
    if name == "zip":
        np.savez(folder / "a.npz", a=np.ones(3))
        return folder / "a.npz"
    if name == "empty archive":
        np.savez(folder / "b.npz")
        return folder / "b.npz"
    if name == "hdf5":
        with h5py.File(path, "w") as file:
            file["a"] = np.ones(3)
    if name == "user block":
        with h5py.File(path, "w", userblock_size=512) as file:
            file["a"] = np.ones(3)
        path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + path.read_bytes()[512:])
    if name == "matlab":
        scipy.io.savemat(path, {"a": np.ones(3)}, appendmat=False)
    if name == "pickle":
        path.write_bytes(pickle.dumps({}))
    if name.startswith("zarr"):
        zarr.create_array(str(path), shape=(3,), dtype="f4", zarr_format=int(name[-1]))
    if name.startswith("group"):
        zarr.open_group(str(path), mode="w", zarr_format=int(name[-1]))
    if name == "empty":
        path.touch()
    if name == "text":
        path.write_text("a, b\n1, 2\n")
    if name == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    "name, found",
    [
        ("npy", "npy"),
        ("zip", "zip"),
        ("empty archive", "zip"),
        ("hdf5", "hdf5"),
        ("user block", "hdf5"),
        ("matlab", "matlab"),
        ("pickle", "pickle"),
        ("zarr2", "zarr"),
        ("zarr3", "zarr"),
        ("group2", "zarr"),
        ("group3", "zarr"),
        ("empty", "empty"),
        ("text", ""),
        ("folder", ""),
    ],
)
def test_first_bytes_tell_the_format(name, found, tmp_path):
    assert contents(written(tmp_path, name)) == found


@pytest.mark.parametrize(
    "name, got",
    [
        ("npy", "a NumPy array (.npy)"),
        ("pickle", "a Python pickle"),
        ("empty", "an empty file"),
        ("text", "something else, or a damaged one"),
        ("folder", "a folder"),
        ("zarr3", "a zarr store"),
    ],
)
def test_another_format_is_refused_by_what_it_is(name, got, tmp_path):
    path = written(tmp_path, name)
    assert refusal(need_contents, path, ("hdf5",), "an HDF5 file", "Look.") == (
        f"Expected an HDF5 file at {str(path)!r}, got {got}. Look."
    )


def test_what_is_not_there_is_refused(tmp_path):
    assert refusal(need_contents, tmp_path / "no", ("hdf5",), "an HDF5 file", "Look.") == (
        f"Expected an HDF5 file at {str(tmp_path / 'no')!r}, got none there. Mend the path."
    )
