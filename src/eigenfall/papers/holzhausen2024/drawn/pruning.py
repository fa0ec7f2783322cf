"""What pruning does: weights as pictures, the variances that decide, and spectra before and after.

Source: Holzhausen et al. 2024, arXiv:2405.00679, Figure A1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from jaxtyping import Float, Float64
from torch import Tensor

from eigenfall.figures.fields import receptive
from eigenfall.figures.style import INK, PALETTE, log_ticks, plain, series
from eigenfall.papers.drawn import canvas
from eigenfall.papers.drawn.canvas import number
from eigenfall.types import ReceptiveFields

BINS = 50
SHOWN = 16


@dataclass(frozen=True, eq=False)
class Pruned:
    """A layer before and after pruning.

    Attributes:
        fields: weights of units as images, `(shown, channels, height, width)`; the first 16 are drawn.
        kept_fields: the same of units that were kept.
        variances: of each unit's weights, before pruning, `(units,)`.
        cutoff: units of this variance or more went; NaN: none did.
        raw: eigenvalues before pruning, largest first, by kind of input.
        pruned: after it.
        span: variances that the histogram is over.
    """

    fields: Float[Tensor, "shown channels height width"]
    kept_fields: Float[Tensor, "kept_shown channels height width"]
    variances: Float64[Tensor, " units"]
    cutoff: float
    raw: Mapping[str, Float64[Tensor, " ranks"]]
    pruned: Mapping[str, Float64[Tensor, " kept_ranks"]]
    span: tuple[float, float] = (1e-9, 3e-3)

    @property
    def gone(self) -> int:
        """How many units were pruned."""
        return 0 if math.isnan(self.cutoff) else int((self.variances >= self.cutoff).sum())


def weights(found: Pruned, title: str = "", stamp: str = "", note: str = "") -> Any:
    """16 units before and after pruning, the histogram of variances, and spectra that are not normalised.

    Args:
        found: the layer.
        title: what was found; "": how many units went, and λ₁ before and after.
        stamp: written across the figure.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no spectra to draw, or the weights are no images.
    """
    inputs = canvas.need_models(found.raw, "spectrum")
    first = ", ".join(
        f"{number(float(found.raw[which][0]))} to {number(float(found.pruned[which][0]))} on {which}"
        for which in inputs if which in found.pruned
    )  # fmt: skip
    total = len(found.variances)
    with canvas.house():
        gone = f"{found.gone} of {total} units are pruned; λ₁ goes from {first}" if found.gone else "No unit is pruned"
        figure = canvas.empty(7.6, title or gone)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
        left, middle, right = above.subplots(1, 3, width_ratios=(1, 1, 1.5))
        receptive(left, ReceptiveFields(found.fields[:SHOWN], total), "a  raw")
        receptive(middle, ReceptiveFields(found.kept_fields[:SHOWN], total - found.gone), "pruned")
        _variances(right, found)
        for ax, which in zip(below.subplots(1, len(inputs), squeeze=False)[0], inputs):
            _before_and_after(ax, found, which)
            ax.set_title(f"{'c  ' if which == inputs[0] else ''}spectrum on {plain(which)}")
        caption = (
            "a: weights of one unit each, on their own scale, grey or white is 0. b: variance of a unit’s weights over "
            "its inputs; units at the cutoff or above it go. c: eigenvalues λₙ of the centred code, not normalised."
        )
        return canvas.finish(figure, _keys(), f"{caption} {note}".strip(), stamp)


def _variances(ax: Any, found: Pruned) -> None:
    values = found.variances.numpy()
    low, high = found.span
    ax.hist(values, numpy.linspace(low, high, BINS + 1), color=PALETTE[0], alpha=0.6, gid="series")
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.5)
    outside = int(((values < low) | (values > high)).sum())
    if not math.isnan(found.cutoff):
        ax.axvline(found.cutoff, color=INK, linewidth=1.4, linestyle=(0, (4, 2)), gid="cutoff")
    ax.set_title("b  how many units" + (f" ({outside} lie outside)" if outside else ""))
    ax.set_xlabel("variance of a unit’s weights")
    ax.set_ylabel("units")
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-2, 2))


def _before_and_after(ax: Any, found: Pruned, which: str) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for values, place, style, gid in ((found.raw, 1, (0, (1, 1.2)), "raw"), (found.pruned, 0, "-", "pruned")):
        if which in values:
            some = values[which].numpy()
            ranks = numpy.arange(1, len(some) + 1)
            ax.plot(ranks[some > 0], some[some > 0], color=series(place).colour, linestyle=style, linewidth=2, gid=gid)
    ax.set_xlabel("rank n")
    ax.set_ylabel("λₙ, (response unit)²")
    log_ticks(ax)


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=PALETTE[1], linewidth=2, linestyle=(0, (1, 1.2)), label="raw"),
        Line2D([], [], color=PALETTE[0], linewidth=2, label="pruned"),
        Line2D([], [], color=INK, linewidth=1.4, linestyle=(0, (4, 2)), label="cutoff"),
    ]
