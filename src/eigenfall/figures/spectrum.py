"""Eigenvalue against rank, the fitted law inside its window, and exponents side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch

from eigenfall.figures.style import INK, REFERENCE, Series, across_seeds, plain, series
from eigenfall.laws import log_eigenvalues
from eigenfall.types import Spectrum, SpectrumFit


def shown_ranks(ranks: int, most: int = 60) -> numpy.ndarray:
    """The ranks that get a mark, from 1: all at first, then evenly spaced in log rank."""
    if ranks <= most:
        return numpy.arange(1, ranks + 1)
    return numpy.unique(numpy.geomspace(1, ranks, most).round().astype(int))


def _geometric(values: numpy.ndarray) -> numpy.ndarray:
    """Geometric mean over seeds; not positive wherever one seed is not."""
    positive = (values > 0).all(0)
    logs = numpy.log(numpy.where(values > 0, values, 1.0)).mean(0)
    return numpy.where(positive, numpy.exp(logs), values.min(0))


def _lowest(values: numpy.ndarray) -> float:
    """Smallest value that the axis makes room for, so that a few collapsed ranks do not flatten all others."""
    positive = values[values > 0]
    return float(numpy.quantile(positive, 0.03)) / 1000 if len(positive) else 0.0


def window(fits: Sequence[SpectrumFit]) -> tuple[int, int]:
    """The window that all the fits used: their common part."""
    return max(fit.used[0] for fit in fits), min(fit.used[1] for fit in fits)


def points(ax: Any, spectra: Sequence[Spectrum], label: str, look: Series, fits: Sequence[SpectrumFit] = ()) -> None:
    """Marks by rank, thinning; a thin line through them; range over seeds; star at 90 % of the variance; the floor.

    Ranks outside the fit's window or left out of the fit are grey. Values that are negative, at or below the floor, or
    a thousand times smaller than 97 % of the others are open marks at the lower edge, under a break in the axis.
    """
    ranks = min(len(spectrum.eigenvalues) for spectrum in spectra)
    values = numpy.stack([spectrum.eigenvalues[:ranks].cpu().numpy() for spectrum in spectra])
    middle, number = _geometric(values), numpy.arange(1, ranks + 1)
    floor = max(spectrum.floor for spectrum in spectra)
    lowest = max(floor, _lowest(middle))
    first, last = window(fits) if fits else (1, ranks)
    skipped = {rank for fit in fits for rank in fit.left_out}
    above = middle > lowest
    fitted = above & (number >= first) & (number <= last) & ~numpy.isin(number, list(skipped))
    marked = shown_ranks(ranks) - 1
    size = 30 / (1 + numpy.log(number)) + 4
    ax.set_xscale("log")
    ax.set_yscale("log")
    if len(spectra) > 1:
        ax.fill_between(
            number, values.min(0), values.max(0), where=(values > 0).all(0), color=look.colour, alpha=0.15, linewidth=0
        )
    ax.plot(number[above], middle[above], color=look.colour, linewidth=0.9, alpha=0.6, gid="series")
    for chosen, colour, name in ((fitted, look.colour, label), (above & ~fitted, REFERENCE, "")):
        here = marked[chosen[marked]]
        ax.scatter(number[here], middle[here], s=size[here], marker=look.mark, color=colour, linewidths=0, zorder=3)
        if name:
            ax.plot([], [], color=look.colour, marker=look.mark, markersize=5, linewidth=0.9, label=name)
    if (above & ~fitted).any():
        ax.plot(
            [],
            [],
            color=REFERENCE,
            marker="o",
            markersize=4,
            linestyle="",
            label="rank left out of the fit",
            gid="reference",
        )
    _limits(ax, middle[above], ranks)
    sunk = number[~above]
    _sunk(ax, sunk[shown_ranks(len(sunk)) - 1] if len(sunk) else sunk, look)
    star = min(int(numpy.median([spectrum.rank_at_90_percent for spectrum in spectra])), ranks)
    if above[star - 1]:
        ax.plot(
            star, middle[star - 1], marker="*", markersize=13, color=look.colour, markeredgecolor=INK,
            markeredgewidth=0.6, linestyle="", zorder=5,
        )  # fmt: skip
        ax.plot(
            [], [], marker="*", markersize=10, color="none", markeredgecolor=INK, linestyle="",
            label="cumulative variance passes 90 %", gid="reference",
        )  # fmt: skip
    _references(ax, middle, floor, ranks)
    ax.set_xlabel("rank n")
    of = "eigenvalue λₙ" if spectra[0].of == "covariance" else f"eigenvalue λₙ of the {spectra[0].of}"
    ax.set_ylabel(f"{of}, (response unit)²")


def _limits(ax: Any, values: numpy.ndarray, ranks: int) -> None:
    """Widen the axes to hold these values; never narrow what is drawn already."""
    if len(values) == 0:
        return
    fresh = not getattr(ax, "eigenfall_limits", None)
    low, high, right = values.min() / 2.5, values.max() * 2.5, max(ranks, 2) * 1.25
    if not fresh:
        before = ax.eigenfall_limits
        low, high, right = min(low, before[0]), max(high, before[1]), max(right, before[2])
    ax.eigenfall_limits = (low, high, right)
    ax.set_ylim(low, high)
    ax.set_xlim(0.8, right)


def _sunk(ax: Any, ranks: numpy.ndarray, look: Series) -> None:
    """Open marks under a break in the axis, for values that are not above the floor."""
    if len(ranks) == 0:
        return
    across = ax.get_xaxis_transform()
    ax.plot(
        ranks, numpy.full(len(ranks), 0.025), marker=look.mark, markersize=4, markerfacecolor="none",
        markeredgecolor=look.colour, linestyle="", transform=across, clip_on=False,
    )  # fmt: skip
    ax.plot(
        [], [], marker="o", markersize=4, markerfacecolor="none", markeredgecolor=REFERENCE, linestyle="",
        label="below the axis: near the floor, or negative", gid="reference",
    )  # fmt: skip
    ax.plot([-0.012, 0.012], [0.045, 0.06], transform=ax.transAxes, color=INK, linewidth=1, clip_on=False, zorder=6)
    ax.plot([-0.012, 0.012], [0.06, 0.075], transform=ax.transAxes, color=INK, linewidth=1, clip_on=False, zorder=6)


def _references(ax: Any, middle: numpy.ndarray, floor: float, ranks: int) -> None:
    """Once per axes: the 1/n slope through the first eigenvalue, and the numerical floor."""
    if getattr(ax, "eigenfall_references", False) or not middle[0] > 0:
        return
    ax.eigenfall_references = True
    ends = numpy.array([1.0, ranks])
    ax.plot(
        ends,
        middle[0] * 1.6 / ends,
        color=REFERENCE,
        linewidth=0.8,
        linestyle=(0, (1, 1.5)),
        label="slope of 1/n",
        gid="reference",
        zorder=1,
    )
    if floor <= 0:
        return
    low = ax.get_ylim()[0]
    if floor >= low:
        ax.axhline(
            floor,
            color=REFERENCE,
            linewidth=0.8,
            linestyle=(0, (4, 2)),
            label=f"numerical floor {floor:.1g}",
            gid="reference",
        )
    else:
        ax.plot([], [], color="none", label=f"numerical floor {floor:.1g}, below the axis", gid="reference")


def on_law(fit: SpectrumFit, ranks: numpy.ndarray) -> numpy.ndarray:
    """ln λ of the fitted law at some ranks."""
    parameters = {name: found.value for name, found in fit.parameters.items()}
    return log_eigenvalues(fit.law, torch.from_numpy(ranks), parameters).numpy()


def law(ax: Any, fits: Sequence[SpectrumFit], look: Series, label: str = "") -> None:
    """The fitted line inside its window, the window shaded; the legend gives exponent, interval and window.

    A fit without a parameter `scale` has no line, only its window and its exponent.
    """
    first, last = window(fits)
    alpha = across_seeds([fit.parameters["alpha"] for fit in fits])
    ax.set_xscale("log")
    ax.set_yscale("log")
    words = f"{label}: " if label else ""
    interval = "" if math.isnan(alpha.low) else f" [{alpha.low:.2f}, {alpha.high:.2f}]"
    words += f"fit α = {alpha.value:.2f}{interval}".replace("-", "−")
    if all("scale" in fit.parameters for fit in fits):
        ranks = numpy.geomspace(first, last, 2 if all(fit.law == "power" for fit in fits) else 200)
        ax.plot(
            ranks,
            numpy.exp(numpy.mean([on_law(fit, ranks) for fit in fits], 0)),
            color=look.colour,
            linestyle=look.line,
            linewidth=2.2,
            zorder=4,
            label=words,
        )
    else:
        ax.plot([], [], color=look.colour, linestyle=look.line, linewidth=2.2, label=words)
    shaded = getattr(ax, "eigenfall_windows", set())
    if (first, last) not in shaded:
        ax.eigenfall_windows = shaded | {(first, last)}
        ax.axvspan(
            first,
            last,
            color=REFERENCE,
            alpha=0.13,
            linewidth=0,
            label=f"window of the fit, ranks {first}–{last}",
            gid="reference",
            zorder=0,
        )


def exponents(ax: Any, fits: Mapping[str, Mapping[str, Sequence[SpectrumFit]]]) -> None:
    """Exponent by layer (rows) and arm (marks), seed by seed as faint marks, with interval.

    Args:
        ax: the axes.
        fits: by arm, then by layer, one fit per seed.
    """
    layers = list(dict.fromkeys(layer for by_layer in fits.values() for layer in by_layer))
    step = 0.72 / max(len(fits), 1)
    for order, (arm, by_layer) in enumerate(fits.items()):
        look = series(order)
        for layer, group in by_layer.items():
            height = layers.index(layer) + (order - (len(fits) - 1) / 2) * step
            alpha = across_seeds([fit.parameters["alpha"] for fit in group])
            if not math.isnan(alpha.low):
                ax.plot(
                    [alpha.low, alpha.high], [height, height], color=look.colour, linewidth=2, solid_capstyle="butt"
                )
            if len(group) > 1:
                ax.plot(
                    [fit.alpha for fit in group], [height] * len(group), marker="|", markersize=9,
                    color=look.colour, alpha=0.7, linestyle="",
                )  # fmt: skip
            ax.plot(alpha.value, height, marker=look.mark, markersize=7, color=look.colour, linestyle="", gid="series")
        ax.plot([], [], marker=look.mark, color=look.colour, linewidth=2, label=plain(arm))
    ax.axvline(1, color=REFERENCE, linewidth=0.9, linestyle=(0, (1, 1.5)), label="α = 1", gid="reference", zorder=0)
    ax.set_yticks(range(len(layers)), [plain(layer, 24) for layer in layers])
    ax.set_ylim(len(layers) - 0.5, -0.5)
    for edge in range(1, len(layers)):
        ax.axhline(edge - 0.5, color=REFERENCE, linewidth=0.5, alpha=0.4)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("exponent α, λₙ ∝ n⁻ᵅ (no unit)")
