"""The page of the atlas: the verdict, the table of methods, figures, what goes with what, doubts, settings."""

import math
from collections.abc import Sequence

from eigenfall.report.reproduction import Doubt, Shown
from eigenfall.report.tables import Cell, Row, Table, column
from eigenfall.report.templates import filled
from eigenfall.types import Atlas, AtlasPoint


def methods(atlas: Atlas, architecture: str, caption: str) -> Table:
    """A row for each method, a column for each number; a FAIL where a failed check takes it away.

    Args:
        atlas: every run.
        architecture: whose methods.
        caption: above it.
    """
    by = {method: atlas.of(method, architecture) for method in atlas.methods(architecture)}
    headings: list[tuple[str, str]] = []
    columns: list[list[Cell]] = []
    for name, axis in atlas.axes.items():
        means = [atlas.mean(method, architecture, name) for method in by]
        if all(math.isnan(mean.value) for mean in means):
            continue
        cells = column(
            [None if math.isnan(mean.value) else mean for mean in means],
            axis.better,
            [_there(points, name) for points in by.values()],
        )
        if axis.judged:
            cells = [_blocked(points, cell) for points, cell in zip(by.values(), cells)]
        headings.append((axis.heading, axis.unit))
        columns.append(cells)
    rows = tuple(
        Row(method, tuple(cells[place] for cells in columns), _about(points), points[0].order)
        for place, (method, points) in enumerate(by.items())
    )
    return Table(caption, tuple(headings), rows, corner="method")


def _there(points: Sequence[AtlasPoint], name: str) -> str:
    """In how many runs there is a number, if not in all."""
    there = sum(math.isfinite(point.value(name)) for point in points)
    return f"{there} of {len(points)} runs" if there < len(points) else ""


def _blocked(points: Sequence[AtlasPoint], cell: Cell) -> Cell:
    letters = sorted({letter for point in points for letter in point.failed})
    return Cell(box="FAIL", note=f"check {', '.join(letters)}") if letters else cell


def _about(points: Sequence[AtlasPoint]) -> str:
    seeds = ", ".join(str(point.seed) for point in points)
    return f"{points[0].family}; {'seeds' if len(points) > 1 else 'seed'} {seeds}"


def html(
    title: str,
    question: str,
    answer: str,
    findings: Sequence[str],
    tables: Sequence[Table],
    correlations: Table | None,
    pictures: Sequence[Shown],
    doubts: Sequence[Doubt],
    settings: Table,
    command: str,
    beside: str = "",
) -> str:
    """The page as text.

    Args:
        title: heading of the page.
        question: what was asked.
        answer: the verdict in a few sentences, made from the numbers.
        findings: what goes with each outcome, a sentence each.
        tables: of methods, one for each architecture.
        correlations: of each outcome with each number; `None` if there are none.
        pictures: figures.
        doubts: what could be wrong.
        settings: sizes and schedules.
        command: what was typed.
        beside: name of the page of all runs, in the same folder.
    """
    return filled(
        "atlas.html",
        title=title,
        question=question,
        answer=answer,
        findings=findings,
        tables=tables,
        correlations=correlations,
        pictures=pictures,
        doubts=doubts,
        settings=settings,
        command=command,
        beside=beside,
    )
