"""`eigenfall report`: one self-contained page."""

import webbrowser
from pathlib import Path
from typing import Annotated

import tyro

from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.summary import command_line, gathered, summarised
from eigenfall.report.page import write


def report(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    output: Path | None = None,
    title: str = "Spectrum, smoothness and robustness",
    interactive: bool = False,
    open: bool = False,
    json: str = "",
) -> None:
    """Write one self-contained HTML page from finished runs; it opens offline.

    Args:
        folders: records, or folders of records.
        output: the page; by default report.html in the first folder.
        title: what stands above the page.
        interactive: put every run on axes that the reader chooses; needs plotly, and the page is 5 MB larger.
        open: show it in the browser.
        json: write the records' numbers as tidy rows to this file, `-` for standard output.
    """
    found = gathered(folders)
    need(bool(found), expected=f"a finished run in {folders[0]}", got="none", remedy="Run `eigenfall train` first.")
    path = write(found, output or folders[0] / "report.html", title, command_line(), interactive)
    screen.printing(json).print(f"Report: {path.resolve()}", markup=False, soft_wrap=True)
    screen.emit([*(row for record in found for row in record.measurement.rows), *summarised(found)], json)
    if open:
        webbrowser.open(path.resolve().as_uri())
