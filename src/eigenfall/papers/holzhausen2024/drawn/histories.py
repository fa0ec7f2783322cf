"""What training logged, model by model.

Source: Holzhausen et al. 2024, arXiv:2405.00679: curves of the released runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from eigenfall.figures.style import log_ticks, plain
from eigenfall.papers.drawn import canvas


@dataclass(frozen=True, eq=False)
class Logged:
    """One quantity of one model over epochs.

    Attributes:
        epochs: when it was logged, `(points,)`.
        values: `(seeds, points)`.
    """

    epochs: Float64[Tensor, " points"]
    values: Float64[Tensor, "seeds points"]


@dataclass(frozen=True)
class History:
    """One quantity over training.

    Attributes:
        name: what is logged, with its unit: the ordinate.
        models: by name.
        log: on a logarithmic ordinate.
    """

    name: str
    models: Mapping[str, Logged]
    log: bool = False


def training_curves(found: Sequence[History], title: str = "", stamp: str = "", study: Sequence[str] = ()) -> Any:
    """Curves over epochs, a panel per quantity: mean over seeds with their range.

    Args:
        found: a panel each.
        title: what was found; "": where the first quantity ends.
        stamp: written across the figure.
        study: all models of the study in order, so that each keeps its look.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    names = canvas.in_all(one.models for one in found)
    look = canvas.looks(names, study)
    if not title:
        ends = {name: float(each.values[:, -1].mean()) for name, each in found[0].models.items()}
        title = f"At the end, {found[0].name}: {canvas.told(ends)}"
    across = min(len(found), 2)
    down = -(-len(found) // across)
    with canvas.house():
        figure = canvas.empty(1.8 + 3.2 * down, title)
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for ax, one in zip(panels, found):
            for name, each in one.models.items():
                canvas.curve(ax, each.epochs, each.values, look[name])
            if one.log:
                ax.set_yscale("log")
                log_ticks(ax, upright=True)
            ax.set_xlabel("epoch")
            ax.set_ylabel(plain(one.name))
        for ax in panels[len(found) :]:
            ax.remove()
        keys = [canvas.key(look[name], name) for name in names]
        counts = [len(each.values) for one in found for each in one.models.values()]
        return canvas.finish(figure, keys, canvas.seeds_told(counts, "Line", "band: their range") + ".", stamp)
