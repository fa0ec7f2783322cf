"""Decisions of a model on planes of inputs, and what many planes have in common.

Inputs outside their bounds are masked: no region, length, area or share counts them. One picture is an illustration;
numbers are means over planes, with intervals over base images, which are what is independent.

    length of the lines between decisions: in each cell of four neighbours, the sum of the distances from each place
    where a side crosses from one decision to another to the mean of these places

which for two places is the distance between them; where a side crosses is where a straight line through the logits of
its ends would. The error falls with the square of the spacing.

Source: Somepalli et al. 2022, arXiv:2203.08124.
Differs from the source: lengths and shares are measured, with intervals, beside pictures.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.distributions import bootstrapped
from eigenfall.layers import OUTPUTS, device_of, left_as_found
from eigenfall.planes import places
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.stages import seeded
from eigenfall.types import Bounds, Estimate, Landscape, LandscapeSummary, Plane


def landscape(
    model: nn.Module,
    plane: Plane,
    extent: float,
    side: int = 41,
    bounds: Bounds | None = (0.0, 1.0),
    norms_every: int = 0,
    measure: Any = None,
    batch_size: int = 512,
) -> Landscape:
    """Decisions on a square of a plane around its x₀.

    Args:
        model: logits of inputs; it is left as it was found.
        plane: where.
        extent: ξ₁ and ξ₂ go from −extent to extent, in input units (L2); three median critical distances show what is
            near.
        side: how many places along each, an odd number, so that x₀ is one of them.
        bounds: lowest and highest value of an input; `None`: nothing is masked.
        norms_every: measure ‖J‖_F of the logits at every so manieth row and column, x₀ among them; 0: not at all.
        measure: part of kind smoothness that measures it, with the same draws on every plane; `None`: `Frobenius()`.
        batch_size: largest number of inputs in one pass.

    Raises:
        ValueError: if the extent is not positive, the side is even or too small, x₀ is outside the bounds, or the
            outputs are not finite logits.
    """
    need(
        extent > 0 and side >= 3 and side % 2 == 1 and norms_every >= 0,
        expected="an extent above 0, an odd side of at least 3, and norms_every of 0 or more",
        got=f"extent={extent}, side={side}, norms_every={norms_every}",
        remedy="Use side=41 and norms_every=5.",
    )
    along = torch.linspace(-extent, extent, side, dtype=torch.float64)
    inputs = _inputs(plane, along).to(device_of(model))
    inside = _inside(inputs, bounds).reshape(side, side)
    middle = side // 2
    need(
        bool(inside[middle, middle]),
        expected=f"a base image inside {bounds}",
        got=f"values from {float(plane.origin.min()):.4g} to {float(plane.origin.max()):.4g}",
        remedy="Give the bounds that the images have, or none.",
    )
    with left_as_found(model), torch.no_grad():
        logits = torch.cat([model(some) for some in inputs.split(batch_size)]).double().cpu()
    need(
        logits.ndim == 2 and logits.shape[1] >= 2 and bool(torch.isfinite(logits).all()),
        expected="finite logits of two classes or more",
        got=f"outputs of shape {tuple(logits.shape)}, {int((~torch.isfinite(logits)).sum())} of them not finite",
        remedy="Give a classifier.",
    )
    grid = logits.reshape(side, side, -1)
    classes = grid.argmax(2)
    length, area = _boundary(grid, classes, inside, float(along[1] - along[0]))
    norms = None
    if norms_every:
        rows = range(middle % norms_every, side, norms_every)
        chosen = torch.zeros(side, side, dtype=torch.bool)
        chosen[torch.tensor([*rows])[:, None], torch.tensor([*rows])[None]] = True
        norms = torch.full((side, side), torch.nan, dtype=torch.float64)
        there = chosen & inside
        part = Frobenius() if measure is None else measure
        norms[there] = part(model, inputs[there.flatten().to(inputs.device)], OUTPUTS, seeded(0)).values
        norms = norms[chosen].reshape(len(rows), len(rows))
    return Landscape(
        plane=plane,
        along=along,
        classes=classes,
        inside=inside,
        base_class=int(classes[middle, middle]),
        regions=_regions(classes, inside),
        area=area,
        boundary=length,
        norms=norms,
    )


def _inputs(plane: Plane, along: Float64[Tensor, " side"]) -> Float[Tensor, "places ..."]:
    """x₀ + ξ₁u + ξ₂v, ξ₂ by rows and ξ₁ by columns."""
    up, right = torch.meshgrid(along, along, indexing="ij")
    return places(plane, right.flatten(), up.flatten())


def _inside(inputs: Float[Tensor, "places ..."], bounds: Bounds | None) -> Bool[Tensor, " places"]:
    """Whether each place lies within the bounds, to rounding: x₀ itself may lie on the edge."""
    if bounds is None:
        return torch.ones(len(inputs), dtype=torch.bool)
    low, high = (torch.as_tensor(end).to(inputs) for end in bounds)
    return ((inputs >= low - 1e-6) & (inputs <= high + 1e-6)).flatten(1).all(1).cpu()


def has_room(plane: Plane, extent: float, side: int, bounds: Bounds | None) -> bool:
    """Whether a plane has some area inside the bounds: one of the four cells around x₀, on such a grid.

    A random plane has none where x₀ touches the bounds, as the black and white pixels of an image do.
    """
    around = torch.linspace(-extent, extent, side, dtype=torch.float64)[side // 2 - 1 : side // 2 + 2]
    inside = _inside(_inputs(plane, around), bounds).reshape(3, 3)
    cells = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
    return bool(cells.any())


def _regions(classes: Int64[Tensor, "side side"], inside: Bool[Tensor, "side side"]) -> int:
    """Pieces of equal decision, joined along rows and columns."""
    label: Any = scipy.ndimage.label
    return sum(label(((classes == one) & inside).numpy())[1] for one in classes.unique())


def _boundary(
    logits: Float64[Tensor, "side side classes"],
    classes: Int64[Tensor, "side side"],
    inside: Bool[Tensor, "side side"],
    spacing: float,
) -> tuple[float, float]:
    """Length of the lines between decisions, and the area of the cells in which it is measured."""
    z, c = logits.numpy(), classes.numpy()
    whole = inside.numpy()
    whole = whole[:-1, :-1] & whole[1:, :-1] & whole[:-1, 1:] & whole[1:, 1:]
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))  # around the cell, as (row, column)
    count = len(c) - 1

    def corner(values: np.ndarray, place: tuple[int, int]) -> np.ndarray:
        return values[place[0] : place[0] + count, place[1] : place[1] + count]

    points, crossed = [], []
    for begin, end in zip(corners, (*corners[1:], corners[0])):
        from_class, to_class = corner(c, begin), corner(c, end)
        lead, lag = (
            np.take_along_axis(corner(z, place), from_class[..., None], 2)[..., 0]
            - np.take_along_axis(corner(z, place), to_class[..., None], 2)[..., 0]
            for place in (begin, end)
        )  # the one class leads by `lead` at the one end, and by `lag`, below 0, at the other
        share = np.where(lead > lag, lead / np.where(lead > lag, lead - lag, 1.0), 0.5)
        crossed.append(from_class != to_class)
        points.append(np.stack([b + share * (e - b) for b, e in zip(begin, end)], -1))
    crossing, place = np.stack(crossed), np.stack(points)
    number = crossing.sum(0)
    centre = (place * crossing[..., None]).sum(0) / np.maximum(number, 1)[..., None]
    lengths = (np.linalg.norm(place - centre, axis=-1) * crossing).sum(0)
    return float((lengths * whole).sum()) * spacing, float(whole.sum()) * spacing**2


# ------------------------------------------------------------------------------ numbers


def summary(
    landscapes: Sequence[Landscape], generator: torch.Generator, draws: int = 1000, level: float = 0.95
) -> LandscapeSummary:
    """Means over planes, with bootstrap intervals over base images: all planes of an image are drawn together.

    Args:
        landscapes: of one model on planes of one kind.
        generator: of the resamples.
        draws: how many resamples.
        level: nominal coverage.

    Raises:
        ValueError: if planes are of several kinds, or none has an area inside the bounds.
    """
    kinds = sorted({one.plane.kind for one in landscapes})
    need(
        len(kinds) == 1,
        expected="landscapes on planes of one kind",
        got=" and ".join(kinds) or "none",
        remedy="Summarise each kind apart.",
    )
    kept = [one for one in landscapes if one.area > 0]
    need(
        len(kept) >= 1,
        expected="a plane with some area inside the bounds",
        got=f"none of {len(landscapes)}",
        remedy="Take a smaller extent.",
    )
    bases = sorted({one.plane.base for one in kept})

    def mean(number: Callable[[Landscape], float]) -> Estimate:
        sums, counts = torch.zeros(len(bases), dtype=torch.float64), torch.zeros(len(bases), dtype=torch.float64)
        for one in kept:
            value = number(one)
            if math.isfinite(value):
                sums[bases.index(one.plane.base)] += value
                counts[bases.index(one.plane.base)] += 1
        known = counts > 0
        if not bool(known.any()):
            return Estimate(math.nan)
        sums, counts = sums[known], counts[known]
        places = torch.arange(len(sums), dtype=torch.float64)

        def ratio(drawn: Tensor) -> Tensor:
            return sums[drawn.long()].sum(1) / counts[drawn.long()].sum(1)

        return bootstrapped(places, ratio, generator, draws, level)

    return LandscapeSummary(
        kind=kinds[0],
        planes=len(kept),
        images=len(bases),
        regions=mean(lambda one: one.regions),
        boundary_per_area=mean(lambda one: one.boundary_per_area),
        base_share=mean(lambda one: one.base_share),
        norm_spread=mean(lambda one: one.norm_spread),
        left_out=len(landscapes) - len(kept),
        extent=float(kept[0].along[-1]),
    )
