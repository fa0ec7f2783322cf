"""Arms as points: robust against clean accuracy, or against what may explain it; sweeps and stops are joined.

Every mark is a mean over seeds with 95 % intervals both ways; of a single seed the intervals are that record's own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eigenfall.figures.style import REFERENCE, Series, across_seeds, log_ticks, plain
from eigenfall.papers.drawn import canvas
from eigenfall.types import Estimate, Row

PALE = 0.45


@dataclass(frozen=True)
class Spot:
    """Where one arm lies.

    Attributes:
        arm: its name, network and all.
        seeds: that went into it.
        x: one for each seed.
        y: one for each seed.
        label: beside the mark; "" for none.
    """

    arm: str
    seeds: tuple[int, ...]
    x: tuple[Estimate, ...]
    y: tuple[Estimate, ...]
    label: str = ""


@dataclass(frozen=True)
class Plane:
    """Arms of one network in one pair of axes.

    Attributes:
        name: above the panel.
        spots: by the look that they have in common: one of an arm, several of a sweep in the order of its strength.
        x: label of the abscissa.
        y: label of the ordinate.
        log: whether the abscissa is logarithmic.
        joined: looks whose spots a line joins.
        at: abscissa of a dotted line; NaN: none.
        share: whether the abscissa is in per cent of images, as the ordinate always is.
    """

    name: str
    spots: Mapping[str, tuple[Spot, ...]]
    x: str
    y: str
    log: bool = False
    joined: tuple[str, ...] = ()
    at: float = math.nan
    share: bool = False


def rows(planes: Sequence[Plane]) -> list[Row]:
    """Every number that `scattered` draws, once: arm, seed, panel, x, y."""
    return [
        {"arm": spot.arm, "seed": seed, "panel": plane.name, "x": x.value, "y": y.value}
        for plane in planes
        for spot in {spot.arm: spot for spots in plane.spots.values() for spot in spots}.values()
        for seed, x, y in zip(spot.seeds, spot.x, spot.y)
    ]


def scattered(
    planes: Sequence[Plane], look: Mapping[str, Series], title: str, stamp: str, note: str, across: int = 2
) -> Any:
    """A panel for each plane.

    Args:
        planes: in the order of reading.
        look: of everything in them.
        title: what was found.
        stamp: written across the figure; "" for none.
        note: ends the caption.
        across: panels side by side.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    names = canvas.in_all(plane.spots for plane in planes)
    across = min(len(planes), across)
    down = -(-len(planes) // across)
    with canvas.house():
        figure = canvas.empty(2.4 + 3.9 * down, title)
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for ax, plane in zip(panels, planes):
            _plane(ax, plane, look)
        for ax in panels[len(planes) :]:
            ax.remove()
        counts = [len(spot.seeds) for plane in planes for spots in plane.spots.values() for spot in spots]
        keys = [canvas.key(look[name], name) for name in names]
        caption = canvas.seeds_told(counts, "Mark", "bars: 95 % intervals over seeds") + (
            "; bars: 95 % intervals of one seed over images or stimuli." if max(counts) == 1 else "."
        )
        caption += " Bars are cut where they leave the axes."
        return canvas.finish(figure, keys, f"{caption} {note}".strip(), stamp, 4)


def _plane(ax: Any, plane: Plane, look: Mapping[str, Series]) -> None:
    if plane.log:
        ax.set_xscale("log")
    own = {spots[0].arm for spots in plane.spots.values() if len(spots) == 1}
    every: tuple[list[Estimate], list[Estimate]] = ([], [])
    for name, spots in plane.spots.items():
        most = 100.0 if plane.share else math.inf
        across = [across_seeds(spot.x, 0.0, most) for spot in spots]
        up = [across_seeds(spot.y, 0.0, 100.0) for spot in spots]
        every[0].extend(across)
        every[1].extend(up)
        if name in plane.joined:
            ax.plot([each.value for each in across], [each.value for each in up], color=look[name].colour,
                    linestyle=look[name].line, linewidth=1.4, gid="path", zorder=2)  # fmt: skip
        for spot, x, y in zip(spots, across, up):
            if len(spots) == 1 or spot.arm not in own:  # an arm that has a look of its own is marked in that alone
                _cross(ax, x, y, look[name])
            if spot.label:
                ax.annotate(plain(spot.label, 20), (x.value, y.value), (7, -11), textcoords="offset points",
                            fontsize=8.5, color=look[name].colour, zorder=6)  # fmt: skip
    if not math.isnan(plane.at):
        ax.axvline(plane.at, color=REFERENCE, linewidth=1, linestyle=":", gid="at", zorder=0)
    ax.set_xlim(*_limits(every[0], plane.log, plane.share))
    ax.set_ylim(*_limits(every[1], False, True))
    if plane.log:
        log_ticks(ax)
    ax.set_title(plain(plane.name))
    ax.set_xlabel(plane.x)
    ax.set_ylabel(plane.y)


def _cross(ax: Any, x: Estimate, y: Estimate, look: Series) -> None:
    """A mark above its intervals, which are pale where many cross."""
    if not math.isnan(x.low):
        ax.plot([x.low, x.high], [y.value] * 2, color=look.colour, linewidth=1.2, alpha=PALE, gid="interval", zorder=3)
    if not math.isnan(y.low):
        ax.plot([x.value] * 2, [y.low, y.high], color=look.colour, linewidth=1.2, alpha=PALE, gid="interval", zorder=3)
    ax.plot(x.value, y.value, marker=look.mark, markersize=8, color=look.colour, linestyle="", gid="series", zorder=4)


def _limits(values: Sequence[Estimate], log: bool, share: bool) -> tuple[float, float]:
    """Ends of an axis: all marks, and beyond the outer ones half a middling interval, at most as far as they span."""
    scale = math.log if log else float
    marks = [scale(each.value) for each in values]
    ends = [
        (scale(each.low), scale(each.high)) for each in values if math.isfinite(each.low) and (each.low > 0 or not log)
    ]
    span = max(marks) - min(marks)
    half = sorted((high - low) / 2 for low, high in ends)
    needed = 1.15 * half[len(half) // 2] if half else 0.0
    edge = max(0.12 * span, min(needed, span)) or needed or 0.1 * abs(marks[0]) or 1.0
    low, high = min(marks) - edge, max(marks) + edge
    if share:
        low, high = max(low, -2.0), min(high, 102.0)
    return (math.exp(low), math.exp(high)) if log else (low, high)
