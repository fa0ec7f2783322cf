"""What every reproduction shows and writes alike: its claims, its pictures, its sizes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from eigenfall import parts
from eigenfall.commands import screen
from eigenfall.commands.summary import command_line
from eigenfall.commands.train import workers_for
from eigenfall.records import load
from eigenfall.report import explore, page
from eigenfall.report.reproduction import Shown
from eigenfall.report.tables import Cell, Row, Table
from eigenfall.rows import row
from eigenfall.runs import device_for
from eigenfall.settings import Run
from eigenfall.sweep import execute_all
from eigenfall.types import Judged, Record
from eigenfall.types import Row as Number

SLOW = "the paper's scale is meant for a GPU, and takes long without one; --scale small takes hours."
"""What is said of the paper's scale where there is no GPU."""


def show_claims(title: str, claims: Sequence[Judged], console: Console) -> None:
    """Print what the paper says and both answers, a line for each claim."""
    screen.table(
        f"{title}: paper says, we got, verdict",
        ("claim", "paper says", "as published", "corrected"),
        [
            (
                one.claim.key,
                one.claim.says,
                f"{one.published.verdict}: {one.published.told}",
                f"{one.corrected.verdict}: {one.corrected.told}",
            )
            for one in claims
        ],
        console,
        numbers=False,
        words=4,
    )


def claim_rows(claims: Sequence[Judged], scale: str) -> list[Number]:
    """Each answer of each claim as a tidy row."""
    told: list[Number] = []
    for one in claims:
        for semantics in ("published", "corrected"):
            answer = getattr(one, semantics)
            about = {"claim": one.claim.key, "where": one.claim.where, "says": one.claim.says, "semantics": semantics}
            about |= {"verdict": answer.verdict, "told": answer.told, "seeds": answer.seeds, "scale": scale}
            told.append(row("claim", answer.number or float("nan"), **about))
    return told


def pictures(drawn: Sequence[Path], heading: Callable[[Path], str]) -> list[Shown]:
    """Figures that were drawn, as a page embeds them."""
    return [Shown(heading(path), path.read_bytes(), heading(path)) for path in drawn if path.suffix == ".svg"]


def executed(
    asked: list[Run], output: Path, workers: int, device: str, scale: str, slow: str
) -> tuple[list[Record], list[str]]:
    """Run what is asked for under progress: its records, and what failed, in words.

    Args:
        asked: what to run.
        output: folder of the records.
        workers: as the prompt has it.
        device: of the scale.
        scale: the paper's is warned of where there is no GPU.
        slow: how long the paper's scale takes there.
    """
    if scale == "paper" and device_for(device).type == "cpu":
        screen.messages().print(f"WARN: {slow}", markup=False)
    finished, failed = screen.followed(execute_all(asked, output, workers_for(workers, device)), len(asked))
    return [load(folder) for folder in finished], screen.failures(failed, len(asked)) if failed else []


def need_plotly(interactive: bool) -> None:
    """Raise before anything runs if the page of all runs is to be interactive and cannot be."""
    if interactive:
        explore.scripts()


def every_run(records: Sequence[Record], output: Path, title: str, interactive: bool) -> None:
    """Write the page of all runs, runs.html; interactive if that is asked for and two numbers of two runs differ."""
    chosen = interactive and explore.explored(records) is not None
    page.write(records, output / "runs.html", f"{title}: every run", command_line(), chosen)


def sizes(by: Mapping[str, Any]) -> Table:
    """Sizes and schedules as a table.

    Args:
        by: a dataclass of settings, of one class all, by the heading of its column.
    """
    lines = [
        Row(each.name.replace("_", " "), tuple(Cell(_setting(getattr(size, each.name))) for size in by.values()))
        for each in fields(next(iter(by.values())))
    ]
    return Table("Sizes and schedules.", tuple((name, "") for name in by), tuple(lines), corner="setting")


def _setting(value: object) -> str:
    try:
        return parts.spell(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        return str(value)
