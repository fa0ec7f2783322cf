"""The nouns as strict JSON beside named arrays, and back, exactly.

    value  →  tree (None, true, numbers, text, arrays, objects)  +  arrays by name

A JSON array is a tuple, an object a mapping. What JSON lacks stands in an object with one marked key: `$tensor` the
name of an array, `$float` one of nan, inf and -inf, `$list` a list, `$mapping` the pairs of a mapping with a marked
key, `$noun` the class of one of the values in `types`, its fields beside it. Nothing else can be written, and
nothing else is made when reading: no class is imported, no object unpickled.

A snapshot, which is flat and of any type that tensors have, is one safetensors file, sealed with its SHA-256.
"""

import dataclasses
import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from eigenfall import types
from eigenfall.check import need, one_of

NOUNS = {
    name: noun
    for name, noun in vars(types).items()
    if isinstance(noun, type) and dataclasses.is_dataclass(noun) and noun.__module__.startswith("eigenfall.types.")
}
SCALARS = (str, int, float, bool, type(None))
STORED = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
)


def canonical(tree: Any) -> str:
    """A tree as text that depends on nothing but its values: keys sorted, ASCII, no spaces."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def pack(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A value as a tree for JSON and the arrays it refers to, named after their place in it."""
    arrays: dict[str, np.ndarray] = {}
    return _packed(value, "", arrays), arrays


def unpack(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that `pack` was given; lists stay lists, tuples tuples, tensors keep their type.

    Raises:
        ValueError: for an array that is not there, an unknown noun or an unknown field.
    """
    if isinstance(tree, list):
        return tuple([entry if isinstance(entry, SCALARS) else unpack(entry, arrays) for entry in tree])
    if not isinstance(tree, dict):
        return tree
    mark = next(iter(tree), "")  # an object has a marked key only as its first
    if mark == "$noun":
        return _noun(tree, arrays)
    if mark == "$tensor":
        one_of(tree[mark], arrays, "array")
        return torch.from_numpy(arrays[tree[mark]])
    if mark == "$float":
        return float(tree[mark])
    if mark == "$list":
        return [unpack(entry, arrays) for entry in tree[mark]]
    if mark == "$mapping":
        return {key: unpack(entry, arrays) for key, entry in tree[mark]}
    return {key: entry if isinstance(entry, SCALARS) else unpack(entry, arrays) for key, entry in tree.items()}


def _packed(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return {"$tensor": _named(value, place, arrays)}
    if isinstance(value, tuple):
        return [_packed(entry, f"{place}/{index}", arrays) for index, entry in enumerate(value)]
    if isinstance(value, list):
        return {"$list": [_packed(entry, f"{place}/{index}", arrays) for index, entry in enumerate(value)]}
    if isinstance(value, Mapping):
        for key in value:
            need(
                isinstance(key, str),
                expected=f"text as keys of {place or 'a mapping'}",
                got=repr(key),
                remedy="Only mappings by name are stored.",
            )
        packed = {key: _packed(entry, f"{place}/{key}", arrays) for key, entry in value.items()}
        return {"$mapping": list(packed.items())} if any(key.startswith("$") for key in packed) else packed
    need(
        NOUNS.get(type(value).__name__) is type(value),
        expected=f"a plain value, a tensor or a noun at {place or 'the top'}",
        got=f"a {type(value).__name__}",
        remedy="Store its numbers instead.",
    )
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {
        "$noun": type(value).__name__,
        **{name: _packed(entry, f"{place}/{name}", arrays) for name, entry in fields.items()},
    }


def _named(tensor: Tensor, place: str, arrays: dict[str, np.ndarray]) -> str:
    """Put a tensor among the arrays; its name is its place, with odd letters replaced."""
    need(
        tensor.dtype in STORED,
        expected=f"a tensor of real numbers, integers or truth values at {place or 'the top'}",
        got=str(tensor.dtype),
        remedy="Convert it first.",
    )
    stem = re.sub(r"[^A-Za-z0-9_./-]", "_", place.strip("/")) or "value"
    name, copies = stem, 1
    while name in arrays:
        copies += 1
        name = f"{stem}~{copies}"
    arrays[name] = tensor.detach().cpu().numpy()
    return name


def _noun(tree: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    one_of(tree["$noun"], NOUNS, "noun")
    noun = NOUNS[tree["$noun"]]
    known = [field.name for field in dataclasses.fields(noun)]
    fields = {name: unpack(entry, arrays) for name, entry in tree.items() if name != "$noun"}
    for name in fields:
        one_of(name, known, f"field of {tree['$noun']}")
    return noun(**fields)


# ---------------------------------------------------------------------------- bytes of files


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an npz archive, read with `numpy.load`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def safetensors_of(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as a safetensors file; those that share memory, as tied weights do, are written apart."""
    return safetensors.torch.save(_separate(tensors))


def seal(snapshot: Mapping[str, Any]) -> bytes:
    """A flat mapping of tensors, numbers and text as one file that shows whether it was damaged."""
    tensors = _separate({name: entry for name, entry in snapshot.items() if isinstance(entry, Tensor)})
    others, _ = pack({name: entry for name, entry in snapshot.items() if not isinstance(entry, Tensor)})
    values = canonical(others)
    return safetensors.torch.save(tensors, {"values": values, "sha256": _seal(tensors, values)})


def opened(path: Path) -> dict[str, Any]:
    """What was sealed, tensors on the CPU.

    Raises:
        ValueError: if the file was changed or cut short.
    """
    try:
        with safe_open(path, framework="pt") as file:
            values, written = file.metadata()["values"], file.metadata()["sha256"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError):
        values, written, tensors = "", None, {}
    need(
        written == _seal(tensors, values),
        expected=f"{path} as it was written",
        got="a damaged file",
        remedy="Remove it; the run then starts anew.",
    )
    return {**tensors, **unpack(json.loads(values), {})}


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: their names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _seal(tensors: Mapping[str, Tensor], values: str) -> str:
    return hashlib.sha256(f"{sha256_of(tensors)} {values}".encode()).hexdigest()


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU, none sharing memory with another, as safetensors demands."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
