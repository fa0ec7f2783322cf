"""Accuracy against epsilon, and critical distances as boxes.

    critical distance = ‖x − x′‖₂ of the smallest perturbation found that changes the decision

Source: Holzhausen et al. 2024, arXiv:2405.00679, Figure 1.
Differs from the source: boxes lie, so that any number of names can be read; images that nothing broke count as
infinitely far and are not dropped; every distance axis says its unit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need
from eigenfall.figures.robustness import NORMS
from eigenfall.figures.style import REFERENCE, Series, plain
from eigenfall.papers.drawn import canvas
from eigenfall.papers.drawn.canvas import Unit, number, quartiles


@dataclass(frozen=True, eq=False)
class Attacked:
    """One model under one perturbation.

    Attributes:
        epsilons: ascending and positive, `(epsilons,)`.
        accuracy: at each, relative to that without a perturbation, `(seeds, epsilons)`.
        distances: critical distances of the images of all seeds, `(images,)`; infinite: nothing broke the image.
        paper: the paper's median; NaN: not drawn.
    """

    epsilons: Float64[Tensor, " epsilons"]
    accuracy: Float64[Tensor, "seeds epsilons"]
    distances: Float64[Tensor, " images"]
    paper: float = math.nan


@dataclass(frozen=True)
class Perturbation:
    """A way of perturbing, and how each model stands it.

    Attributes:
        name: what a reader calls it.
        norm: what epsilon is: "gaussian", "Linf" or "L2".
        models: by name.
        measure: what a critical distance is.
    """

    name: str
    norm: str
    models: Mapping[str, Attacked]
    measure: str = "L2 norm"


def robustness(
    found: Sequence[Perturbation],
    unit: Unit,
    title: str = "",
    stamp: str = "",
    study: Sequence[str] = (),
    relative: bool = True,
    note: str = "",
) -> Any:
    """Accuracy against epsilon, and critical distances as boxes, a row per perturbation.

    Epsilon's axis begins a decade below the first that costs a model 1 % of its accuracy.

    Args:
        found: a row each.
        unit: of epsilon and of distances.
        title: what was found; "": the medians.
        stamp: written across the figure.
        study: all models of the study in order, so that each keeps its look.
        relative: whether accuracies are shares of the images that were right without a perturbation.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw, or an epsilon has no place on a logarithmic axis.
    """
    names = canvas.in_all(one.models for one in found)
    look = canvas.looks(names, study)
    with canvas.house():
        figure = canvas.empty(1.9 + len(found) * max(2.9, 1.5 + 0.24 * len(names)), title or _furthest(found, unit))
        for (left, right), one in zip(figure.subplots(len(found), 2, squeeze=False), found):
            _accuracy(left, one, unit, look, relative)
            _boxes(right, one, unit, look)
        keys = [canvas.key(look[name], name) for name in names]
        if any(math.isfinite(each.paper) for one in found for each in one.models.values()):
            keys.append(canvas.hollow())
        counts = [len(each.accuracy) for one in found for each in one.models.values()]
        caption = (
            ("Relative: of what the unperturbed model classifies correctly. " if relative else "")
            + canvas.seeds_told(counts, "Left, line", "band: their range")
            + ("; dotted: one half, where ε₅₀ is read" if relative else "")
            + ". Right: images of all seeds; line: median, box: quartiles, "
            "whiskers: to the last within 1.5 boxes; images further out are not drawn. In brackets: share of images "
            "that nothing broke; they count as infinitely far, and ▶ ends a box whose quartile they are."
        )
        return canvas.finish(figure, keys, f"{caption} {note}".strip(), stamp)


def _furthest(found: Sequence[Perturbation], unit: Unit) -> str:
    """Which model has the largest median under each perturbation."""
    best = {}
    for one in found:
        medians = {name: quartiles(each.distances)[1] for name, each in one.models.items()}
        most = max(medians.values())
        name = " and ".join(name for name, median in medians.items() if median == most)
        best[one.name] = name, number(most) if math.isfinite(most) else "beyond the largest ε"
    leaders = {name for name, _ in best.values()}
    if len(leaders) == 1:
        told = ", ".join(f"{median} under {which}" for which, (_, median) in best.items())
        return f"{leaders.pop()}: largest median critical distance, {told}, in {unit.name}"
    told = ", ".join(f"{name} under {which} ({median})" for which, (name, median) in best.items())
    return f"Largest median critical distance, in {unit.name}: {told}"


def _accuracy(ax: Any, one: Perturbation, unit: Unit, look: Mapping[str, Series], relative: bool) -> None:
    ax.set_xscale("log")
    starts, ends = [], []
    for name, each in one.models.items():
        smallest = float(each.epsilons.min())
        need(smallest > 0, expected=f"positive epsilons for {name}", got=f"{smallest:g}",
             remedy="Leave out what is not perturbed: the axis is logarithmic.")  # fmt: skip
        canvas.curve(ax, each.epsilons, each.accuracy, look[name])
        mean = each.accuracy.mean(0)
        hurt = each.epsilons[mean < 0.99 * mean[0]]
        starts.append(float(hurt[0]) / 10 if len(hurt) else float(each.epsilons[-1]) / 10)
        ends.append(float(each.epsilons[-1]))
    first = min(float(each.epsilons[0]) for each in one.models.values())
    ax.set_xlim(max(first, min(starts)), max(ends))
    ax.set_ylim(0, 1.03)
    if relative:
        ax.axhline(0.5, color=REFERENCE, linewidth=0.9, linestyle=":", zorder=1)
    words = "relative accuracy" if relative else "accuracy"
    ax.set_ylabel(words)
    ax.set_title(f"{plain(one.name)}: {words}")
    canvas.distance_axis(ax, f"ε, {NORMS.get(one.norm, one.norm)}", unit, log=True)


def _boxes(ax: Any, one: Perturbation, unit: Unit, look: Mapping[str, Series]) -> None:
    """Boxes that lie, first model on top; a quartile that is infinite ends the box at the edge with an arrow."""
    boxes = {name: (*quartiles(each.distances), *_whiskers(each.distances)) for name, each in one.models.items()}
    ends = [value for box in boxes.values() for value in box if math.isfinite(value)]
    edge = 1.06 * max([*ends, *(each.paper for each in one.models.values() if math.isfinite(each.paper))], default=1.0)
    ticks = []
    for place, (name, each) in enumerate(one.models.items()):
        first, middle, third, low, high = boxes[name]
        colour = look[name].colour
        left, right = min(first, edge), min(third, edge)
        ax.barh(place, right - left, left=left, height=0.6, facecolor=(colour, 0.35), edgecolor=colour, linewidth=1.2)
        ax.plot([low, left], [place] * 2, color=colour, linewidth=1.2, gid="whisker")
        if math.isfinite(third):
            ax.plot([right, high], [place] * 2, color=colour, linewidth=1.2, gid="whisker")
        else:
            ax.plot(edge, place, marker=">", markersize=8, color=colour, clip_on=False, gid="beyond", zorder=6)
        if math.isfinite(middle):
            ax.plot([middle] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=3, gid="median",
                    solid_capstyle="butt")  # fmt: skip
        if math.isfinite(each.paper):
            canvas.published(ax, each.paper, place, look[name])
        unbroken = float(torch.isinf(each.distances).double().mean())
        ticks.append(plain(name, 24) + (f" ({100 * unbroken:.2g} %)" if unbroken else ""))
    ax.set_yticks(range(len(ticks)), ticks, fontsize=9.5)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(ticks) - 0.4, -0.6)
    ax.set_xlim(0, edge)
    ax.set_title(f"{plain(one.name)}: critical distance")
    canvas.distance_axis(ax, f"critical distance, {one.measure}", unit)


def _whiskers(distances: Float64[Tensor, " images"]) -> tuple[float, float]:
    """Tukey's: the last distances within 1.5 times the box; where the box has no end, the smallest and infinity."""
    first, _, third = quartiles(distances)
    if not math.isfinite(third):
        return float(distances.min()), math.inf
    reach = 1.5 * (third - first)
    near = distances[(distances >= first - reach) & (distances <= third + reach)]
    return float(near.min()), float(near.max())
