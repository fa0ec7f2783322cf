"""The loophole through training: what the penalty sees along its basis, and what there is. A column for each basis.

above   R in the loss, and R of the spectrum; their difference is s_R
below   α along the basis, and α of the spectrum; the target is 1
"""

from collections.abc import Mapping
from typing import Any

from eigenfall.check import need
from eigenfall.figures.style import REFERENCE, plain, series
from eigenfall.papers.found import Found
from eigenfall.papers.nassar2020.loophole import there, through_training
from eigenfall.types import Record, Row

ABOVE, BELOW = ("R along the basis", "R of the spectrum"), ("α along the basis", "α of the spectrum")
FLOOR = 3e-3
"""Of the axis of R: smaller ones are drawn on it."""


def draw(found: Found) -> Any:
    """A matplotlib figure of the first seed of each arm that has records.

    Raises:
        ValueError: if none has.
    """
    arms = there(found)
    need(len(arms) >= 1, expected="a run of the loophole's arms", got="none", remedy="Reproduce them first.")
    return drawn({arm: found.records[arm][found.seeds(arm)[0]] for arm in arms})


def drawn(records: Mapping[str, Record]) -> Any:
    """A matplotlib figure with a column for each record."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(1.2 + 2.3 * len(records), 6.2), layout="constrained")
    panels = figure.subplots(2, len(records), sharex="col", sharey="row", squeeze=False)
    layers: dict[str, None] = {}
    for (above, below), (arm, record) in zip(panels.T, records.items()):
        points = through_training(record)
        layers |= dict.fromkeys(point["layer"] for point in points)
        _lines(above, points, ABOVE)
        _lines(below, points, BELOW)
        below.axhline(1, color=REFERENCE, linewidth=1, zorder=0, gid="reference")
        name = arm.removeprefix("deep ").removeprefix("spectral, ")
        above.set_title(f"{plain(name)}\nseed {record.run['seed']}", fontsize=10)
        below.set_xlabel("updates")
    panels[0, 0].set(ylabel="R", yscale="log", ylim=(FLOOR, 1.5))
    panels[1, 0].set(ylabel="α", ylim=(0.5, None))
    keys = [
        Line2D([], [], color=_look(layer).colour, linewidth=3, marker=_look(layer).mark, markersize=7, label=layer)
        for layer in layers
    ]
    keys += [
        Line2D([], [], color="black", alpha=0.45, linewidth=1, label="along the basis, one batch: what the loss sees"),
        Line2D([], [], color="black", linewidth=1.8, linestyle="--", label="of the spectrum, at refreshes"),
        Line2D([], [], color="black", linestyle="", marker="o", label="of the spectrum, exact, at the end"),
        Line2D([], [], color=REFERENCE, linewidth=1, label="target"),
    ]
    figure.legend(handles=keys, loc="outside lower left", ncols=max(2, len(records)), frameon=False, fontsize="small")
    return figure


def _lines(ax: Any, points: list[Row], quantities: tuple[str, str]) -> None:
    """One batch's as a thin line, the spectrum's as a dashed one that ends in a mark."""
    for layer in dict.fromkeys(point["layer"] for point in points):
        look = _look(layer)
        for quantity in quantities:
            held = [point for point in points if point["layer"] == layer and point["quantity"] == quantity]
            x, y = ([point[axis] for point in held] for axis in ("x", "y"))
            if quantity == quantities[0]:
                ax.plot(x, y, color=look.colour, linewidth=1, alpha=0.45, gid="series")
            else:
                ax.plot(x, y, color=look.colour, linewidth=1.8, linestyle="--", gid="series")
                ax.plot(
                    x[-1:], y[-1:], color=look.colour, linestyle="", marker=look.mark, markersize=5, zorder=4, gid="end"
                )


def _look(layer: str) -> Any:
    """Of a layer: by the number that its name ends in."""
    digits = layer.removeprefix("hidden")
    return series(int(digits) - 1 if digits.isdigit() else 0)
