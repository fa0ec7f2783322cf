"""What figures of papers share: size, letters, a look per model, units on distance axes, captions and the stamp."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.figures.style import INK, Series, across_seeds, log_ticks, plain, series
from eigenfall.types import Estimate

WIDTH = 9.0
"""Inches: 900 pixels at 100 to the inch."""
STAMP = "#b3261e"
BAND = 0.16
_RULES: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Unit:
    """What a distance is counted in.

    Attributes:
        name: in words, plural.
        pixels: how many [0, 1] pixels one of them is on the average image; NaN: no second axis is drawn.
    """

    name: str = "L3 units"
    pixels: float = math.nan


def house() -> Any:
    """The settings that every figure is drawn under, as a context."""
    import matplotlib

    return matplotlib.rc_context(_RULES)


def empty(height: float, title: str) -> Any:
    """A figure without axes, 9 inches wide, under its title; no window opens."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    words = "\n".join(textwrap.wrap(plain(title, 400), 88))
    figure.suptitle(words, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def need_models(models: Iterable[str], what: str = "model") -> tuple[str, ...]:
    """Names in order, each once.

    Raises:
        ValueError: if there is none.
    """
    names = tuple(dict.fromkeys(models))
    need(len(names) >= 1, expected=f"at least one {what} to draw", got="none", remedy="Measure before drawing.")
    return names


def in_all(panels: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Names of the models of all panels in order, each once.

    Raises:
        ValueError: if there is no panel, or one without a model.
    """
    return need_models(name for panel in panels for name in need_models(panel))


def looks(names: Sequence[str], study: Sequence[str]) -> dict[str, Series]:
    """Look of each model: its place in the study, so that it is the same in every figure; others come after."""
    places = tuple(dict.fromkeys((*study, *names)))
    return {name: series(places.index(name)) for name in names}


def key(look: Series, label: str) -> Any:
    """A model's entry in the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, linestyle=look.line, linewidth=2, marker=look.mark, markersize=6,
                  label=plain(label))  # fmt: skip


def finish(figure: Any, keys: Sequence[Any], caption: str, stamp: str, columns: int = 6) -> Any:
    """Legend under the panels, headed by the caption; the stamp across everything, see-through.

    Args:
        figure: with all its panels.
        keys: entries of the legend.
        caption: what every symbol means that has no entry.
        stamp: written large and slanted, once per eight inches of height; "" for none.
        columns: entries of the legend side by side, at most.
    """
    from matplotlib.patheffects import withStroke

    words = "\n".join(textwrap.wrap(plain(caption, 2000), 124))
    longest = max((len(one.get_label()) for one in keys), default=1)
    beside = max(1, min(len(keys), columns, int(115 / (longest + 7))))
    drawn = figure.legend(handles=list(keys), title=words, loc="outside lower left", ncols=beside, frameon=False,
                          alignment="left", title_fontsize=9.5, handlelength=2.6)  # fmt: skip
    drawn.set_zorder(1)
    if not stamp:
        return figure
    high = figure.get_figheight()
    times = max(1, round(high / 8))
    size = max(16.0, min(64.0, 72 * WIDTH / (0.66 * len(stamp)), 72 * high / times / (0.4 * len(stamp) + 1)))
    for turn in range(times):
        across = figure.text(0.5, (turn + 0.5) / times, plain(stamp, 120), ha="center", va="center", rotation=20,
                             fontsize=size, fontweight="bold", color=STAMP, alpha=0.12, gid="stamp")  # fmt: skip
        across.set(zorder=50, in_layout=False, path_effects=[withStroke(linewidth=4, foreground=(1, 1, 1, 0.6))])
    return figure


def number(value: float, digits: int = 3) -> str:
    """A number in words of a figure: so many digits, a true minus, no exponent from 1 to a million."""
    short = f"{value:.{digits}g}"
    if "e+" in short and abs(value) < 1e6:
        short = f"{float(short):.0f}"
    return short.replace("-", "−")


def distance_axis(ax: Any, words: str, unit: Unit, upright: bool = False, log: bool = False) -> None:
    """Label a distance axis with its unit; opposite to it the same in [0, 1] pixels, if that is known.

    The limits must be set.
    """
    (ax.set_ylabel if upright else ax.set_xlabel)(f"{words}, {unit.name}")
    if log:
        log_ticks(ax, upright)
    if not math.isfinite(unit.pixels):
        return
    ways = (lambda value: value * unit.pixels, lambda value: value / unit.pixels)
    if upright:
        other = ax.secondary_yaxis("right", functions=ways)
        other.set_ylim(*(end * unit.pixels for end in ax.get_ylim()))
    else:
        other = ax.secondary_xaxis("top", functions=ways)
        other.set_xlim(*(end * unit.pixels for end in ax.get_xlim()))
    (other.set_ylabel if upright else other.set_xlabel)("in [0, 1] pixels of the average image", fontsize=9)
    other.tick_params(labelsize=9)
    if log:
        log_ticks(other, upright)


def over_seeds(values: Float64[Tensor, " seeds"], low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Mean over seeds with its 95 % interval, held between bounds; without one for a single seed."""
    return across_seeds([Estimate(value) for value in values.tolist()], low, high)


def curve(ax: Any, along: Float64[Tensor, " points"], values: Float64[Tensor, "seeds points"], look: Series) -> None:
    """Mean over seeds as a line, their range as a band."""
    across, each = along.numpy(), values.numpy()
    ax.plot(across, each.mean(0), color=look.colour, linestyle=look.line, linewidth=1.8, marker=look.mark,
            markersize=5, markevery=(0.02 * (look.order % 6), 0.13), gid="series")  # fmt: skip
    if len(each) > 1:
        ax.fill_between(across, each.min(0), each.max(0), color=look.colour, alpha=BAND, linewidth=0)


def cross(ax: Any, across: Estimate, up: Estimate, look: Series) -> None:
    """A mark with its intervals both ways; an interval that is not known has no bar."""
    if not math.isnan(across.low):
        ax.plot([across.low, across.high], [up.value] * 2, color=look.colour, linewidth=1.6, gid="interval")
    if not math.isnan(up.low):
        ax.plot([across.value] * 2, [up.low, up.high], color=look.colour, linewidth=1.6, gid="interval")
    ax.plot(across.value, up.value, marker=look.mark, markersize=8, color=look.colour, linestyle="", gid="series",
            zorder=4)  # fmt: skip


def published(ax: Any, across: float, up: float, look: Series) -> None:
    """The paper's value: the model's mark, hollow."""
    ax.plot(across, up, marker=look.mark, markersize=7, markerfacecolor="white", markeredgecolor=look.colour,
            markeredgewidth=1.4, linestyle="", gid="paper", zorder=5)  # fmt: skip


def hollow() -> Any:
    """Legend entry of what `published` draws."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor="white", markeredgecolor=INK,
                  markeredgewidth=1.4, label="hollow: the paper")  # fmt: skip


def told(values: Mapping[str, float], digits: int = 3) -> str:
    """Values by name in words: all of up to five, else the smallest and the largest."""
    if len(values) <= 5:
        return ", ".join(f"{name} {number(value, digits)}" for name, value in values.items())
    least, most = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    return f"from {number(values[least], digits)} ({least}) to {number(values[most], digits)} ({most})"


def seeds_told(counts: Iterable[int], mark: str, spread: str) -> str:
    """What a mark and its spread are over so many seeds, in words."""
    some = sorted(set(counts))
    if some[-1] == 1:
        return f"{mark}: one seed"
    many = f"{some[-1]} seeds" if len(some) == 1 else f"{some[0]} to {some[-1]} seeds"
    return f"{mark}: mean of {many}, {spread}"


def quartiles(distances: Float64[Tensor, " images"]) -> tuple[float, float, float]:
    """First quartile, median and third; infinite where an infinite distance, an image that nothing broke, decides.

    Raises:
        ValueError: if there are no distances.
    """
    need(len(distances) >= 1, expected="a critical distance or more", got="none", remedy="Attack at least one image.")
    ordered = torch.sort(distances).values
    found = []
    for share in (0.25, 0.5, 0.75):
        place = share * (len(ordered) - 1)
        below, above = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
        part = place - math.floor(place)
        found.append(below if part == 0 or below == above else below + part * (above - below))
    return found[0], found[1], found[2]


def positive_range(values: Iterable[Float64[Tensor, "..."]]) -> tuple[float, float]:
    """Smallest and largest of all positive values; 1 and 1 if there are none."""
    flat = numpy.concatenate([one.numpy().ravel() for one in values] or [numpy.ones(1)])
    some = flat[flat > 0]
    return (float(some.min()), float(some.max())) if len(some) else (1.0, 1.0)
