"""What a learnt layer looks like: weights of its units as pictures, and how far their norms have come."""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from eigenfall.check import need
from eigenfall.figures.style import REFERENCE, Series
from eigenfall.types import Convergence, ReceptiveFields

RED, BLUE = numpy.array([1.0, 0.18, 0.17]), numpy.array([0.13, 0.4, 1.0])
"""Weights that want light, and weights that want dark."""
BINS = 40


def receptive(ax: Any, value: ReceptiveFields, label: str) -> None:
    """Weights of each unit: of one channel, red above 0 and blue below; of three, their colours about grey.

    Every unit has its own scale, symmetric about 0.
    """
    weights = value.weights.float()
    need(
        weights.ndim == 4 and weights.shape[1] in (1, 3),
        expected="weights over images (shown, 1 or 3 channels, height, width)",
        got=f"shape {tuple(weights.shape)}",
        remedy="Only layers that learn from images have receptive fields to look at.",
    )
    count, _, high, wide = weights.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    picture = numpy.ones((down * (high + 1) - 1, across * (wide + 1) - 1, 3))
    for place, unit in enumerate(weights.numpy()):
        share = unit / max(float(abs(unit).max()), 1e-30)
        top, left = (place // across) * (high + 1), (place % across) * (wide + 1)
        picture[top : top + high, left : left + wide] = _coloured(share)
    ax.imshow(numpy.clip(picture, 0, 1), interpolation="nearest", gid="series")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(f"{label}: {count} of {value.units} units", fontsize="medium")


def _coloured(share: numpy.ndarray) -> numpy.ndarray:
    """Shares from −1 to 1, `(channels, height, width)`, as a picture."""
    if len(share) == 3:
        return 0.5 + 0.5 * share.transpose(1, 2, 0)
    above, below = numpy.clip(share[0], 0, 1)[..., None], numpy.clip(-share[0], 0, 1)[..., None]
    return 1 - above * (1 - RED) - below * (1 - BLUE)


def norms(ax: Any, values: Sequence[Convergence], label: str, look: Series) -> None:
    """How many units have which norm, over the radius; seeds together. Converged ones stand at 1."""
    found = numpy.concatenate([(value.norms / value.radius).numpy() for value in values])
    top = max(2.0, float(numpy.percentile(found, 99.5)))
    beyond = int((found > top).sum())
    words = f"{label}, {beyond} beyond" if beyond else label
    ax.hist(found.clip(max=top), numpy.linspace(0, top, BINS + 1), histtype="step", color=look.colour, label=words)
    if not any(line.get_gid() == "radius" for line in ax.get_lines()):
        ax.axvline(1, color=REFERENCE, linewidth=0.8, linestyle=":", gid="radius")
    ax.set_xlabel("norm of a unit’s weights ‖W‖ₚ over the radius R")
    ax.set_ylabel("units")
