"""Figures of a reproduction by name: what each needs, the picture, its numbers, and the files they are kept in."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eigenfall.atomic import write_file
from eigenfall.check import need
from eigenfall.papers.drawn import canvas
from eigenfall.papers.found import Found
from eigenfall.types import Row

Semantics = Literal["published", "corrected"]
BOTH: tuple[Semantics, ...] = ("published", "corrected")
DOTS = 150
"""To the inch, of pictures."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        title: its name in the paper, or what it is.
        shows: what is to be seen, one sentence.
        arms: whose records it draws.
        draw: from what was found, and the semantics, to a matplotlib figure.
        semantics: those under which it differs, a picture each.
        needs: arms without which it is not drawn; empty: all of them. Others are named as missing.
        rows: every number that is drawn, as tidy rows; `None`: it is a picture alone.
    """

    title: str
    shows: str
    arms: tuple[str, ...]
    draw: Callable[[Any, Semantics], Any]
    semantics: tuple[Semantics, ...] = BOTH
    needs: tuple[str, ...] = ()
    rows: Callable[[Any, Semantics], Sequence[Row]] | None = None


Figures = Mapping[str, Figure]
"""By name, as on the command line."""


def heading(figures: Figures, path: Path) -> str:
    """What a file that `saved` wrote shows, in words."""
    name, semantics = path.stem, ""
    for ending in BOTH:
        if path.stem.endswith(f"-{ending}"):
            name, semantics = path.stem.removesuffix(f"-{ending}"), ending
    figure = _figure(figures, name)
    return f"{figure.title}{f', {semantics}' if semantics else ''}: {figure.shows}"


def missing(figures: Figures, name: str, found: Found) -> str:
    """Why a figure cannot be drawn, in words; empty if it can.

    Raises:
        ValueError: for an unknown figure.
    """
    figure = _figure(figures, name)
    needs = figure.needs or figure.arms
    without_records = [arm for arm in needs if not found.has(arm)]
    if without_records:
        return f"no run of {', '.join(without_records)}"
    return "" if not needs or found.seeds(*needs) else f"no seed that {', '.join(needs)} share"


def draw(figures: Figures, name: str, found: Found, semantics: Semantics = "published") -> Any:
    """One figure.

    Args:
        figures: those that there are.
        name: of one of them.
        found: what the runs came to.
        semantics: the published reading, or the corrected one; what has but one is drawn in that.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: for an unknown figure, or if an arm that it needs has no record.
    """
    why = missing(figures, name, found)
    need(not why, expected=f"records for {name}", got=why, remedy="Reproduce the arms that are missing first.")
    held = figures[name].semantics
    return figures[name].draw(found, held[0] if len(held) == 1 else semantics)


def saved(figures: Figures, found: Found, folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Draw figures and write each as SVG, as PNG and, if it has rows, as CSV; those with missing arms are left out.

    Args:
        figures: those that there are.
        found: what the runs came to.
        folder: made if it is not there.
        names: of the figures that are drawn; empty: all.

    Returns:
        The files: `fig1-published.svg`, `fig1-published.png`, …; a figure that no semantics changes has a bare name.
    """
    written = []
    for name in names or tuple(figures):
        if missing(figures, name, found):
            continue
        for semantics in figures[name].semantics or (None,):
            stem = f"{name}-{semantics}" if semantics else name
            picture = draw(figures, name, found, semantics or "published")
            files = {ending: content(picture, ending, stem) for ending in ("svg", "png")}
            rows = figures[name].rows
            if rows is not None:
                files["csv"] = table(rows(found, semantics or "published"))
            for ending, held in files.items():
                path = folder / f"{stem}.{ending}"
                write_file(path, held)
                written.append(path)
    return written


def content(figure: Any, ending: str, name: str) -> bytes:
    """A figure as a file's bytes; the same figure gives the same ones."""
    import matplotlib

    buffer = io.BytesIO()
    rules: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type")) if ending == "svg" else {"Software": None}
    with canvas.house(), matplotlib.rc_context(rules):
        figure.savefig(buffer, format=ending, dpi=DOTS, metadata=nothing)
    return buffer.getvalue()


def table(rows: Sequence[Row]) -> bytes:
    """Rows as the bytes of a CSV file: the columns are those of the first row, numbers in full."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _figure(figures: Figures, name: str) -> Figure:
    need(
        name in figures,
        expected=f"a figure among {', '.join(figures)}",
        got=repr(name),
        remedy="Name one of these.",
    )
    return figures[name]


# -------------------------------------------------------------------------------- what figures say of their arms


def there(found: Found, arms: Sequence[str]) -> list[str]:
    """Those arms that have records."""
    return [arm for arm in arms if found.has(arm)]


def first_seed(found: Found, arms: Sequence[str]) -> int:
    """The smallest seed that all arms have."""
    return found.seeds(*arms)[0]


def without(found: Found, arms: Sequence[str]) -> str:
    """Which arms have no records, as a sentence; empty if all have."""
    missing = [arm for arm in arms if not found.has(arm)]
    return f"No run of {'; '.join(missing)}." if missing else ""


def failing(found: Found, arms: Sequence[str]) -> str:
    """Which arms' checks FAIL, as a sentence; empty if none do."""
    failed = found.failed(*arms)
    return f"{failed}: what attacks find of it is no measure of robustness." if failed else ""
