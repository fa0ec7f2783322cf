"""Figures 2, 3 and 4 and those of the appendix: for each network spectra, accuracies, and maps below them.

Source: Nassar et al. 2020, arXiv:2012.04729, Figures 2-4 (layout; ranges of the axes are not known).
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from eigenfall.figures.style import INK, Series, plain
from eigenfall.papers.drawn import canvas
from eigenfall.papers.nassar2020.drawn import curves
from eigenfall.papers.nassar2020.drawn.curves import Panel
from eigenfall.types import Row

MAP = 1.0
"""Inches that a row of maps is high."""


@dataclass(frozen=True, eq=False)
class Maps:
    """What a few images would have to change by to raise an eigenvalue, for one arm.

    Attributes:
        arm: whose.
        seed: of it.
        layer: whose covariance.
        ranks: of the eigenvalues, from 1.
        images: the inputs, `(images, height, width)`.
        maps: ∂λₙ/∂x, `(ranks, images, height, width)`.
    """

    arm: str
    seed: int
    layer: str
    ranks: tuple[int, ...]
    images: Float[Tensor, "images height width"]
    maps: Float[Tensor, "ranks images height width"]


@dataclass(frozen=True, eq=False)
class Part:
    """One network of a figure.

    Attributes:
        net: its name, the first word of it the network's.
        spectra: a panel per layer; may be empty.
        accuracies: a panel per perturbation.
        maps: one per arm; may be empty.
        guide: the arm through whose eigenvalue the line 1/n goes.
        summary: α, straightness and dimensions of every spectrum, arm by arm, as rows of numbers.
    """

    net: str
    spectra: tuple[Panel, ...]
    accuracies: tuple[Panel, ...]
    maps: tuple[Maps, ...] = ()
    guide: str = ""
    summary: tuple[Row, ...] = ()

    @property
    def trained(self) -> str:
        """The network itself, as arms name it."""
        return self.net.partition(",")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Arms in the order in which they first appear."""
        return tuple(dict.fromkeys(arm for panel in (*self.spectra, *self.accuracies) for arm in panel.curves))


def rows(parts: Sequence[Part]) -> list[Row]:
    """Every number that `sheet` draws: arm, seed, panel, x, y; of a map x is the pixel, row by row from 0."""
    found: list[Row] = []
    for part in parts:
        for panel in (*part.spectra, *part.accuracies):
            found += curves.rows(panel, part.trained, part.net)
        found += part.summary
        for one in part.maps:
            for rank, images in zip(one.ranks, one.maps.flatten(2).tolist()):
                for number, pixels in enumerate(images):
                    panel = f"{part.net}, ∂λ_{rank}/∂x of {one.layer}, image {number}"
                    found += [
                        {"arm": f"{part.trained} {one.arm}", "seed": one.seed, "panel": panel, "x": pixel, "y": value}
                        for pixel, value in enumerate(pixels)
                    ]
    return found


def sheet(parts: Sequence[Part], look: dict[str, Series], tau: int, title: str, stamp: str, note: str) -> Any:
    """A block for each network, under one another: spectra and accuracies, then maps; without spectra side by side.

    Args:
        parts: the networks.
        look: of every arm.
        tau: ranks that the penalty leaves free.
        title: what was found.
        stamp: written across the figure; "" for none.
        note: ends the caption.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw.
    """
    names = canvas.in_all(part.names for part in parts)
    stars = any(part.spectra for part in parts)
    heights = [_height(part) for part in parts]
    with canvas.house():
        if stars:
            figure = canvas.empty(sum(heights) + 2.3, title)
            blocks = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
        else:
            figure = canvas.empty(max(heights) + 2.3, title)
            blocks = figure.subfigures(1, len(parts), squeeze=False)[0]
        for block, part in zip(blocks, parts):
            _part(block, part, look, tau, len(parts) > 1)
        entries = [canvas.key(look[name], name) for name in names]
        counts = [len(curve.y) for part in parts for panel in part.accuracies for curve in panel.curves.values()]
        caption = canvas.seeds_told(counts, "Line", "band: ± one standard deviation of a seed") + "."
        if stars:
            guides = tuple(dict.fromkeys(part.guide for part in parts if part.spectra))
            caption += f" 1/n goes through λₙ of {', '.join(guides)} at n = {tau + 1}."
            if max(counts) > 1:
                caption += " Means and deviations of λₙ are taken of its logarithm."
        if any(part.maps for part in parts):
            caption += (
                " Maps: ∂λₙ/∂x, the change of an eigenvalue of that layer’s covariance over test images with each "
                "pixel of one of them; grey is 0, white above, black below, each on its own scale."
            )
        return canvas.finish(figure, [*entries, *curves.keys(stars, tau)], f"{caption} {note}".strip(), stamp, 4)


def _height(part: Part) -> float:
    return 2.7 * len(_grid(part)) + MAP * len(part.maps) + (0.35 if part.maps else 0.0)


def _grid(part: Part) -> list[tuple[Panel, ...]]:
    """Panels side by side: all of up to three, else spectra above accuracies."""
    if len(part.spectra) + len(part.accuracies) <= 3:
        return [(*part.spectra, *part.accuracies)]
    return [row for row in (part.spectra, part.accuracies) if row]


def _part(block: Any, part: Part, look: dict[str, Series], tau: int, named: bool) -> None:
    grid = _grid(part)
    if named:
        block.suptitle(plain(part.net), x=0.01, ha="left", fontsize=11, fontweight="bold")
    heights = [2.7] * len(grid) + ([MAP * len(part.maps) + 0.35] if part.maps else [])
    strips = block.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for strip, row in zip(strips, grid):
        for ax, panel in zip(strip.subplots(1, len(row), squeeze=False)[0], row):
            if panel in part.spectra:
                curves.spectrum(ax, panel, look, tau, part.guide)
            else:
                curves.accuracies(ax, panel, look)
    if part.maps:
        _maps(strips[-1], part.maps, "ABCDEFGH"[len(part.spectra) + len(part.accuracies)])


def _maps(strip: Any, found: Sequence[Maps], letter: str) -> None:
    """A row per arm, a block of columns per image: the image in the first row, and a map per rank."""
    first = found[0]
    wide = len(first.ranks) + 1
    grid = strip.subplots(len(found), wide * len(first.images), squeeze=False)
    for row, one in zip(grid, found):
        for number, image in enumerate(one.images):
            place = number * wide
            _picture(row[place], image.numpy(), 0.0, float(image.max()), "gray_r", "image")
            for rank, values, ax in zip(one.ranks, one.maps[:, number].numpy(), row[place + 1 : place + wide]):
                most = max(float(abs(values).max()), 1e-300)
                _picture(ax, values, -most, most, "gray", "map")
                if one is first:
                    ax.set_title(f"n = {rank}", loc="center", fontsize=9)
        row[0].set_ylabel("\n".join(textwrap.wrap(plain(one.arm), 13)), rotation=0, ha="right", va="center", fontsize=9)
    grid[0, 0].set_title(f"{letter}  {first.layer}", fontsize=10)


def _picture(ax: Any, values: Any, low: float, high: float, colours: str, gid: str) -> None:
    ax.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest", gid=gid)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=0.5, color=INK)
