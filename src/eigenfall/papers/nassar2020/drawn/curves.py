"""Spectra and accuracies of arms: mean over seeds as a line, one standard deviation to either side as a band.

spectrum    λₙ against n, both logarithmic: mean and deviation are those of ln λₙ;  grey: n ≤ τ, which the penalty
            leaves free;  star: the first n at which λ₁ + … + λₙ ≥ 0.9 Σ λ, of the line that is drawn
accuracy    right test images against ε; the mark at ε = 0 is the clean accuracy of the same images
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.figures.style import INK, REFERENCE, Series, log_ticks, plain
from eigenfall.papers.drawn.canvas import BAND
from eigenfall.types import Row

SHARE = 0.9
"""Of the variance, at the star."""
FEW = 12
"""Points of a line up to which each is marked."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one arm along another, its seeds together.

    Attributes:
        x: where, `(points,)`.
        y: what, `(seeds, points)`.
        seeds: of the rows of y.
    """

    x: Float64[Tensor, " points"]
    y: Float64[Tensor, "seeds points"]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves that share their axes.

    Attributes:
        name: above the panel, and in the rows of its numbers.
        curves: by arm.
        x: label of the abscissa.
        y: label of the ordinate.
    """

    name: str
    curves: Mapping[str, Curve]
    x: str
    y: str


def rows(panel: Panel, net: str, where: str) -> list[Row]:
    """Every number of a panel: arm with its network, seed, panel, x, y."""
    return [
        {"arm": f"{net} {arm}", "seed": seed, "panel": f"{where}, {panel.name}", "x": x, "y": y}
        for arm, curve in panel.curves.items()
        for seed, each in zip(curve.seeds, curve.y.tolist())
        for x, y in zip(curve.x.tolist(), each)
    ]


def centre(curve: Curve) -> tuple[Float64[Tensor, " points"], Float64[Tensor, " points"]]:
    """Mean over seeds, and the standard deviation of one seed; 0 of a single one."""
    deviation = curve.y.std(0) if len(curve.y) > 1 else torch.zeros_like(curve.x)
    return curve.y.mean(0), deviation


def logarithms(curve: Curve) -> Curve:
    """The natural logarithm where every seed is positive; other points are left out."""
    kept = (curve.y > 0).all(0)
    return Curve(curve.x[kept], curve.y[:, kept].log(), curve.seeds)


def rank_at(eigenvalues: Float64[Tensor, " ranks"], share: float = SHARE) -> int:
    """The first n at which λ₁ + … + λₙ is this share of their sum.

    Example:
        >>> rank_at(torch.tensor([5.0, 4.0, 0.5, 0.5], dtype=torch.float64))
        2
    """
    sums = eigenvalues.cumsum(0)
    return int((sums < share * sums[-1] * (1 - 1e-12)).sum()) + 1


def spectrum(ax: Any, panel: Panel, look: Mapping[str, Series], tau: int, guide: str) -> None:
    """Eigenvalues against rank; the dashed line is 1/n, through the guide's mean eigenvalue at rank τ + 1."""
    from matplotlib import ticker

    ax.set_xscale("log")
    ax.set_yscale("log")
    last = max(float(curve.x[-1]) for curve in panel.curves.values())
    low, high = math.inf, 0.0
    for arm, curve in panel.curves.items():
        logs = logarithms(curve)
        if not len(logs.x):
            continue
        mean, deviation = centre(logs)
        x, line = logs.x.numpy(), mean.exp()
        _line(ax, x, line.numpy(), look[arm])
        if len(curve.y) > 1:
            ends = ((mean + side * deviation).exp().numpy() for side in (-1, 1))
            ax.fill_between(x, *ends, color=look[arm].colour, alpha=BAND, linewidth=0, gid="sd")
        at = rank_at(line)
        ax.plot(x[at - 1], float(line[at - 1]), marker="*", markersize=13, color=look[arm].colour, linestyle="",
                markeredgecolor=INK, markeredgewidth=0.7, gid="star", zorder=6)  # fmt: skip
        low, high = min(low, float(line.min())), max(high, float(line.max()))
        if arm == guide and len(x) > tau:
            ends = numpy.array([1.0, last])
            ax.plot(ends, float(line[tau]) * (tau + 1) / ends, color=INK, linewidth=1.1, linestyle=(0, (5, 3)),
                    gid="guide", zorder=1)  # fmt: skip
    ax.axvspan(0.8, tau, color=REFERENCE, alpha=0.2, linewidth=0, gid="band", zorder=0)
    ax.set_xlim(0.8, 1.2 * last)
    if high > low > 0:
        ax.set_ylim(max(low / 2, high * 1e-9), 3 * high)
    _labels(ax, panel)
    log_ticks(ax)
    ax.yaxis.set_minor_locator(ticker.NullLocator())


def accuracies(ax: Any, panel: Panel, look: Mapping[str, Series]) -> None:
    """Accuracy in per cent against ε, the first point being that of clean images: a larger mark."""
    for arm, curve in panel.curves.items():
        mean, deviation = (100 * each.numpy() for each in centre(curve))
        x = curve.x.numpy()
        _line(ax, x, mean, look[arm])
        ax.plot(x[0], mean[0], marker=look[arm].mark, markersize=8, color=look[arm].colour, linestyle="",
                markeredgecolor=INK, markeredgewidth=0.7, gid="clean", zorder=5, clip_on=False)  # fmt: skip
        if len(curve.y) > 1:
            ax.fill_between(x, mean - deviation, mean + deviation, color=look[arm].colour, alpha=BAND, linewidth=0,
                            gid="sd")  # fmt: skip
    ax.set_ylim(0, 102)
    ax.set_xlim(left=0)
    ax.locator_params(axis="x", nbins=5)
    _labels(ax, panel)


def _line(ax: Any, x: Any, y: Any, look: Series) -> None:
    every = 1 if len(x) <= FEW else (0.04 * (look.order % 6), 0.24)
    ax.plot(x, y, color=look.colour, linestyle=look.line, linewidth=1.7, marker=look.mark, markersize=4.5,
            markevery=every, gid="series", zorder=3)  # fmt: skip


def _labels(ax: Any, panel: Panel) -> None:
    ax.set_title(plain(panel.name))
    ax.set_xlabel(panel.x)
    ax.set_ylabel(panel.y)


def keys(stars: bool, tau: int) -> list[Any]:
    """Legend entries of what is no arm."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    clean = Line2D([], [], linestyle="", marker="o", markersize=8, color="white", markeredgecolor=INK, label="clean")
    if not stars:
        return [clean]
    return [
        clean,
        Line2D([], [], linestyle="", marker="*", markersize=12, color="white", markeredgecolor=INK,
               label=f"{100 * SHARE:.0f} % of the variance"),
        Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (5, 3)), label="∝ 1/n"),
        Patch(facecolor=REFERENCE, alpha=0.3, label=f"n ≤ τ = {tau}"),
    ]  # fmt: skip
