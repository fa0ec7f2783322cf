"""What stands beside an exponent: slope rank by rank, other windows, fewer stimuli or units, simulations, rivals."""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from eigenfall.figures.names import called
from eigenfall.figures.style import INK, PALETTE, REFERENCE, Series, log_ticks, plain
from eigenfall.types import Estimate, LawScore, LocalSlopes, SimulatedBias, SpectrumFit, Subsampling

DOTTED = (0, (1, 1.5))
STRONGEST = 0.5
"""Opacity of the cell of a window whose exponent is farthest from that of the fit's own."""


def _minus(text: str) -> str:
    return text.replace("-", "−")


def slopes(ax: Any, values: Sequence[LocalSlopes], label: str, look: Series, fits: Sequence[SpectrumFit] = ()) -> None:
    """Local exponent against rank, a line per seed, gaps where there is none; the fitted one inside its window.

    Args:
        ax: the axes.
        values: one per seed.
        label: name in the legend.
        look: colour, mark and line.
        fits: of the same spectrum; the first is drawn.
    """
    ax.set_xscale("log")
    for place, value in enumerate(values):
        ranks, alpha = value.ranks.cpu().numpy(), value.alpha.cpu().numpy()
        name = f"{label}, ranks n/{math.sqrt(value.span):.2g} to {math.sqrt(value.span):.2g} n" if not place else "_"
        ax.plot(ranks, alpha, color=look.colour, linestyle=look.line, linewidth=1.6, label=name, gid="series")
    if fits:
        (first, last), alpha = fits[0].used, fits[0].parameters["alpha"]
        ax.axvspan(first, last, color=REFERENCE, alpha=0.13, linewidth=0, zorder=0, gid="reference",
                   label=f"window of the fit, ranks {first}–{last}")  # fmt: skip
        if not math.isnan(alpha.low):
            ax.fill_between([first, last], alpha.low, alpha.high, color=INK, alpha=0.1, linewidth=0)
        ax.plot([first, last], [alpha.value] * 2, color=INK, linewidth=1, linestyle=(0, (4, 2)), gid="reference",
                label=_minus(f"fit over the whole window, α = {alpha.value:.2f}"))  # fmt: skip
    log_ticks(ax)
    ax.set_xlabel("rank n")
    ax.set_ylabel("local exponent −d ln λ / d ln n")


def windows(ax: Any, fits: Sequence[SpectrumFit]) -> Any:
    """Exponent in a table of windows: a row per first rank, a column per last rank, the fit's own window in a frame.

    The farther an exponent lies from the own window's, the stronger the cell's colour: blue below, vermilion above.

    Args:
        ax: the axes.
        fits: the same fit in several windows, its own first.

    Returns:
        The axes.
    """
    own = fits[0].alpha
    cells = {fit.used: fit.alpha for fit in reversed(fits)}  # of two that used the same window the first
    firsts, lasts = (sorted({used[end] for used in cells}) for end in (0, 1))
    farthest = max(abs(alpha - own) for alpha in cells.values()) or 1.0
    for (first, last), alpha in cells.items():
        x, y = lasts.index(last), firsts.index(first)
        ax.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], linewidth=0,
                color=PALETTE[1 if alpha > own else 0], alpha=STRONGEST * abs(alpha - own) / farthest)  # fmt: skip
        ax.text(x, y, _minus(f"{alpha:.2f}"), ha="center", va="center", fontsize="small", color=INK, gid="alpha")
    x, y = lasts.index(fits[0].used[1]), firsts.index(fits[0].used[0])
    ax.plot([x - 0.5, x + 0.5, x + 0.5, x - 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5, y - 0.5], color=INK,
            linewidth=1.6, clip_on=False, zorder=4, gid="own", label=f"the fit’s own window, ranks {fits[0].used[0]}–"
            f"{fits[0].used[1]}")  # fmt: skip
    ax.set_xticks(range(len(lasts)), [str(last) for last in lasts])
    ax.set_yticks(range(len(firsts)), [str(first) for first in firsts])
    ax.set_xlim(-0.5, len(lasts) - 0.5)
    ax.set_ylim(len(firsts) - 0.5, -0.5)
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlabel("last rank of the window")
    ax.set_ylabel("first rank")
    return ax


def subsampled(ax: Any, value: Subsampling, label: str, look: Series) -> None:
    """Exponent against how many units or stimuli were kept, with intervals; a window that had to change is named.

    Args:
        ax: the axes.
        value: the curve.
        label: name in the legend.
        look: colour, mark and line.
    """
    counts, alphas = value.counts.tolist(), [one.value for one in value.alphas]
    ax.set_xscale("log")
    ax.axhline(alphas[-1], color=REFERENCE, linewidth=0.8, linestyle=DOTTED, zorder=0, gid="reference",
               label=_minus(f"all {counts[-1]} {value.over}: α = {alphas[-1]:.2f}"))  # fmt: skip
    _bars(ax, counts, value.alphas, look, upright=True)
    ax.plot(counts, alphas, color=look.colour, marker=look.mark, linestyle=look.line, markersize=6, linewidth=1.2,
            label=label, gid="series")  # fmt: skip
    for count, alpha, ranks in zip(counts, value.alphas, value.windows):
        if ranks != value.windows[-1]:
            top = alpha.high if math.isfinite(alpha.high) else alpha.value
            ax.annotate(f"{ranks[0]}–{ranks[1]}", (count, top), (0, 4), textcoords="offset points", ha="center",
                        fontsize="x-small", color=REFERENCE)  # fmt: skip
    if any(ranks != value.windows[-1] for ranks in value.windows):
        ax.plot([], [], color="none", label="grey numbers: ranks of a window that had to change", gid="reference")
    ticks = sorted({*getattr(ax, "eigenfall_counts", ()), *counts})
    ax.eigenfall_counts = ticks
    ax.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
    ax.margins(y=0.2)
    log_ticks(ax)
    if len(ticks) == len(counts):  # one curve: its own counts
        ax.set_xticks(ticks, [str(count) for count in ticks])
    ax.set_xlabel(f"{value.over} kept")
    ax.set_ylabel("exponent α (no unit)")


def biases(ax: Any, values: Sequence[SimulatedBias], look: Series) -> None:
    """A row per simulation: what was planted, what the fit says of noise-free responses, and what was found.

    Args:
        ax: the axes.
        values: one per estimator and fit.
        look: colour and mark of what was found.
    """
    for row, value in enumerate(values):
        first = row == 0
        across = (value.found.value - value.spread, value.found.value + value.spread)
        ax.plot(across, [row] * 2, color=look.colour, linewidth=1, gid="spread",
                label="± s.d. over simulated recordings" if first else "_")  # fmt: skip
        _bars(ax, [row], [value.found], look, upright=False)
        ax.plot(value.found.value, row, color=look.colour, marker=look.mark, markersize=7, linestyle="", gid="series",
                label="found, mean with its 95 % interval" if first else "_")  # fmt: skip
        ax.plot([value.truth] * 2, [row - 0.32, row + 0.32], color=INK, linewidth=2, solid_capstyle="butt", gid="truth",
                label="planted" if first else "_")  # fmt: skip
        if math.isfinite(value.sample_truth):
            ax.plot(value.sample_truth, row, color=INK, marker="d", markersize=8, markerfacecolor="none", linestyle="",
                    gid="sample", zorder=5)  # fmt: skip
    if any(math.isfinite(value.sample_truth) for value in values):
        ax.plot([], [], color=INK, marker="d", markersize=8, markerfacecolor="none", linestyle="",
                label="same fit, noise-free responses")  # fmt: skip
    _rows(ax, [f"{called(value.estimator)},\n{called(value.method)}" for value in values])
    ax.set_xlabel("exponent α (no unit)")


def laws(ax: Any, values: Sequence[LawScore], look: Series) -> None:
    """A row per rival law: held-out error² less that of the power law, with its interval; left of 0 is better.

    Args:
        ax: the axes.
        values: one per law; the power law itself is the line at 0.
        look: colour and mark.
    """
    rivals = [value for value in values if not _is_power(value)]
    for row, value in enumerate(rivals):
        _bars(ax, [row], [value.against_power], look, upright=False)
        ax.plot(value.against_power.value, row, color=look.colour, marker=look.mark, markersize=7, linestyle="",
                gid="series")  # fmt: skip
    powers = [value.error.value for value in values if _is_power(value)]
    error = f", error {powers[0]:.3g}" if powers else ""
    ax.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0, gid="reference", label=f"power law{error}")
    _rows(ax, [f"{called(value.fit.method)},\nerror {value.error.value:.3g}" for value in rivals])
    ax.set_xlabel("held-out error² less the power law’s; < 0: better")


def _is_power(value: LawScore) -> bool:
    return value.against_power.value == 0 and not value.against_power.high > value.against_power.low


def _bars(ax: Any, places: Sequence[float], estimates: Sequence[Estimate], look: Series, upright: bool) -> None:
    """Intervals as thick bars, where there are any."""
    for place, one in zip(places, estimates):
        if math.isfinite(one.low) and math.isfinite(one.high):
            ends = ([place] * 2, [one.low, one.high])
            ax.plot(*(ends if upright else ends[::-1]), color=look.colour, linewidth=3, alpha=0.55,
                    solid_capstyle="butt", gid="interval")  # fmt: skip


def _rows(ax: Any, names: Sequence[str]) -> None:
    """Named rows from the top, lines between them."""
    ax.set_yticks(range(len(names)), ["\n".join(plain(line, 24) for line in name.split("\n")) for name in names])
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color=REFERENCE, linewidth=0.5, alpha=0.4)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=6)
    low, high = ax.get_xlim()
    ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))


def told_windows(fits: Sequence[SpectrumFit]) -> str:
    """The finding of a table of windows, in words."""
    alphas = numpy.array([fit.alpha for fit in fits])
    own = f"α = {alphas[0]:.2f} over ranks {fits[0].used[0]}–{fits[0].used[1]}"
    if len(fits) == 1:
        return _minus(f"{own}; no other window can be fitted")
    return _minus(f"{own}, from {alphas.min():.2f} to {alphas.max():.2f} over {len(fits)} windows")
