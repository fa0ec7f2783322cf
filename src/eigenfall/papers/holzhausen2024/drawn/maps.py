"""Planes of inputs: how steep a model's code is there, and what the model decides.

    x = x₀ + ξ₁u + ξ₂v,   ‖u‖ = ‖v‖ = 1,  u ⊥ v;      steepness ‖J‖_F,  J = ∂code/∂x

Source: Holzhausen et al. 2024, arXiv:2405.00679, Figure 4.
Differs from the source: decisions are numbered where they are largest, so that no colour must be told from another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall.check import need
from eigenfall.figures.landscape import DARK, SHADES
from eigenfall.figures.style import plain
from eigenfall.papers.drawn import canvas
from eigenfall.papers.drawn.canvas import Unit, number

IN_A_ROW = 5
LEVELS = 20
NEAR, SMALLEST = 0.28, 0.03
"""Numbers are so far from each other and x₀, as a share of the reach, and only on decisions of so large an area."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What one model makes of a plane.

    Attributes:
        reach: the plane goes from −reach to reach along ξ₁ and ξ₂.
        norms: ‖J‖_F of the code, `(ξ₂, ξ₁)`, at evenly spaced places.
        classes: decisions, `(ξ₂, ξ₁)`; the grid may be finer.
        certainty: largest softmax there, 0 to 1.
    """

    reach: float
    norms: Float64[Tensor, "coarse coarse"]
    classes: Int64[Tensor, "side side"]
    certainty: Float64[Tensor, "side side"]


def landscapes(
    found: Mapping[str, Seen], unit: Unit, names: Sequence[str] = (), title: str = "", stamp: str = "", note: str = ""
) -> Any:
    """‖J‖_F above and decisions below, a column per model, at most five in a row.

    Args:
        found: by model, on the same plane.
        unit: of inputs.
        names: of the classes; numbers alone if empty.
        title: what was found; "": the range of ‖J‖_F.
        stamp: written across the figure.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    models = canvas.need_models(found)
    across = min(len(models), IN_A_ROW)
    blocks = -(-len(models) // across)
    across = -(-len(models) // blocks)
    side = 7.6 / max(across, 3)
    with canvas.house():
        figure = canvas.empty(1.9 + blocks * (2 * side + 1.2), title or f"‖J‖_F on the plane: {_ranges(found)}")
        panels = figure.subplots(2 * blocks, across, squeeze=False)
        for place in range(blocks * across):
            block, column = divmod(place, across)
            top, bottom = panels[2 * block, column], panels[2 * block + 1, column]
            if place >= len(models):
                top.remove()
                bottom.remove()
                continue
            one = found[models[place]]
            _steepness(figure, top, one)
            _decisions(bottom, one)
            top.set_title(plain(models[place], 18))
            bottom.set_xlabel(f"ξ₁, {unit.name}")
            for ax in (top, bottom):
                if column == 0:
                    ax.set_ylabel(f"ξ₂, {unit.name}", labelpad=0)
                else:
                    ax.set_yticklabels([])
            top.set_xticklabels([])
        caption = (
            "ξ₁, ξ₂: L2 distance from an image x₀ (circle) along two orthogonal random directions"
            + (
                f" (one of the {unit.name} is {number(unit.pixels)} in [0, 1] pixels of the average image)"
                if unit.pixels > 0
                else ""
            )
            + ". Above: ‖J‖_F, Frobenius norm of the derivative of the hidden code by the input, each on its own "
            "colour scale. Below: decisions by colour and number, paler where the largest softmax is smaller; lines: "
            f"{LEVELS} levels of the largest softmax."
        )
        return canvas.finish(figure, _keys(found, names), f"{caption} {note}".strip(), stamp, columns=5)


def _ranges(found: Mapping[str, Seen]) -> str:
    ends = {name: (float(one.norms.min()), float(one.norms.max())) for name, one in found.items()}
    words = {name: f"{number(low)} to {number(high)}" for name, (low, high) in ends.items()}
    if len(words) <= IN_A_ROW:
        return ", ".join(f"{name} {each}" for name, each in words.items())
    least, most = (pick(ends, key=lambda name: ends[name][1]) for pick in (min, max))
    return f"smallest for {least}, {words[least]}; largest for {most}, {words[most]}"


def _frame(ax: Any, reach: float) -> None:
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_aspect("equal")
    ax.set_xticks([-reach, 0, reach], [number(-reach), "0", number(reach)], fontsize=9)
    ax.set_yticks([-reach, 0, reach], [number(-reach), "0", number(reach)], fontsize=9)


def _extent(reach: float, side: int) -> tuple[float, float, float, float]:
    """Of a picture whose outermost cells are centred on the ends of the plane."""
    edge = reach * side / max(side - 1, 1)
    return (-edge, edge, -edge, edge)


def _steepness(figure: Any, ax: Any, one: Seen) -> None:
    picture = ax.imshow(one.norms.numpy(), origin="lower", extent=_extent(one.reach, len(one.norms)), cmap="viridis",
                        interpolation="nearest", gid="norms")  # fmt: skip
    _frame(ax, one.reach)
    ax.plot(0, 0, marker="o", markersize=5, color="white", markeredgecolor=DARK, linestyle="")
    low, high = float(one.norms.min()), float(one.norms.max())
    bar = figure.colorbar(picture, ax=ax, orientation="horizontal", fraction=0.06, pad=0.03, aspect=14)
    ticks = [low, (low + high) / 2, high] if high > low else [low]
    bar.set_ticks(ticks, labels=[number(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=9)
    bar.set_label("‖J‖_F", fontsize=9, labelpad=1)


def _decisions(ax: Any, one: Seen) -> None:
    from matplotlib.colors import to_rgb

    classes, certainty = one.classes.numpy(), one.certainty.numpy()
    need(classes.shape == certainty.shape, expected="a certainty for each decision",
         got=f"grids of {classes.shape} and {certainty.shape}", remedy="Give both on one grid.")  # fmt: skip
    side = len(classes)
    shades = numpy.array([to_rgb(SHADES[which % len(SHADES)]) for which in range(int(classes.max()) + 1)])
    picture = numpy.concatenate((shades[classes], certainty[..., None]), 2)
    ax.imshow(picture, origin="lower", extent=_extent(one.reach, side), interpolation="nearest", gid="decisions")
    along = numpy.linspace(-one.reach, one.reach, side)
    if certainty.max() > certainty.min():
        ax.contour(along, along, certainty, LEVELS, colors=DARK, linewidths=0.35)
    taken = [(0.0, 0.0)]
    for which in sorted(numpy.unique(classes), key=lambda which: -(classes == which).sum()):
        rows, columns = numpy.nonzero(classes == which)
        free = numpy.min([numpy.hypot(along[columns] - x, along[rows] - y) for x, y in taken], 0) > NEAR * one.reach
        if len(rows) < SMALLEST * side * side or not free.any():
            continue
        rows, columns, away = rows[free], columns[free], (rows.mean(), columns.mean())
        middle = numpy.argmin((rows - away[0]) ** 2 + (columns - away[1]) ** 2)
        taken.append((float(along[columns[middle]]), float(along[rows[middle]])))
        ax.annotate(str(which), taken[-1], ha="center", va="center", fontsize=9.5, fontweight="bold", color=DARK,
                    bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8})  # fmt: skip
    _frame(ax, one.reach)
    ax.plot(0, 0, marker="o", markersize=5, color="white", markeredgecolor=DARK, linestyle="")


def _keys(found: Mapping[str, Seen], names: Sequence[str]) -> list[Any]:
    from matplotlib.patches import Patch

    present = sorted({int(which) for one in found.values() for which in one.classes.unique()})
    return [
        Patch(facecolor=SHADES[which % len(SHADES)],
              label=f"{which} {plain(names[which], 16)}" if which < len(names) else str(which))
        for which in present
    ]  # fmt: skip
