"""Packages that not everyone has."""

import sys

import pytest
from exact import refusal

from eigenfall import parts
from eigenfall.extras import imported


def test_what_is_there_is_imported():
    assert imported("json", "recordings", "nothing") is sys.modules["json"]


def test_what_is_not_there_is_named_with_its_extra():
    assert refusal(imported, "no_such_package", "recordings", "reading HDF5 files") == (
        "Expected the package no_such_package for reading HDF5 files, got none. Install it: "
        "pip install 'eigenfall[recordings]'"
    )


def test_what_cannot_be_imported_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refusal(imported, "broken_package", "recordings", "reading") == (
        "Expected broken_package that can be imported, for reading, got ModuleNotFoundError: No module named "
        "'no_such_dependency'. Install it again: pip install --force-reinstall broken_package"
    )


@pytest.mark.parametrize(
    "package, part, name, what",
    [
        ("h5py", "hdf5", "a.h5", "reading HDF5 files"),
        ("h5py", "nwb", "a.nwb", "reading HDF5 files"),
        ("h5py", "matlab", "a.mat", "reading HDF5 files"),
        ("zarr", "zarr", "a.zarr", "reading zarr stores"),
    ],
)
def test_a_format_names_the_package_that_reads_it(package, part, name, what, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    assert refusal(parts.read("recordings", f"{part}:path=[{tmp_path / name}]")) == (
        f"Expected the package {package} for {what}, got none. Install it: pip install 'eigenfall[recordings]'"
    )
