"""The exponent that the penalty sees along its basis, beside that of the exact spectrum, through training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eigenfall.check import need
from eigenfall.figures.style import INK, REFERENCE, Series, plain
from eigenfall.papers.drawn import canvas
from eigenfall.papers.drawn.canvas import BAND, number
from eigenfall.papers.nassar2020.drawn.curves import Curve, centre
from eigenfall.types import Row


@dataclass(frozen=True, eq=False)
class Trail:
    """One layer of one arm through training.

    Attributes:
        arm: its name, network and all.
        basis: what it differs in from the arms of other rows.
        layer: the column.
        seen: exponent along the basis, by updates.
        exact: of each seed updates and exact exponents, where they were logged.
        last: of each seed the updates at the end, and the exact exponent there, of all training rows.
        staleness: of each seed, at the end, how much more the penalty of the exact spectrum is than that along the
            basis.
    """

    arm: str
    basis: str
    layer: str
    seen: Curve
    exact: tuple[tuple[tuple[float, float], ...], ...]
    last: tuple[tuple[float, float], ...]
    staleness: tuple[float, ...]


def rows(trails: Sequence[Trail]) -> list[Row]:
    """Every number that `exponents` draws or tells: arm, seed, panel, x, y; x is the number of updates."""
    found: list[Row] = []
    for one in trails:
        for place, seed in enumerate(one.seen.seeds):
            points = {
                "α along the basis": list(zip(one.seen.x.tolist(), one.seen.y[place].tolist())),
                "exact α": list(one.exact[place]),
                "exact α at the end": [one.last[place]],
                "s_R at the end": [(one.last[place][0], one.staleness[place])],
            }
            found += [
                {"arm": one.arm, "seed": seed, "panel": f"{one.layer}, {name}", "x": x, "y": y}
                for name, values in points.items()
                for x, y in values
            ]
    return found


def exponents(trails: Sequence[Trail], look: dict[str, Series], title: str, note: str) -> Any:
    """A row for each basis, a column for each layer.

    Args:
        trails: a panel each.
        look: by basis.
        title: what was found.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    need(len(trails) >= 1, expected="at least one arm under the penalty", got="none",
         remedy="Reproduce one before drawing.")  # fmt: skip
    bases = tuple(dict.fromkeys(one.basis for one in trails))
    layers = tuple(dict.fromkeys(one.layer for one in trails))
    with canvas.house():
        figure = canvas.empty(2.2 + 2.2 * len(bases), title)
        grid = figure.subplots(len(bases), len(layers), squeeze=False, sharey=True)
        for row, basis in zip(grid, bases):
            for ax, layer in zip(row, layers):
                some = [one for one in trails if (one.basis, one.layer) == (basis, layer)]
                if some:
                    _trail(ax, some[0], look[basis])
                else:
                    ax.set_axis_off()
                if basis == bases[0]:
                    ax.set_title(plain(layer))
            row[0].set_ylabel(f"{plain(basis.rpartition(', ')[2])}\nexponent α")
        for column in grid.T:
            next(ax for ax in column[::-1] if ax.axison).set_xlabel("updates")
        counts = [len(one.seen.seeds) for one in trails]
        caption = canvas.seeds_told(counts, "Line", "band: ± one standard deviation of a seed") + "."
        keys = [_key(look[basis], basis) for basis in bases]
        return canvas.finish(figure, [*keys, *_keys()], f"{caption} {note}".strip(), "", 3)


def _trail(ax: Any, one: Trail, look: Series) -> None:
    mean, deviation = (each.numpy() for each in centre(one.seen))
    x = one.seen.x.numpy()
    ax.axhline(1, color=REFERENCE, linewidth=1, linestyle=":", zorder=0)
    ax.plot(x, mean, color=look.colour, linestyle=look.line, linewidth=1.5, gid="seen", zorder=2)
    if len(one.seen.y) > 1:
        ax.fill_between(x, mean - deviation, mean + deviation, color=look.colour, alpha=BAND, linewidth=0, gid="sd")
    for logged, last in zip(one.exact, one.last):
        if logged:
            ax.plot(*zip(*logged), marker=".", markersize=3, color=INK, linestyle="", gid="exact", zorder=3)
        ax.plot(*last, marker="D", markersize=6.5, markerfacecolor="white", markeredgecolor=INK, linestyle="",
                gid="last", zorder=4, clip_on=False)  # fmt: skip
    words = f"s_R at the end {number(max(one.staleness), 2)}"
    ax.text(0.97, 0.96, words, transform=ax.transAxes, ha="right", va="top", fontsize=8.5, gid="staleness")
    ax.locator_params(axis="x", nbins=4)


def _key(look: Series, basis: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, linestyle=look.line, linewidth=2, label=f"along the basis: {plain(basis)}")


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker=".", markersize=5, color=INK, linestyle="", label="exact, where logged"),
        Line2D([], [], marker="D", markersize=6.5, markerfacecolor="white", markeredgecolor=INK, linestyle="",
               label="exact, all training rows, at the end"),
        Line2D([], [], color=REFERENCE, linewidth=1, linestyle=":", label="α = 1"),
    ]  # fmt: skip
