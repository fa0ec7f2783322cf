"""Distributions of a measure of smoothness over inputs: a row per series, on a logarithmic axis."""

from collections.abc import Sequence
from typing import Any

import numpy
import scipy

from eigenfall.figures.style import INK, REFERENCE, Series, log_ticks
from eigenfall.types import ByDistance, Smoothness
from eigenfall.types.results import SIGNS

BINS = 10

QUANTITIES = {
    "jacobian_norm": "Frobenius norm of the Jacobian ‖J‖",
    "spectral_norm": "spectral norm of the Jacobian ‖J‖₂",
    "local_lipschitz": "local Lipschitz constant, at least",
    "log_volume": "log-volume ½ ln det JJᵀ",
    "first_order_distance": "first-order distance",
}

SHORT = {
    **SIGNS,
    "local_lipschitz": "local Lipschitz constant",
    "log_volume": "log-volume",
    "first_order_distance": "first-order distance",
}
"""Quantities where there is little room."""

UNITS = {"proportional": "layer unit per input unit", "logarithmic": "natural logarithm", "free": "input unit"}


def _density(logs: numpy.ndarray, grid: numpy.ndarray) -> numpy.ndarray:
    if len(logs) < 3 or numpy.ptp(logs) < 1e-9:
        return numpy.exp(-0.5 * ((grid - logs.mean()) / 0.01) ** 2)
    return scipy.stats.gaussian_kde(logs)(grid)


def ridge(ax: Any, values: Sequence[Smoothness], label: str, look: Series, relative: bool = False) -> None:
    """One row: density of the logarithms (filled: mean over seeds; lines: each seed), quartiles and median.

    Heights are scaled row by row. Inputs where the value is zero or not finite have no logarithm, and those of another
    rank than most do not compare: they are counted in the row's name. What is a logarithm itself has a linear axis.

    Args:
        ax: the axes.
        values: one per seed.
        label: name of the row.
        look: colour, and the row by its order.
        relative: over the layer's scale.
    """
    linear = values[0].scaling == "logarithmic"
    raw = [(value.relative if relative else value.values).cpu().numpy() for value in values]
    usable = [value.comparable.cpu().numpy() & (linear | (seed > 0)) for value, seed in zip(values, raw)]
    logs = [seed[use] if linear else numpy.log10(seed[use]) for seed, use in zip(raw, usable)]
    left_out = sum(len(seed) - len(kept) for seed, kept in zip(raw, logs))
    why = "zero" if all((seed[~use] == 0).all() for seed, use in zip(raw, usable)) else "incomparable"
    name = f"{label}\n({left_out} {why} left out)" if left_out else label
    kept = [seed for seed in logs if len(seed)]
    rows = {**getattr(ax, "eigenfall_rows", {}), look.order: name}
    ax.eigenfall_rows = rows
    if not linear:
        ax.set_xscale("log")
    if kept:
        every = numpy.concatenate(kept)
        spread = max(float(numpy.ptp(every)), 0.05)
        grid = numpy.linspace(every.min() - 0.08 * spread, every.max() + 0.08 * spread, 200)
        densities = numpy.stack([_density(seed, grid) for seed in kept])
        top = densities.mean(0).max() / 0.72
        base, across = look.order, grid if linear else 10**grid
        ax.fill_between(
            across, base, base - densities.mean(0) / top, color=look.colour, alpha=0.3, linewidth=0, gid="series"
        )
        for density in densities:
            ax.plot(across, base - density / top, color=look.colour, linewidth=0.9)
        quartiles = [numpy.mean([numpy.quantile(seed, q) for seed in kept]) for q in (0.25, 0.5, 0.75)]
        low, middle, high = quartiles if linear else (10**quartile for quartile in quartiles)
        ax.plot([low, high], [base + 0.07] * 2, color=look.colour, linewidth=3, solid_capstyle="butt")
        ax.plot(
            middle, base + 0.07, marker=look.mark, color=look.colour, markeredgecolor=INK, markersize=6, linestyle=""
        )
    if not linear:
        log_ticks(ax)
    places = sorted(rows)
    ax.set_yticks(places, [rows[place] for place in places])
    ax.set_ylim(max(places) + 0.3, min(places) - 1.0)
    ax.tick_params(axis="y", length=0)
    quantity = QUANTITIES.get(values[0].quantity, values[0].quantity.replace("_", " "))
    ax.set_xlabel(f"{quantity}, {'over the layer’s spread' if relative else UNITS[values[0].scaling]}")


def margin_correlation(values: Sequence[Smoothness], margins: Sequence[numpy.ndarray]) -> float:
    """Spearman's correlation of smoothness and margin over inputs, the mean over seeds; 0 where one is constant."""
    return float(numpy.mean([_spearman(*_with_margin(one, margin)) for one, margin in zip(values, margins)]))


def _spearman(first: numpy.ndarray, second: numpy.ndarray) -> float:
    """0 where one of the two varies by no more than rounding, as the Jacobian of a linear model does."""
    if any(numpy.ptp(side) <= 1e-9 * numpy.abs(side).max(initial=0.0) for side in (first, second)):
        return 0.0
    # scipy makes the class of this result while it is imported, where no type checker sees its fields
    return float(scipy.stats.spearmanr(first, second).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _with_margin(value: Smoothness, margin: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Margins and values of the inputs that compare, both over the logits' spread."""
    kept = value.comparable.cpu().numpy()
    return margin[: len(kept)][kept] / value.scale, value.relative.cpu().numpy()[kept]


def against_margin(
    ax: Any, values: Sequence[Smoothness], margins: Sequence[numpy.ndarray], label: str, look: Series
) -> None:
    """Smoothness of the logits in ten bins of equal count by margin, both over the logits' spread.

    Points are medians of each bin, averaged over seeds; the band holds the quartiles, averaged likewise.

    Args:
        ax: the axes.
        values: of the logits, one per seed.
        margins: of the same inputs, one array per seed.
        label: name in the legend.
        look: colour, mark and line.
    """
    binned = []
    for value, margin in zip(values, margins):
        across, up = _with_margin(value, margin)
        bins = numpy.array_split(numpy.argsort(across), min(BINS, len(across)))
        binned.append([(numpy.median(across[b]), *numpy.quantile(up[b], (0.25, 0.5, 0.75))) for b in bins])
    alike = [one for one in binned if len(one) == len(binned[0])]
    x, low, middle, high = numpy.mean(numpy.array(alike), axis=0).T
    _line(ax, x, middle, low, high, _with_rank(label, margin_correlation(values, margins)), look)
    ax.axvline(0, color=REFERENCE, linewidth=0.8, linestyle=":", gid="reference")
    if values[0].scaling != "logarithmic":
        ax.set_yscale("log")
        log_ticks(ax, upright=True)
    ax.set_xlabel("margin, over the logits’ spread; negative: wrong")
    ax.set_ylabel(_upright(values[0].quantity, values[0].scaling != "free"))


def against_distance(ax: Any, values: Sequence[ByDistance], label: str, look: Series) -> None:
    """Smoothness of the logits in bins of equal count by the first-order distance.

    Points are medians of each bin, averaged over seeds; the band holds their intervals over inputs, averaged likewise.

    Args:
        ax: the axes.
        values: one per seed.
        label: name in the legend.
        look: colour, mark and line.
    """
    alike = [value for value in values if len(value.distances) == len(values[0].distances)]
    x = numpy.mean([value.distances for value in alike], axis=0)
    ends = [[(one.low, one.value, one.high) for one in value.medians] for value in alike]
    low, middle, high = numpy.mean(numpy.array(ends), axis=0).T
    ranks = numpy.mean([value.correlation.value for value in values])
    _line(ax, x, middle, low, high, _with_rank(label, float(ranks)), look)
    if (x > 0).all():
        ax.set_xscale("log")
        log_ticks(ax)
    quantity = values[0].quantity.removeprefix("relative_")
    if (middle > 0).all() and quantity != "log_volume":
        ax.set_yscale("log")
        log_ticks(ax, upright=True)
    ax.set_xlabel("first-order distance to another decision, input unit")
    ax.set_ylabel(_upright(quantity, values[0].quantity != quantity))


def _line(ax: Any, x: Any, middle: Any, low: Any, high: Any, label: str, look: Series) -> None:
    ax.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)
    style = {"color": look.colour, "marker": look.mark, "linestyle": look.line, "markersize": 5}
    ax.plot(x, middle, **style, label=label, gid="series")


def _with_rank(label: str, rank: float) -> str:
    return f"{label}: Spearman ρ = {f'{rank:+.2f}'.replace('-', '−')}"


def _upright(quantity: str, relative: bool) -> str:
    """A short name of a measure of the logits for an upright axis."""
    return f"{SHORT.get(quantity, quantity.replace('_', ' '))} of the logits{', over their spread' if relative else ''}"
