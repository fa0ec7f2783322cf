"""MATLAB files of version 7.3 as MATLAB lays them out: HDF5, axes the other way round, cells as references."""

import h5py
import numpy as np


def save(path, variables, chunks=None):
    """Write a mapping of arrays, texts, mappings (structs), and lists (cells) as version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _write(file, name, value, file, chunks)
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def _write(group, name, value, file, chunks):
    if isinstance(value, dict):
        inner = group.create_group(name)
        inner.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, one in value.items():
            _write(inner, key, one, file, chunks)
        return
    if isinstance(value, list):
        references = []
        for one in value:
            held = file.require_group("#refs#")
            _write(held, f"r{len(held)}", one, file, chunks)
            references.append(held[f"r{len(held) - 1}"].ref)
        cell = group.create_dataset(name, (len(references), 1), h5py.ref_dtype)
        cell[:, 0] = references
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        return
    kind, attributes = "double", {}
    if isinstance(value, str):
        value, kind = np.array([[ord(letter) for letter in value]], dtype=np.uint16), "char"
        attributes = {"MATLAB_int_decode": 2}
    value = np.atleast_2d(value)
    fits = chunks is not None and value.ndim == 2 and all(c <= n for c, n in zip(chunks, value.T.shape))
    data = group.create_dataset(name, data=value.T, chunks=chunks if fits else None)
    data.attrs["MATLAB_class"] = np.bytes_(kind)
    data.attrs.update(attributes)
