"""Records for others: their rows as a table, CSV or Parquet; and a folder for an archive, with sums of everything.

    archive/
      README.md            what each file is, in plain words
      rows.csv             every number of every record
      references.bib       the papers whose parts were used
      versions.json        of the software behind each record
      records/<name>/      the records as they are
      SHA256SUMS           of every other file, as `sha256sum -c` reads it

A number is written so that it is read back to the last bit. What does not apply is empty in CSV, null in Parquet; a
number that is none is nan, which is something else.
"""

import io
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from csv import writer
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eigenfall import records
from eigenfall.atomic import making_folder, sha256, write_file
from eigenfall.check import need
from eigenfall.extras import imported
from eigenfall.stages import Working
from eigenfall.types import Record, Row, Stage

Format = Literal["csv", "parquet"]
COLUMNS = ("run", "arm", "seed", "data", "quantity", "value", "low", "high", "level", "over")
"""These stand first, where there are any."""


def reading(roots: Iterable[Path]) -> Working[list[Record]]:
    """Every record in these folders, each once; yields a `Stage` before each.

    Raises:
        ValueError: if there is none, or one is not whole.
    """
    roots = list(roots)
    paths = list(dict.fromkeys(path.resolve() for root in roots for path in records.folders(root)))
    need(
        bool(paths),
        expected=f"a finished run in {', '.join(map(str, roots)) or 'the folders given'}",
        got="none",
        remedy="Run `eigenfall train` first.",
    )
    found = []
    for number, path in enumerate(paths):
        yield Stage("reading records", number, len(paths))
        found.append(records.load(path))
    return found


# ------------------------------------------------------------------------------------- tables


def columns(rows: Iterable[Row]) -> tuple[str, ...]:
    """Every name that any row has: what a number belongs to and its interval first, then in order of appearance."""
    there = dict.fromkeys(name for entry in rows for name in entry)
    return (*(name for name in COLUMNS if name in there), *(name for name in there if name not in COLUMNS))


def csv_of(rows: Sequence[Row]) -> bytes:
    """Rows as CSV (RFC 4180, UTF-8): a header, then a line for each number."""
    names, text = columns(rows), io.StringIO(newline="")
    table = writer(text)
    table.writerow(names)
    for entry in rows:
        table.writerow(_text(entry.get(name)) for name in names)
    return text.getvalue().encode()


def parquet_of(rows: Sequence[Row]) -> bytes:
    """Rows as Parquet: a column of whole numbers, numbers, truth values or text for each name.

    A column in which text and numbers meet is text.

    Raises:
        ValueError: without the package pyarrow.
    """
    arrow = imported("pyarrow", "export", "Parquet")
    parquet = imported("pyarrow.parquet", "export", "Parquet")
    kinds = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    names = columns(rows)
    made = []
    for name in names:
        values = [_plain(entry.get(name)) for entry in rows]
        kind = _kind(values)
        if kind is str:
            values = [None if value is None else _text(value) for value in values]
        made.append(arrow.array(values, type=kinds[kind]))
    about = {"eigenfall": version("eigenfall"), "schema": str(records.SCHEMA)}
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(made, names=list(names)).replace_schema_metadata(about), buffer)
    return buffer.getvalue()


def write_table(path: Path, rows: Sequence[Row], form: Format | None = None) -> None:
    """Write rows into one file, whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        rows: of any number of records.
        form: "csv" or "parquet"; `None`: as the file's name ends.

    Raises:
        ValueError: if the format is not said, cannot be written here, or the file cannot.
    """
    ending = path.suffix.lower()
    need(
        form is not None or ending in (".csv", ".parquet"),
        expected="a file that ends in .csv or .parquet",
        got=str(path),
        remedy="Name it so, or say the format.",
    )
    write_file(path, parquet_of(rows) if (form or ending[1:]) == "parquet" else csv_of(rows))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    """A value as text from which it is read back: numbers in the shortest way that keeps the last bit."""
    value = _plain(value)
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else repr(value)


def _kind(values: Sequence[Any]) -> type:
    """The one type that holds every value of a column as it is."""
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if any(isinstance(value, int) and abs(value) >= 2**63 for value in there):
        return str
    if kinds == {int, float} and all(float(value) == value for value in there if isinstance(value, int)):
        return float
    return kinds.pop() if len(kinds) == 1 and kinds <= {bool, int, float} else str


# ------------------------------------------------------------------------------------- archives


def archiving(found: Sequence[Record], folder: Path) -> Working[Path]:
    """Put records into a new folder for an archive; yields a `Stage` before each record.

    Args:
        found: the records; each is copied as it is, after its sums were compared.
        folder: the archive; there is none yet, and nothing is written beside it.

    Returns:
        The folder.

    Raises:
        ValueError: if there is something at that place, a record is damaged, two of them share a name but not their
            contents, or the folder cannot be written; then nothing is left of it.
    """
    need(
        not (folder.exists() or folder.is_symlink()),
        expected=f"nothing at {folder} yet",
        got="a folder" if folder.is_dir() else "a link" if folder.is_symlink() else "a file",
        remedy="Choose another name: an archive is never written over.",
    )
    folder = folder.parent.resolve() / folder.name
    names = _names(found)
    rows = [entry for record in found for entry in record.measurement.rows]
    sums: dict[str, str] = {}
    with making_folder(folder, folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")) as put:

        def keep(name: str, data: bytes) -> None:
            put(name, data)
            sums[name] = sha256(data)

        for number, record in enumerate(found):
            yield Stage("copying records", number, len(found))
            for name, data in records.files(record):
                keep(f"records/{names[number]}/{name}", data)
        keep("rows.csv", csv_of(rows))
        keep("references.bib", _bibliography(found).encode())
        versions = {name: dict(record.versions) for name, record in zip(names, found)}
        keep("versions.json", (json.dumps(versions, indent=1) + "\n").encode())
        keep("README.md", _readme(found, names, len(rows)).encode())
        put("SHA256SUMS", "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    return folder


def _names(found: Sequence[Record]) -> list[str]:
    """What each record's folder is called in an archive: its own name, odd letters replaced."""
    names = [re.sub(r"[^A-Za-z0-9_+.-]+", "-", record.path.resolve().name).strip("-.") or "record" for record in found]
    for number, name in enumerate(names):
        first = names.index(name)
        need(
            first == number,
            expected="records of different names",
            got=f"{found[first].path} and {found[number].path}",
            remedy="Archive them apart.",
        )
    return names


def _bibliography(found: Sequence[Record]) -> str:
    """The BibTeX entries of all records, each once."""
    whole = "\n\n".join(record.bibliography for record in found)
    entries: dict[str, str] = {}
    for entry in re.finditer(r"^@\w+\{([^,\s]+),\n.*?^\}$", whole, re.MULTILINE | re.DOTALL):
        entries.setdefault(entry[1], entry[0])
    return "".join(f"{entry}\n\n" for entry in entries.values())


def _line(text: Any) -> str:
    """Text as it is, on one line, marked so that Markdown reads nothing in it."""
    return f"`{' '.join(str(text).replace('`', '').split())}`"


def _listed(record: Record, name: str) -> str:
    """One record as a line of a list."""
    run = record.run
    seed = f", seed {run['seed']}" if "seed" in run else ""
    subject = _line(run.get("data", run.get("recording", "data that it does not name")))
    return f"- `records/{name}`: {_line(run.get('verb', 'run'))} of {_line(run.get('arm', name))}{seed}, on {subject}\n"


def _readme(found: Sequence[Record], names: Sequence[str], count: int) -> str:
    """What lies in an archive, in plain words."""
    listed = "".join(map(_listed, found, names))
    many = "record" if len(found) == 1 else "records"
    return f"""\
# An archive of {len(found)} {many}

Written by eigenfall {version("eigenfall")}, a program that measures the spectrum, the smoothness and the robustness of
neural networks and recordings. Each record is one finished measurement.

- `rows.csv`: {count} numbers, one on each line. `quantity` says what was measured, `value` is the number, `low` to
  `high` its interval at `level`, `over` what the interval is over; the other columns say what the number depends on. An
  empty cell does not apply. Numbers have all their digits.
- `references.bib`: the papers to cite, in BibTeX, since methods of theirs were used.
- `versions.json`: of the software, and the machine, behind each record.
- `records/`: the records themselves, one folder each:
  - `record.json`: settings, versions, numbers, history and bibliography, as text.
  - `arrays.npz`: spectra, and right or wrong for each image, as NumPy arrays.
  - `weights.safetensors`: the model's weights, if there is a model.
  - `SHA256SUMS`: of these files.
- `SHA256SUMS`: of every file but itself.

To see that nothing was changed: `sha256sum -c SHA256SUMS`, in this folder. To see that the numbers hold:
`eigenfall verify records`. No file runs anything when it is opened.

## Records

{listed}"""
