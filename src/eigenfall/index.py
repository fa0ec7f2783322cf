"""Thousands of records listed in under a second: what a list needs of each is kept in one file beside them.

    .index    a line with the SHA-256 of the rest, then JSON: by folder, what its record.json was, and its entry

An entry holds as long as its record.json has the inode, length and time it had; others are read anew, and the file is
replaced. It is a cache: damaged, lost or not writable, it only costs time.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfall import records
from eigenfall.atomic import sha256, write_file
from eigenfall.check import need
from eigenfall.packing import SCALARS, unpack
from eigenfall.rows import with_context
from eigenfall.stages import Working, consumed
from eigenfall.types import Row, Stage

FORMAT = 1
SHOWN = (
    "alpha",
    "clean_accuracy",
    "jacobian_norm",
    "landscape_base_share",
    "lipschitz_bound",
    "mean_corruption_accuracy",
    "noise_accuracy",
    "participation_ratio",
    "robust_accuracy",
    "staleness",
)
"""Quantities that a list shows."""
ATTACKS = ("headline", "fgsm", "noise")
STATISTICS = ("mean",)
"""Of several, those that a list shows."""
LEFT_OUT = ("method", "run", "arm", "seed", "data")
"""What an entry's rows need not say: the first is long, the others are said by the run."""


@dataclass(frozen=True)
class Listed:
    """What a list says of a finished run; `eigenfall.load(path)` reads all of it.

    Attributes:
        path: the record's folder.
        run: the run's settings, as in the record.
        version: of eigenfall, that made it.
        rows: accuracies, exponents, mean norms, participation ratios and bounds, under the headline, FGSM and noise;
            without the spelling of their methods.
    """

    path: Path
    run: Mapping[str, Any]
    version: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Folder name: arm, seed and the run's hash."""
        return self.path.name


def listed(root: str | Path) -> tuple[Listed, ...]:
    """Every finished record under a folder, by name, without its arrays, history and further rows.

    A record's numbers are checked when it is first listed, and when its record.json has changed; `eigenfall.load`
    checks all of it.

    Raises:
        ValueError: if the folder is not there, or a record that is new is not whole.
    """
    return consumed(listing(root))


def listing(root: str | Path) -> Working[tuple[Listed, ...]]:
    """As `listed`; a stage for each record that must be read."""
    root = Path(root)
    need(
        root.is_dir(),
        expected=f"a folder of records at {root}",
        got="no such folder",
        remedy="Give the one runs were written to.",
    )
    known = _known(root / ".index")
    entries: dict[str, Any] = {}
    fresh = []
    for folder in sorted(os.scandir(root), key=lambda found: found.name):
        if (stamp := _stamp(folder.path)) is None:
            if records.is_named(folder.name) and folder.is_dir():
                fresh.append(folder.name)  # a record without record.json: refused when it is read
            continue
        if known.get(folder.name, {}).get("stamp") == stamp:
            entries[folder.name] = known[folder.name]
        elif not folder.name.startswith("."):
            fresh.append(folder.name)
    for place, name in enumerate(fresh):
        entries[name] = {"stamp": _stamp(root / name), **_entry(root / name)}
        yield Stage("listing records", place + 1, len(fresh))
    if fresh or len(known) != len(entries):
        with suppress(ValueError, OSError):  # a folder that is only read
            _write(root / ".index", entries)
    return tuple(_listed(root / name, entries[name]) for name in sorted(entries))


def _stamp(folder: str | Path) -> list[int] | None:
    """What tells a record.json from another; `None` if there is none."""
    try:
        found = os.stat(os.path.join(folder, "record.json"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _entry(path: Path) -> dict[str, Any]:
    """What a list needs of a record, as JSON."""
    content = records.read_told(path)
    rows = [
        {key: value for key, value in row.items() if key not in LEFT_OUT} for row in content["rows"] if _is_shown(row)
    ]
    plain = all(isinstance(value, SCALARS) for row in rows for value in row.values())
    return {"run": content["run"], "version": content["eigenfall"], "rows": rows, "plain": plain}


def _is_shown(row: Mapping[str, Any]) -> bool:
    return (
        row.get("quantity") in SHOWN
        and row.get("attack", ATTACKS[0]) in ATTACKS
        and row.get("statistic", STATISTICS[0]) in STATISTICS
    )


def _listed(path: Path, entry: Mapping[str, Any]) -> Listed:
    run = unpack(entry["run"], {})
    context = {"arm": run.get("arm"), "seed": run.get("seed"), "data": run.get("data", run.get("recording"))}
    told = {"run": path.name[-12:], **{key: value for key, value in context.items() if value is not None}}
    rows = entry["rows"] if entry["plain"] else unpack(entry["rows"], {})  # numbers that JSON lacks are few
    return Listed(path, run, entry["version"], with_context(rows, told))


def _known(path: Path) -> dict[str, Any]:
    """The entries that were kept, by folder; none if the file is not there, or not as it was written."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if sha256(text) != digest.decode():
            return {}
        content = json.loads(text)
        return content["records"] if content["format"] == FORMAT else {}
    except (OSError, ValueError):
        return {}


def _write(path: Path, entries: Mapping[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, "records": entries}, separators=(",", ":"), allow_nan=False).encode()
    write_file(path, sha256(text).encode() + b"\n" + text)
