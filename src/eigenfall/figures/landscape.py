"""Decisions on a plane of inputs, and maps of what eigenvalues depend on."""

from typing import Any

import numpy

from eigenfall.check import need
from eigenfall.figures.style import PALETTE, REFERENCE, plain
from eigenfall.types import Landscape, SensitivityMap

SHADES = (*PALETTE, "#f0e442", "#999999", "#882255", "#332288")
"""One colour per decision, by its class: Okabe and Ito's, then four of Tol's."""

SHOWN = 8
DARK = "#15181d"
"""Lines and letters on light ground: ink that no reader's setting makes light."""


def decisions(ax: Any, value: Landscape, label: str) -> None:
    """Regions by colour, named by their class where they are largest; lines between them; what is outside, hatched.

    A dot is x₀; crosses are what the plane was put through.
    """
    from matplotlib.colors import to_rgb

    side, along = len(value.along), value.along.numpy()
    classes, inside = value.classes.numpy(), value.inside.numpy()
    reach = along[-1] + (along[1] - along[0]) / 2
    extent = (-reach, reach, -reach, reach)
    shades = numpy.array([to_rgb(SHADES[one % len(SHADES)]) for one in range(int(classes.max()) + 1)])
    picture = numpy.ones((side, side, 4))
    picture[..., :3] = 1 - 0.55 * (1 - shades[classes])
    picture[~inside] = 0
    if not inside.all():
        ax.set_facecolor("#e4e6e9")
        ax.patch.set_hatch("////")
        ax.patch.set_edgecolor(REFERENCE)
    marks = numpy.zeros((1, 2))
    if value.plane.marks is not None:
        marks = numpy.concatenate((marks, value.plane.marks.numpy()))
    ax.imshow(picture, origin="lower", extent=extent, interpolation="nearest", gid="series")
    for one in numpy.unique(classes[inside]):
        there = (classes == one) & inside
        if 0 < there.sum() < side * side:
            ax.contour(along, along, there.astype(float), levels=[0.5], colors=DARK, linewidths=0.7)
        if there.sum() >= 0.01 * side * side:
            rows, columns = numpy.nonzero(there)
            middle = numpy.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            at = numpy.array([along[columns[middle]], along[rows[middle]]])
            hidden = (abs(at - marks) < 0.08 * reach).all(1).any()
            ax.annotate(
                str(one),
                at,
                (0, 9 if hidden else 0),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=9,
                color=DARK,
            )
    ax.plot(0, 0, marker="o", color="white", markeredgecolor=DARK, markersize=6, linestyle="")
    if len(marks) > 1:
        across, up = marks[1:].T
        near = (abs(across) <= reach) & (abs(up) <= reach)
        ax.plot(across[near], up[near], marker="X", color="white", markeredgecolor=DARK, markersize=7, linestyle="")
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_xlabel(f"ξ₁, L2 of the input: {AXES[value.plane.kind][0]}")
    ax.set_ylabel(f"ξ₂: {AXES[value.plane.kind][1]}")
    ax.set_title(label, fontsize="medium")


AXES = {
    "random": ("a random direction", "another"),
    "adversarial": ("to the adversarial input", "a random direction"),
    "images": ("to a second image", "towards a third"),
}


def sensitivities(ax: Any, value: SensitivityMap, label: str) -> None:
    """Images, and under them for each rank ∂λ/∂x, summed over channels: red where more light makes λ larger, blue less.

    Every rank has its own colour scale, symmetric about 0.
    """
    images, maps = value.images, value.maps
    need(
        images.ndim == 4,
        expected="a map over images (stimuli, channels, height, width)",
        got=f"inputs of shape {tuple(images.shape)}",
        remedy="Reshape inside the model.",
    )
    count = min(SHOWN, len(images))
    grey = images[:count].float().mean(1).numpy()
    signed = maps[:, :count].float().sum(2).numpy()
    high, wide = grey.shape[1:]
    down, right = (1 + len(signed)) * (high + 1) - 1, count * (wide + 1) - 1
    picture = numpy.ones((down, right, 3))
    span = max(float(grey.max() - grey.min()), 1e-30)
    for place in range(count):
        left = place * (wide + 1)
        picture[:high, left : left + wide] = ((grey[place] - grey.min()) / span)[..., None]
        for row, one in enumerate(signed, start=1):
            share = one[place] / max(float(abs(one).max()), 1e-30)
            colour = numpy.ones((high, wide, 3))
            colour[..., 1:] -= numpy.clip(share, 0, 1)[..., None] * (1 - numpy.array([0.18, 0.17]))
            colour[..., :2] -= numpy.clip(-share, 0, 1)[..., None] * (1 - numpy.array([0.13, 0.4]))
            top = row * (high + 1)
            picture[top : top + high, left : left + wide] = numpy.clip(colour, 0, 1)
    ax.imshow(picture, interpolation="nearest", gid="series")
    names = [f"∂λ{subscript(rank)}/∂x" for rank in value.ranks]
    ax.set_yticks([high / 2 + row * (high + 1) for row in range(1 + len(names))], ["image", *names])
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(label or plain(value.layer), fontsize="medium")


def subscript(number: int) -> str:
    """A whole number in small digits below the line."""
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))
