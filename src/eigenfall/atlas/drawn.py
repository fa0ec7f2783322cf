"""Runs as points, methods as large marks; correlations as marks with intervals.

Colour is the family's and the mark the method's within it, filled by architecture: whole, hollow, half. A run one of
whose checks FAILs is a cross.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eigenfall.associations import Association
from eigenfall.figures.style import INK, REFERENCE, log_ticks, plain, series
from eigenfall.papers.drawn import canvas
from eigenfall.types import Atlas, AtlasPoint, Estimate

FILLS = ("full", "none", "left")
"""Of marks, by the architecture's place."""
PALE, SMALL, LARGE = 0.4, 3.5, 8.5
FAILED = "x"
ACROSS = 3
"""Panels of correlations beside each other: the outcomes of one architecture."""


def scattered(
    atlas: Atlas, outcome: str, across: Sequence[str], at: Mapping[str, float], title: str, note: str = ""
) -> Any:
    """An outcome against several numbers, a panel each.

    Args:
        atlas: every run.
        outcome: name of the axis that is up in all panels.
        across: names of the other axes, in the order of reading.
        at: where on an axis a dotted line stands, by its name.
        title: what was found.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no run.
    """
    names = canvas.need_models((point.method for point in atlas.points), "run")
    down = -(-len(across) // 2)
    with canvas.house():
        figure = canvas.empty(3.0 + 3.8 * down, title)
        panels = list(figure.subplots(down, 2, squeeze=False, sharey=True).flat)
        for place, (ax, name) in enumerate(zip(panels, across)):
            _panel(ax, atlas, name, outcome, at.get(name, math.nan))
            if place % 2 == 0:
                ax.set_ylabel(atlas.axes[outcome].label)
        for ax in panels[len(across) :]:
            ax.remove()
        orders = {point.method: point.order for point in atlas.points}
        keys = [canvas.key(series(orders[name]), name) for name in names]
        for key in keys:
            key.set_linestyle("")
        caption = (
            "A colour for each family of methods. Small: a run each. Large: mean of a method’s runs, bars: 95 % "
            "intervals over seeds."
        )
        if len(atlas.architectures) > 1:
            fills = {"full": "filled", "none": "hollow", "left": "half filled"}
            caption += f" {_listed([f'{fills[fill]}: {one}' for fill, one in _fills(atlas).items()])}."
        if any(point.failed for point in atlas.points):
            caption += " Cross: a check FAILs, so that the number is no measure of robustness."
        return canvas.finish(figure, keys, f"{caption} {note}".strip(), "", 4)


def correlated(found: Mapping[str, Mapping[str, Association]], title: str) -> Any:
    """Rank correlations with several outcomes, a panel each, three in a row: with the others held, and alone.

    Args:
        found: associations by name, by outcome in words.
        title: what was found.

    Returns:
        The figure.

    Raises:
        ValueError: if there is none.
    """
    canvas.need_models((name for by in found.values() for name in by), "correlation")
    with canvas.house():
        down = -(-len(found) // ACROSS)
        figure = canvas.empty(1.6 + down * (1 + 0.42 * max(len(by) for by in found.values())), title)
        panels = list(figure.subplots(down, min(ACROSS, len(found)), squeeze=False, sharex=True, sharey=True).flat)
        for place, (ax, (outcome, by)) in enumerate(zip(panels, found.items())):
            _correlations(ax, by)
            ax.set_title(plain(outcome, 60))
            if place + ACROSS >= len(found):
                ax.set_xlabel("rank correlation")
        for ax in panels[len(found) :]:
            ax.remove()
        key = canvas.key(series(0), "the others held")
        key.set_linestyle("")
        alone = canvas.hollow()
        alone.set_label("alone")
        caption = "Bars: 95 % intervals, jackknife over methods. |α − 1| is held beside the others in the place of α."
        return canvas.finish(figure, [key, alone], caption, "", 2)


def _panel(ax: Any, atlas: Atlas, across: str, outcome: str, at: float) -> None:
    if atlas.axes[across].log:
        ax.set_xscale("log")
    for fill, architecture in _fills(atlas).items():
        for method in atlas.methods(architecture):
            points = atlas.of(method, architecture)
            for point in points:
                _run(ax, point, across, outcome, fill)
            x, y = (atlas.mean(method, architecture, name) for name in (across, outcome))
            _mean(ax, x, y, points[0].order, fill)
    if not math.isnan(at):
        ax.axvline(at, color=REFERENCE, linewidth=1, linestyle=":", gid="at", zorder=0)
    ax.set_xlabel(atlas.axes[across].label)
    ax.margins(0.06)
    if atlas.axes[across].log:
        log_ticks(ax)


def _run(ax: Any, point: AtlasPoint, across: str, outcome: str, fill: str) -> None:
    x, y = point.value(across), point.value(outcome)
    if not (math.isfinite(x) and math.isfinite(y)):
        return
    look = series(point.order)
    mark = FAILED if point.failed else look.mark
    ax.plot(x, y, marker=mark, markersize=SMALL, color=look.colour, fillstyle=fill, alpha=PALE, linestyle="",
            gid="run", zorder=2)  # fmt: skip


def _mean(ax: Any, x: Estimate, y: Estimate, order: int, fill: str) -> None:
    """A large mark above its intervals; where an axis is logarithmic and an interval reaches 0, it ends at the mark."""
    if not (math.isfinite(x.value) and math.isfinite(y.value)):
        return
    look, log = series(order), ax.get_xscale() == "log"
    if math.isfinite(x.low):
        low = x.value if log and x.low <= 0 else x.low
        ax.plot([low, x.high], [y.value] * 2, color=look.colour, linewidth=1.2, alpha=PALE, gid="interval", zorder=3)
    if math.isfinite(y.low):
        ax.plot([x.value] * 2, [y.low, y.high], color=look.colour, linewidth=1.2, alpha=PALE, gid="interval", zorder=3)
    ax.plot(x.value, y.value, marker=look.mark, markersize=LARGE, color=look.colour, fillstyle=fill,
            markeredgecolor="white" if fill == "full" else look.colour, markerfacecoloralt="white", linestyle="",
            gid="series", zorder=4)  # fmt: skip


def _correlations(ax: Any, by: Mapping[str, Association]) -> None:
    ax.axvline(0, color=REFERENCE, linewidth=1, linestyle=":", gid="at", zorder=0)
    for place, one in enumerate(by.values()):
        colour = series(0).colour
        ax.plot([one.partial.low, one.partial.high], [place] * 2, color=colour, linewidth=1.8, gid="interval")
        ax.plot(one.raw.value, place, marker="o", markersize=7, markerfacecolor="white", markeredgecolor=INK,
                markeredgewidth=1.4, linestyle="", gid="alone", zorder=4)  # fmt: skip
        ax.plot(one.partial.value, place, marker="o", markersize=7, color=colour, linestyle="", gid="series", zorder=5)
    ax.set_xlim(-1.05, 1.05)
    ax.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−.5", "0", ".5", "1"])
    ax.set_yticks(range(len(by)), [plain(name) for name in by])
    ax.set_ylim(len(by) - 0.5, -0.5)


def _fills(atlas: Atlas) -> dict[str, str]:
    """Architecture by the fill of its marks."""
    return dict(zip(FILLS, atlas.architectures))


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
