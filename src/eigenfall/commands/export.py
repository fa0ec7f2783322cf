"""`eigenfall export`: the numbers of finished runs as a table, or the records as an archive."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.exporting import archiving, reading, write_table


def export(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    output: Path | None = None,
    format: Literal["csv", "parquet"] | None = None,
    archive: Path | None = None,
    json: str = "",
) -> None:
    """Write every number of finished runs into one table, a line for each; or put the records into an archive.

    Args:
        folders: records, or folders of records.
        output: the table; one that is there is replaced.
        format: csv or parquet; none: as the table's name ends. Parquet needs pip install 'eigenfall[export]'.
        archive: a new folder for an archive: the records as they are, their numbers as CSV, the bibliography, versions,
            a page that says what each file is, and the SHA-256 of everything.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    need(
        output is not None or archive is not None or bool(json),
        expected="a place for the numbers",
        got="none",
        remedy="Add --output numbers.csv, or --archive FOLDER.",
    )
    found = screen.watched(reading(folders))
    rows = [row for record in found for row in record.measurement.rows]
    console = screen.printing(json)
    if output is not None:
        write_table(output, rows, format)
        console.print(f"Table: {output.resolve()}, {len(rows)} numbers", markup=False, soft_wrap=True)
    if archive is not None:
        place = screen.watched(archiving(found, archive))
        console.print(f"Archive: {place}, {len(found)} records", markup=False, soft_wrap=True)
    screen.emit(rows, json)
