"""Accuracy against epsilon, and critical distances as survival curves."""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from eigenfall.figures.style import REFERENCE, Series, across_seeds
from eigenfall.types import Estimate, RobustnessCurve

WIDTHS = {"worst case": 2.6, "single step": 1.1, "noise": 1.1}
STYLES = {"worst case": "-", "single step": (0, (4, 2)), "noise": (0, (1, 1.2))}
NORMS = {"Linf": "L∞ norm", "L2": "L2 norm", "gaussian": "standard deviation of the noise"}


def kind(curve: RobustnessCurve) -> str:
    """Noise, a single step, or the worst case over attacks."""
    if curve.threat.norm == "gaussian":
        return "noise"
    names = {part.partition(":")[0].partition("@")[0] for part in curve.attacks.values()}
    return "single step" if names == {"fgsm"} else "worst case"


def accuracies(curve: RobustnessCurve) -> tuple[tuple[float, ...], tuple[Estimate, ...]]:
    """Budgets from 0, and the accuracy at each: clean, then monotone worst case, or for noise the mean of draws."""
    if kind(curve) == "noise":
        found = tuple(Estimate(value) for value in curve.mean_accuracy())
    else:
        found = curve.accuracy()
    if curve.epsilons[0] == 0:
        return curve.epsilons, found
    return (0.0, *curve.epsilons), (Estimate(float(curve.clean_correct.double().mean())), *found)


def unit(curve: RobustnessCurve) -> str:
    """What epsilon counts, for an axis."""
    held = "[0, 1] pixels" if curve.threat.unit == "pixel" else curve.threat.unit
    return f"ε, {NORMS.get(curve.threat.norm, curve.threat.norm)}, in {held}"


def accuracy(ax: Any, curves: Sequence[RobustnessCurve], label: str, look: Series) -> None:
    """Mean over seeds against epsilon, thick for the worst case; band and points of the seeds, or Wilson's band.

    The axes start at 0; epsilon is in the threat's unit below and, for pixels, in n/255 above.
    """
    epsilons = accuracies(curves[0])[0]
    by_seed = [accuracies(curve)[1] for curve in curves if accuracies(curve)[0] == epsilons]
    means = [across_seeds(found, 0.0, 1.0) for found in zip(*by_seed)]
    what = kind(curves[0])
    ax.plot(
        epsilons, [mean.value for mean in means], color=look.colour, linewidth=WIDTHS[what], linestyle=STYLES[what],
        marker=look.mark if what == "worst case" else "", markersize=5, label=label, gid="series", zorder=3,
    )  # fmt: skip
    if what == "worst case":
        ends = [(mean.value, mean.value) if math.isnan(mean.low) else (mean.low, mean.high) for mean in means]
        ax.fill_between(epsilons, *zip(*ends), color=look.colour, alpha=0.16, linewidth=0)
        if len(by_seed) > 1:
            for found in by_seed:
                ax.plot(
                    epsilons,
                    [seed.value for seed in found],
                    color=look.colour,
                    marker=".",
                    markersize=3,
                    alpha=0.6,
                    linestyle="",
                )
    _grounds(ax, curves[0], epsilons[-1])


def _grounds(ax: Any, curve: RobustnessCurve, last: float) -> None:
    """Axes from 0; what the first curve counts epsilon in names the axis, and its last epsilon ends it."""
    if getattr(ax, "eigenfall_epsilon", None) is not None:
        return
    ax.eigenfall_epsilon = last
    ax.set_xlim(0, last * 1.02 if last > 0 else 1)
    ax.set_ylim(0, 1.02)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    ax.set_ylabel("images classified correctly, %")
    ax.set_xlabel(unit(curve))
    if curve.threat.unit == "pixel" and curve.threat.bounds == (0.0, 1.0):
        above = ax.secondary_xaxis("top", functions=(lambda pixels: pixels * 255, lambda levels: levels / 255))
        above.set_xlabel("ε in n/255")


def guessing(ax: Any, share: float) -> None:
    """The accuracy of guessing, dotted."""
    ax.axhline(
        share,
        color=REFERENCE,
        linewidth=1.2,
        linestyle=":",
        label=f"guessing, {100 * share:.3g} %",
        zorder=1,
        gid="reference",
    )


def survival(ax: Any, curves: Sequence[RobustnessCurve], label: str, look: Series) -> None:
    """Share of images whose critical distance is larger, against distance; the legend gives the censored share.

    All images are censored at the same, largest epsilon, so that Kaplan and Meier's curve is the plain share.
    Curves without distances are left out.
    """
    found = [curve.distances.cpu().numpy() for curve in curves if curve.distances is not None]
    if not found:
        return
    last = curves[0].epsilons[-1]
    grid = numpy.unique(numpy.concatenate([[0.0], *(seed[numpy.isfinite(seed)] for seed in found), [last]]))
    shares = numpy.stack([1 - numpy.searchsorted(numpy.sort(seed), grid, side="right") / len(seed) for seed in found])
    if len(found) > 1:
        for share in shares:
            ax.step(grid, share, where="post", color=look.colour, linewidth=0.7, alpha=0.5)
    censored = float(numpy.mean([numpy.isinf(seed).mean() for seed in found]))
    ax.step(
        grid, shares.mean(0), where="post", color=look.colour, linestyle=look.line, linewidth=2.2, gid="series",
        label=f"{label}: {100 * censored:.1f} % censored at ε = {last:.3g}",
    )  # fmt: skip
    _grounds(ax, curves[0], last)
    ax.set_ylabel("images that survive, %")
    ax.set_xlabel(unit(curves[0]).replace("ε", "critical distance", 1))
