"""What all figures share: colours, marks and line styles by order, axes, legends, and means over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eigenfall.check import need
from eigenfall.statistics import t_interval
from eigenfall.types import Estimate

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito 2008, without black (text) and yellow (unreadable on white), by contrast on white."""
MARKS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
INK = "#1b1e23"
REFERENCE = "#767c85"


@dataclass(frozen=True)
class Series:
    """How one thing looks in every figure: colour, mark, line style, and its place in the order."""

    colour: str
    mark: str
    line: Any
    order: int


def series(order: int) -> Series:
    """Look of the thing at a place in the order; colour and mark together repeat after 36."""
    turn = order // len(PALETTE)
    return Series(
        PALETTE[order % len(PALETTE)], MARKS[(order + turn) % len(MARKS)], LINES[(order + turn) % len(LINES)], order
    )


def plain(text: str, longest: int = 48) -> str:
    """Text as matplotlib shows it unread: no formula, never hidden from the legend, at most so long."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    shown = "".join(letter if letter.isprintable() else "�" for letter in short).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def axes(ax: Any) -> Any:
    """The axes given, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(6, 4.6), layout="constrained")[1]


def free(ax: Any) -> int:
    """How many series are drawn on these axes already."""
    return sum(artist.get_gid() == "series" for artist in ax.get_children())


def log_ticks(ax: Any, upright: bool = False) -> None:
    """Plain numbers at 1, 2 and 5 of each decade; at 1 over many decades; wherever they fall well inside half a one."""
    from matplotlib import ticker

    axis, (low, high) = (ax.yaxis, ax.get_ylim()) if upright else (ax.xaxis, ax.get_xlim())
    narrow = high / low < 4
    subs = (1, 2, 5) if high / low < 1e3 else (1,)
    axis.set_major_locator(ticker.MaxNLocator(6) if narrow else ticker.LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def legend(ax: Any) -> Any:
    """Put a legend that names every mark once, without a frame; references, which carry that gid, come last."""
    handles, labels = ax.get_legend_handles_labels()
    pairs = sorted(zip(labels, handles), key=lambda pair: pair[1].get_gid() == "reference")
    once = dict(pairs)
    if once:
        ax.legend(list(once.values()), list(once), frameon=False, fontsize="small")
    return ax


def across_seeds(estimates: Sequence[Estimate], low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Mean over seeds with Student's interval, held between bounds; one seed alone keeps its own interval.

    Estimates that are not finite are left out; the caller says how many there were.

    Raises:
        ValueError: if there is no estimate.
    """
    need(len(estimates) >= 1, expected="at least one estimate", got="none", remedy="Give a run per seed.")
    if len(estimates) == 1:
        return estimates[0]
    values = [estimate.value for estimate in estimates if math.isfinite(estimate.value)]
    if not values:
        return Estimate(math.nan)
    if len(values) == 1:
        return Estimate(values[0])
    mean, below, above = t_interval(values)
    return Estimate(mean, max(below, low), min(above, high), over="seeds")
