"""A finished run as a folder, and what an unfinished one goes on from.

    runs/
      spectral-s0-1f0c9a7be2d4/     arm, seed, first twelve digits of the run's hash
        record.json                 schema, run, versions, rows, measurement, history, bibliography
        arrays.npz                  the arrays that record.json names
        weights.safetensors         if the run made a model
        SHA256SUMS                  as `sha256sum -c` reads it
      .partial/<hash>/              checkpoint of an unfinished run, and the lock of the process that has it

A record is put together under `.partial` and renamed when it is whole, so that a run that was killed leaves nothing
that looks finished. Everything in it is read without pickle.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import platform
import re
import secrets
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from eigenfall.atomic import sha256, write_file, write_folder, writing
from eigenfall.check import need
from eigenfall.locks import locked
from eigenfall.packing import canonical, npz, opened, pack, safetensors_of, seal, sha256_of, unpack
from eigenfall.references import bibliography, citations
from eigenfall.subnormals import zeroed
from eigenfall.types import Measurement, Record, Row

SCHEMA = 1
DECIDES_NOTHING = ("device", "classes", "fitted_head", "hash")
"""Settings that are kept but stay out of the hash."""
LOCK = "lock"
TOLD = ("run", "versions", "rows", "measurement", "history", "bibliography")
"""What a record tells, in the order of `record.json`."""


# ------------------------------------------------------------------------------- identity


def run_hash(run: Mapping[str, Any]) -> str:
    """SHA-256 of a run's settings, the digest of its inputs among them, and the schema.

    The order of the settings, the device, and the version of the code do not enter. Lists and tuples are one.
    """
    decides = {key: entry for key, entry in run.items() if key not in DECIDES_NOTHING}
    tree, _ = pack({"run": _plain(decides, "run"), "schema": SCHEMA})
    return sha256(canonical(tree).encode())


def digest_of(pieces: Iterable[Tensor]) -> str:
    """SHA-256 of the contents of inputs that come in pieces; the way they are cut enters."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(sha256_of({"piece": piece}).encode())
    return total.hexdigest()


def record_name(run: Mapping[str, Any]) -> str:
    """Folder name of a run: its `arm` in safe letters, its `seed` if it has one, twelve digits of its hash."""
    arm = re.sub(r"[^A-Za-z0-9_+.-]+", "-", str(run.get("arm", "run"))).strip("-.")[:60] or "run"
    seed = f"-s{int(run['seed'])}" if run.get("seed") is not None else ""
    return f"{arm}{seed}-{run_hash(run)[:12]}"


def versions() -> dict[str, str]:
    """Of everything that numbers may depend on beside the settings."""
    return {
        "eigenfall": version("eigenfall"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "subnormals": "zero" if zeroed() else "kept",
    }


def _plain(value: Any, place: str) -> Any:
    """Settings as a record keeps them: lists become tuples, paths become text; tensors and nouns are refused."""
    if isinstance(value, Mapping):
        return {key: _plain(entry, f"{place}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(entry, place) for entry in value)
    if isinstance(value, Path):
        return str(value)
    need(
        value is None or isinstance(value, bool | int | float | str),
        expected=f"a plain value for {place}",
        got=f"a {type(value).__name__}",
        remedy="A run is told in numbers, text, tuples and mappings of them; spell its parts.",
    )
    return value


# -------------------------------------------------------------------------------- records


def save(
    root: str | Path,
    run: Mapping[str, Any],
    measurement: Measurement,
    weights: Mapping[str, Tensor] | None = None,
    history: Sequence[Row] = (),
    parts: Iterable[Any] = (),
) -> Record:
    """Write a finished run into a folder of its own under `root`, and drop its checkpoint.

    Args:
        root: folder of records; made if it is not there.
        run: all that decides the numbers, plain values, the digest of the inputs among them; `arm` and `seed` name it.
        measurement: everything measured.
        weights: the model's state by name.
        history: one row per logged training step.
        parts: the parts used, for the bibliography.

    Returns:
        The record, read back from its folder.

    Raises:
        ValueError: if the record is there already, or cannot be written; then nothing is left of it.
    """
    root, digest, run = Path(root), run_hash(run), _plain(run, "run")
    path = root / record_name(run)
    need(
        not path.exists(),
        expected=f"no record at {path} yet",
        got="one",
        remedy="The same run was finished before: load it, or remove it to run again.",
    )
    tree, arrays = pack(
        {
            "run": run,
            "versions": versions(),
            "rows": measurement.rows,
            "measurement": dataclasses.replace(measurement, rows=()),
            "history": tuple(history),
            "bibliography": bibliography(citations(parts)),
        }
    )
    files = {"arrays.npz": npz(arrays)}
    if weights is not None:
        files["weights.safetensors"] = safetensors_of(weights)
    sizes = {name: len(data) for name, data in files.items()}
    head = {"eigenfall": version("eigenfall"), "schema": SCHEMA, "hash": digest, "sizes": sizes}
    files["record.json"] = (json.dumps({**head, **tree}, indent=1, allow_nan=False) + "\n").encode()
    files["SHA256SUMS"] = "".join(f"{sha256(data)}  {name}\n" for name, data in sorted(files.items())).encode()
    write_folder(path, _partial(root, digest) / f"record-{secrets.token_hex(4)}", files)
    drop_checkpoint(root, digest)
    return load(path)


def load(path: str | Path) -> Record:
    """A record from its folder. Weights are looked at for their length only; `weights` reads and checks them.

    Raises:
        ValueError: if the folder is not a record, a file in it was changed, cut short or lost, or a later eigenfall
            wrote it.
    """
    path = Path(path)
    content = read_told(path)
    sums = _sums(path)
    for name, size in content["sizes"].items():
        found = (path / name).stat().st_size if (path / name).is_file() else None
        _need_whole(found == size, path / name, "no such file" if found is None else "one of another length")
    stored = _checked(path / "arrays.npz", sums)
    try:
        with np.load(io.BytesIO(stored), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told = {key: unpack(content[key], arrays) for key in TOLD}
        measurement = dataclasses.replace(told["measurement"], rows=told["rows"])
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as reason:
        raise ValueError(
            f"Expected a record of values that eigenfall {version('eigenfall')} knows at {path}, got one of eigenfall "
            f"{content['eigenfall']} with others: {reason} Update eigenfall, or run again."
        ) from reason
    return Record(path, told["run"], told["versions"], measurement, told["history"], told["bibliography"])


def read_told(path: Path) -> dict[str, Any]:
    """What record.json says, as JSON; other files are not looked at.

    Raises:
        ValueError: if the folder is not a record, record.json was changed or cut short, or a later eigenfall wrote it.
    """
    need(
        path.is_dir(), expected=f"a record at {path}", got="no such folder", remedy="Give the folder of a finished run."
    )
    need(
        (path / "record.json").is_file(),
        expected=f"a record at {path}",
        got="a folder without record.json",
        remedy="Give the folder of a finished run.",
    )
    content = json.loads(_checked(path / "record.json", _sums(path)))
    need(
        content["schema"] <= SCHEMA,
        expected=f"a record of schema {SCHEMA} or older at {path}",
        got=f"schema {content['schema']}, written by eigenfall {content['eigenfall']}",
        remedy="Update eigenfall.",
    )
    return content


def load_all(root: str | Path) -> list[Record]:
    """Every finished record under a folder, by name; the folder may be a record itself.

    Raises:
        ValueError: if the folder is not there, or one of the records is not whole.
    """
    return [load(path) for path in folders(root)]


def folders(root: str | Path) -> list[Path]:
    """Where every finished record under a folder lies, by name; the folder may be a record itself.

    Raises:
        ValueError: if the folder is not there.
    """
    root = Path(root)
    need(
        root.is_dir(),
        expected=f"a folder of records at {root}",
        got="no such folder",
        remedy="Give the one runs were written to.",
    )
    if (root / "record.json").exists():
        return [root]
    return [path for path in sorted(root.iterdir()) if _looks_finished(path)]


def files(record: Record) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each file of a record, its sums last; what else lies in its folder is no part of it.

    Raises:
        ValueError: if a file was changed, cut short or lost, or has a name that leads out of the folder.
    """
    sums = _sums(record.path)
    for name in sums:
        need(
            re.fullmatch(r"\w[\w.-]*", name) is not None,
            expected=f"plain names of files in {record.path / 'SHA256SUMS'}",
            got=repr(name),
            remedy="It was changed: restore it, or remove the record and run again.",
        )
        yield name, _checked(record.path / name, sums)
    yield "SHA256SUMS", _bytes(record.path / "SHA256SUMS")


def weights(record: Record) -> dict[str, Tensor]:
    """The weights of a record's model by name, on the CPU."""
    path = record.path / "weights.safetensors"
    need(
        path.exists(),
        expected=f"weights in {record.path}",
        got="none",
        remedy="Only runs that train or learn keep them.",
    )
    return safetensors.torch.load(_checked(path, _sums(record.path)))


def finished(root: str | Path, digest: str) -> Path | None:
    """Folder of the finished run with this hash, if there is one."""
    found = sorted(path for path in Path(root).glob(f"*-{digest[:12]}") if is_finished(path))
    return found[0] if found else None


def is_finished(path: Path) -> bool:
    """Whether a folder is the record of a finished run, by its name and by what is in it; it is not read."""
    return is_named(path.name) and (path / "record.json").is_file()


def is_named(name: str) -> bool:
    """Whether a folder's name is that of a record."""
    return not name.startswith(".") and re.search(r"-[0-9a-f]{12}$", name) is not None


def _looks_finished(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and (is_named(path.name) or (path / "record.json").exists())


def _need_whole(held: bool, path: Path, got: str) -> None:
    need(
        held,
        expected=f"{path} as it was written",
        got=got,
        remedy="It was changed or cut short: restore it, or remove the record and run again.",
    )


def _sums(path: Path) -> dict[str, str]:
    """SHA-256 of each file of a record, by name."""
    lines = _bytes(path / "SHA256SUMS").decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _checked(path: Path, sums: Mapping[str, str]) -> bytes:
    """A file's bytes, refused unless they have the sum they were written with."""
    data = _bytes(path)
    _need_whole(sums.get(path.name) == sha256(data), path, "one with another SHA-256")
    return data


def _bytes(path: Path) -> bytes:
    _need_whole(path.is_file(), path, "no such file")
    try:
        return path.read_bytes()
    except OSError as reason:
        raise ValueError(f"Expected to read {path}, got: {reason.strerror}. Have its permissions changed.") from reason


# ---------------------------------------------------------------------------- checkpoints


def _partial(root: str | Path, digest: str) -> Path:
    return Path(root) / ".partial" / digest


def write_checkpoint(root: str | Path, digest: str, snapshot: Mapping[str, Any]) -> None:
    """Replace the checkpoint of the unfinished run with this hash; a kill leaves the old one or the new one.

    Args:
        root: folder of records.
        digest: the run's hash.
        snapshot: tensors, numbers and text by name.
    """
    write_file(_partial(root, digest) / "checkpoint.safetensors", seal(snapshot))


def read_checkpoint(root: str | Path, digest: str) -> dict[str, Any] | None:
    """The snapshot last written for this run, tensors on the CPU; `None` if there is none.

    Raises:
        ValueError: if the file was changed or cut short.
    """
    path = _partial(root, digest) / "checkpoint.safetensors"
    return opened(path) if path.is_file() else None


def drop_checkpoint(root: str | Path, digest: str) -> None:
    """Remove what an unfinished run left; nothing happens if there is nothing. A lock goes with whoever holds it."""
    folder = _partial(root, digest)
    with writing(folder):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def claimed(root: str | Path, digest: str) -> contextlib.AbstractContextManager[bool]:
    """Have the unfinished run with this hash to oneself, as long as the context lasts or its process lives.

    Returns:
        A context that gives whether it is had: not if another process, or another context, has it.
    """
    return locked(_partial(root, digest) / LOCK)


def write_weights(root: str | Path, digest: str, weights: Mapping[str, Tensor]) -> Path:
    """Keep the weights of a run that could not be finished; where they lie."""
    path = _partial(root, digest) / "last-good.safetensors"
    write_file(path, safetensors_of(weights))
    return path


def tidy(root: str | Path) -> None:
    """Remove the checkpoints of finished runs, which a kill right after their last step leaves; then an empty folder.

    What another process has is let be, and so is a folder that may not be written.
    """
    folder = Path(root) / ".partial"
    with contextlib.suppress(OSError, ValueError):
        for path in [*folder.iterdir()]:
            if finished(root, path.name) is not None:
                with claimed(root, path.name) as held:
                    if held:
                        drop_checkpoint(root, path.name)
        folder.rmdir()


# ----------------------------------------------------------------------- numbers for machines


def write_rows(path: str | Path, rows: Iterable[Row], command: Sequence[str]) -> None:
    """Write tidy rows as strict JSON into a file, or to standard output if the path is "-".

    NaN is left out; an infinite number is the text "inf" or "-inf", since JSON has none.
    """
    content = {
        "eigenfall": version("eigenfall"),
        "schema": SCHEMA,
        "command": list(command),
        "rows": [{key: _strict(entry) for key, entry in row.items() if not _is_nan(entry)} for row in rows],
    }
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        write_file(Path(path), text.encode())


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def _strict(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and math.isinf(value) else value
