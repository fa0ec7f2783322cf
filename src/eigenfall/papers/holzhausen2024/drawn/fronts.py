"""Accuracy against critical distance: models as points, sweeps as fronts; and the spectral nets on MNIST.

Source: Holzhausen et al. 2024, arXiv:2405.00679, Figure A2 and the spectral nets on MNIST.
Differs from the source: a penalty's strengths are joined to a front, so that models are compared at equal accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.figures.style import REFERENCE, Series, plain
from eigenfall.papers.drawn import canvas
from eigenfall.papers.drawn.canvas import Unit, number
from eigenfall.types import Estimate


@dataclass(frozen=True, eq=False)
class Standing:
    """Where one setting of a model stands.

    Attributes:
        accuracy: on test images, a share, `(seeds,)`.
        distance: median critical distance, `(seeds,)`.
        label: what the setting is, such as "strength 1e-3"; "" for none.
    """

    accuracy: Float64[Tensor, " seeds"]
    distance: Float64[Tensor, " seeds"]
    label: str = ""


@dataclass(frozen=True)
class Front:
    """Models under one perturbation, each a point or a sweep.

    Attributes:
        name: of the perturbation.
        models: by name, the settings in the order of their strength: a line joins them.
        paper: accuracy and distance that the paper gives, by model.
        measure: what a critical distance is.
    """

    name: str
    models: Mapping[str, tuple[Standing, ...]]
    paper: Mapping[str, tuple[float, float]]
    measure: str = "L2 norm"


def accuracy_against_distance(
    found: Sequence[Front], unit: Unit, title: str = "", stamp: str = "", study: Sequence[str] = (), note: str = ""
) -> Any:
    """Median critical distance against test accuracy, a panel per perturbation; a sweep's points are joined.

    Args:
        found: a panel each.
        unit: of distances.
        title: what was found; "": which model stands furthest off, and its accuracy.
        stamp: written across the figure.
        study: all models of the study in order, so that each keeps its look.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    names = canvas.in_all([name for name, settings in one.models.items() if settings] for one in found)
    look = canvas.looks(names, study)
    with canvas.house():
        down = -(-len(found) // 2)
        figure = canvas.empty(1.8 + 3.9 * down, title or "; ".join(_furthest(one) for one in found))
        panels = list(figure.subplots(down, min(len(found), 2), squeeze=False).flat)
        for ax, one in zip(panels, found):
            _front(ax, one, unit, look)
        for ax in panels[len(found) :]:
            ax.remove()
        keys = [canvas.key(look[name], name) for name in names]
        if any(one.paper for one in found):
            keys.append(canvas.hollow())
        counts = [len(each.distance) for one in found for settings in one.models.values() for each in settings]
        caption = canvas.seeds_told(counts, "Mark", "bars: its 95 % intervals") + ". A line joins a model’s settings."
        return canvas.finish(figure, keys, f"{caption} {note}".strip(), stamp)


def _furthest(one: Front) -> str:
    means = {
        (name, each.label): (float(each.distance.mean()), float(each.accuracy.mean()))
        for name, settings in one.models.items() for each in settings
    }  # fmt: skip
    name, label = max(means, key=lambda which: means[which][0])
    distance, accuracy = means[name, label]
    words = f"{name}, {label}" if label else name
    return f"{one.name}: {words} stands furthest off, {number(distance)} at {100 * accuracy:.1f} % correct"


def _front(ax: Any, one: Front, unit: Unit, look: Mapping[str, Series]) -> None:
    """Points and lines; the first and the last setting of a sweep are named."""
    for name, settings in one.models.items():
        across = [canvas.over_seeds(100 * each.accuracy, 0.0, 100.0) for each in settings]
        up = [canvas.over_seeds(each.distance, 0.0) for each in settings]
        if len(settings) > 1:
            ax.plot([each.value for each in across], [each.value for each in up], color=look[name].colour,
                    linestyle=look[name].line, linewidth=1.4, gid="sweep", zorder=2)  # fmt: skip
        for place, each in enumerate(settings):
            canvas.cross(ax, across[place], up[place], look[name])
            if each.label and place in (0, len(settings) - 1):
                side, away = ("left", (8, 6)) if place else ("right", (-8, -13))
                ax.annotate(plain(each.label, 20), (across[place].value, up[place].value), away, ha=side, fontsize=8.5,
                            textcoords="offset points", color=look[name].colour, zorder=6)  # fmt: skip
        if name in one.paper:
            canvas.published(ax, 100 * one.paper[name][0], one.paper[name][1], look[name])
    ax.margins(0.15, 0.1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("test images classified correctly, %")
    ax.set_title(plain(one.name))
    canvas.distance_axis(ax, f"median critical distance, {one.measure}", unit, upright=True)


def mnist_spectral(
    found: Mapping[str, Standing],
    unit: Unit,
    paper: Mapping[str, tuple[float, float]],
    title: str = "",
    stamp: str = "",
    study: Sequence[str] = (),
    measure: str = "L2 norm",
    note: str = "",
) -> Any:
    """Accuracy and median random distance of the nets on MNIST, with and without the spectral penalty.

    Args:
        found: by net.
        unit: of distances.
        paper: accuracy and distance that the paper gives, by net; may be empty.
        title: what was found; "": the distances.
        stamp: written across the figure.
        study: all nets in order, so that each keeps its look.
        measure: what a critical distance is.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw, or the paper's nets are none of those drawn.
    """
    names = canvas.need_models(found, "net")
    stray = sorted(set(paper) - set(names))
    need(not stray, expected=f"the paper’s values of {', '.join(names)}", got=f"one of {', '.join(stray)}",
         remedy="Name the nets alike.")  # fmt: skip
    look = canvas.looks(names, study)
    medians = {name: float(one.distance.mean()) for name, one in found.items()}
    with canvas.house():
        figure = canvas.empty(
            2.3 + 0.42 * len(names), title or f"Median distance under random noise: {canvas.told(medians)}"
        )
        left, right = figure.subplots(1, 2, sharey=True)
        for place, (name, one) in enumerate(found.items()):
            row = Estimate(place)
            canvas.cross(left, canvas.over_seeds(100 * one.accuracy, 0.0, 100.0), row, look[name])
            canvas.cross(right, canvas.over_seeds(one.distance, 0.0), row, look[name])
            if name in paper:
                canvas.published(left, 100 * paper[name][0], place, look[name])
                canvas.published(right, paper[name][1], place, look[name])
        left.set_yticks(range(len(names)), [plain(name, 24) for name in names])
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set_xlabel("test images classified correctly, %")
        right.set_xlim(left=0)
        for ax in (left, right):
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="y", color=REFERENCE, alpha=0.25, linewidth=0.6)
        canvas.distance_axis(right, f"median critical distance, {measure}", unit)
        counts = [len(one.accuracy) for one in found.values()]
        caption = canvas.seeds_told(counts, "Mark", "bar: its 95 % interval") + "."
        return canvas.finish(figure, [canvas.hollow()] if paper else [], f"{caption} {note}".strip(), stamp)
