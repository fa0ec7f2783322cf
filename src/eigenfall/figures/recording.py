"""What a recording has beside spectra: eigenmoments, the law they give, how much of each unit repeats, dimensions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from eigenfall.figures.diagnostics import DOTTED
from eigenfall.figures.spectrum import on_law
from eigenfall.figures.style import INK, REFERENCE, Series, log_ticks
from eigenfall.laws import eigenvalues
from eigenfall.types import Dimension, Moments, Reliability, SpectrumFit

BINS = 24


def moments(ax: Any, value: Moments, label: str, look: Series, fits: Sequence[SpectrumFit] = ()) -> None:
    """p-th root of each moment against its order, with its s.d. over stimuli; the moments of the fitted laws as lines.

    A moment that is not positive has no root: it is an open mark at the lower edge.

    Args:
        ax: the axes.
        value: the moments.
        label: name in the legend.
        look: colour and mark.
        fits: laws fitted to them; those without a scale are left out.
    """
    found = value.values.cpu().numpy()
    order, positive = numpy.arange(1, len(found) + 1), found > 0
    roots = numpy.where(positive, found, numpy.nan) ** (1 / order)
    share = value.covariance.diagonal().clamp_min(0).sqrt().cpu().numpy() / numpy.where(positive, found, numpy.nan)
    ax.set_yscale("log")
    ax.errorbar(order, roots, roots * share / order, color=look.colour, linestyle="", linewidth=1.4, capsize=2.5)
    ax.plot(order, roots, color=look.colour, marker=look.mark, markersize=6, linestyle="", gid="series",
            label=f"{label}, ± s.d. over stimuli")  # fmt: skip
    if not positive.all():
        ax.plot(order[~positive], [0.02] * int((~positive).sum()), marker=look.mark, markersize=6, linestyle="",
                markerfacecolor="none", color=look.colour, transform=ax.get_xaxis_transform(), clip_on=False,
                label="not positive: it has no root", gid="reference")  # fmt: skip
    for style, fit in zip(("-", (0, (5, 2)), DOTTED), [fit for fit in fits if "scale" in fit.parameters]):
        parameters = {name: one.value for name, one in fit.parameters.items()}
        logs = eigenvalues(fit.law, value.units, parameters).log().numpy()
        means = numpy.array([_log_mean(logs * p) / p for p in order])
        ax.plot(order, numpy.exp(means), color=INK, linestyle=style, linewidth=1.2, zorder=1, gid="law",
                label=f"moments of the {fit.law} law, α = {fit.alpha:.2f}".replace("-", "−"))  # fmt: skip
    ax.set_xticks(order)
    low, high = ax.get_ylim()
    if high / low < 100:
        log_ticks(ax, upright=True)
    ax.set_xlabel("order p")
    ax.set_ylabel("(mean of λᵖ)^(1/p), (response unit)²")


def _log_mean(logs: numpy.ndarray) -> float:
    """ln of the mean of exponentials."""
    top = float(logs.max())
    return top + math.log(float(numpy.exp(logs - top).mean()))


def moment_law(ax: Any, fit: SpectrumFit, last: int, look: Series, label: str) -> None:
    """The law that moments gave, over the ranks of a spectrum that is drawn already; no window is shaded.

    Args:
        ax: the axes.
        fit: with a parameter `scale`.
        last: last rank that is drawn, if there are as many units.
        look: colour and line.
        label: name in the legend.
    """
    alpha = fit.parameters["alpha"]
    interval = "" if math.isnan(alpha.low) else f" [{alpha.low:.2f}, {alpha.high:.2f}]"
    ranks = numpy.geomspace(1, max(min(last, fit.units), 2), 200)
    ax.plot(ranks, numpy.exp(on_law(fit, ranks)), color=look.colour, linestyle=look.line, linewidth=1.8, zorder=4,
            gid="law", label=f"{label}: α = {alpha.value:.2f}{interval}".replace("-", "−"))  # fmt: skip


def reliability(ax: Any, value: Reliability, label: str, look: Series) -> None:
    """How many units have how large a share of variance that repeats; the median, and the share of all units together.

    Args:
        ax: the axes.
        value: the shares; constant units, which have none, are counted.
        label: name in the legend.
        look: colour.
    """
    shares = value.signal_share.cpu().numpy()
    known = shares[numpy.isfinite(shares)]
    constant = len(shares) - len(known)
    words = f"{label}, {len(known)} units" + (f"; {constant} constant ones have none" if constant else "")
    if len(known):
        low, high = min(0.0, float(known.min())), max(float(known.max()), value.total, 1e-3)
        bins = max(4, min(BINS, round(2 * len(known) ** 0.5)))
        ax.hist(known, bins=numpy.linspace(low, high, bins + 1), color=look.colour, alpha=0.45, linewidth=0,
                label=words, gid="series")  # fmt: skip
        middle = float(numpy.median(known))
        ax.axvline(middle, color=look.colour, linewidth=1.6, label=f"median unit {middle:.2f}".replace("-", "−"))
    ax.axvline(value.total, color=INK, linewidth=1.4, linestyle=(0, (4, 2)), gid="total",
               label=f"all units together {value.total:.2f}".replace("-", "−"))  # fmt: skip
    ax.set_xlabel("share of a unit’s variance that repeats")
    ax.set_ylabel("units")
    ax.yaxis.get_major_locator().set_params(integer=True)


def by_scale(ax: Any, value: Dimension, label: str, look: Series) -> None:
    """A dimension at each of its scales; the one that is reported is the filled mark at its height.

    Args:
        ax: the axes.
        value: with a curve over scales.
        label: name in the legend.
        look: colour, mark and line.
    """
    assert value.scales is not None
    assert value.by_scale is not None
    scales, found = value.scales.cpu().numpy(), value.by_scale.cpu().numpy()
    ax.plot(scales, found, color=look.colour, marker=look.mark, markerfacecolor="none", markersize=5,
            linestyle=look.line, linewidth=1.2, label=f"{label}: {value.value.value:.3g}", gid="series")  # fmt: skip
    nearest = int(numpy.nanargmin(numpy.abs(found - value.value.value)))
    ax.plot(scales[nearest], value.value.value, color=look.colour, marker=look.mark, markersize=7, linestyle="",
            gid="reported")  # fmt: skip
    ax.set_xscale("log")
    log_ticks(ax)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.08 * float(numpy.nanmax(found))))
    ax.set_xlabel(value.scale or "scale")
    ax.set_ylabel("dimension")
    if value.scale == "share of the stimuli":
        ax.axvline(1, color=REFERENCE, linewidth=0.8, linestyle=DOTTED, zorder=0, gid="reference")
