"""What commands show: progress on standard error, tables on standard output, rows as JSON where asked."""

import sys
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from eigenfall import records
from eigenfall.runs import Event
from eigenfall.types import Row, Stage

Result = TypeVar("Result")
MANY = 20
"""Beyond so many runs, those that are kept from before get one line together."""


def messages() -> Console:
    """Where progress and remarks go: standard error."""
    return Console(stderr=True, highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def watched(stages: Generator[Stage, None, Result]) -> Result:
    """Draw a generator's stages as one progress bar; its return value."""
    console = messages()
    with _progress(console) as progress:
        bar = progress.add_task("starting", total=None)
        while True:
            try:
                stage = next(stages)
            except StopIteration as finished:
                return finished.value
            progress.update(bar, description=stage.what, completed=stage.done, total=stage.total or None)


def followed(events: Iterable[Event], runs: int) -> tuple[list[Path], list[Event]]:
    """Draw runs as they go, a line for each that ends, with the time that those left will take.

    Returns:
        Folders of the finished records, and the events of those that failed.
    """
    console = messages()
    finished: list[Path] = []
    failed: list[Event] = []
    kept, start = 0, time.monotonic()
    with _progress(console) as progress:
        whole = progress.add_task("runs", total=runs)
        bars: dict[str, TaskID] = {}
        for event in events:
            if event.said:
                console.print(event.said, markup=False, soft_wrap=True)
            if event.record is None and not event.error:
                if event.name not in bars:
                    bars[event.name] = progress.add_task(event.name, total=None)
                progress.update(
                    bars[event.name],
                    description=f"{event.name}: {event.stage}",
                    completed=event.done,
                    total=event.total or None,
                )
                continue
            if event.name in bars:
                progress.remove_task(bars.pop(event.name))
            kept += event.again
            if event.error:
                failed.append(event)
            elif event.record is not None:
                finished.append(event.record)
            over = len(finished) + len(failed)
            left = time_left(time.monotonic() - start, over - kept, len(bars), runs - over)
            progress.update(whole, completed=over, description=f"runs{left}")
            done = "failed" if event.error else "kept from before" if event.again else event.stage
            if (runs > 1 or not event.error) and not (event.again and runs > MANY):
                console.print(f"  {event.name}: {done} ({over} of {runs}{left})", markup=False, soft_wrap=True)
    if kept and runs > MANY:
        console.print(f"  {kept} of {runs} runs: kept from before", markup=False)
    return finished, failed


def time_left(elapsed: float, ended: int, under_way: int, left: int) -> str:
    """How long the runs that are left will take, as a reader is told it; empty if that cannot be known.

    Those under way count as half done.

    Args:
        elapsed: seconds since the first was begun.
        ended: how many have ended since.
        under_way: how many of those left have begun.
        left: how many have not ended.
    """
    if not ended or not left:
        return ""
    under_way = min(under_way, left)
    seconds = elapsed * (left - under_way / 2) / (ended + under_way / 2)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f", about {seconds / size:.0f} {unit} left"
    return f", about {max(1, round(seconds))} s left"


def failures(failed: Sequence[Event], runs: int) -> list[str]:
    """Why runs failed: a sentence for each reason, after the names of the runs that it is of."""
    by_reason: dict[str, list[str]] = {}
    for event in failed:
        by_reason.setdefault(event.error, []).append(event.name)
    told = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        told.append(f"{', '.join(names[:2])}{more}: {reason}" if runs > 1 else reason)
    return told


def emit(rows: Sequence[Row], json: str) -> None:
    """Write rows as JSON if a file, or `-`, was given."""
    if json:
        records.write_rows(json, rows, ["eigenfall", *sys.argv[1:]])


def printing(json: str) -> Console:
    """Where tables go: standard output, unless the JSON goes there."""
    return Console(highlight=False, stderr=json == "-")


def table(
    title: str,
    columns: Sequence[str],
    lines: Iterable[Sequence[str]],
    console: Console,
    numbers: bool = True,
    words: int = 1,
) -> None:
    """A plain table, numbers to the right, words to the left; wide ones fold inside their cells.

    Args:
        title: what stands above it.
        columns: headings.
        lines: cells of each line.
        console: where it is printed.
        numbers: whether there are columns of numbers.
        words: how many columns before them are words.
    """
    shown = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number >= words and numbers else "left", overflow="fold")
    for line in lines:
        shown.add_row(*line)
    console.print(shown)


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def with_interval(row: Row) -> str:
    """A row's value and interval."""
    if "low" not in row:
        return number(float(row["value"]))
    return f"{number(float(row['value']))} [{number(float(row['low']))}, {number(float(row['high']))}]"


def percent(row: Row) -> str:
    """A share with its interval, in percent."""
    text = f"{100 * float(row['value']):.1f} %"
    return f"{text} [{100 * float(row['low']):.1f}, {100 * float(row['high']):.1f}]" if "low" in row else text
