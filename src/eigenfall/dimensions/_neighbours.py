"""Stimuli as points, and how far each is from its nearest others.

Distances are those of the repeat means in the space of units. With fewer units than stimuli the points themselves are
held, `(stimuli, units)` in float64, and searched by a tree or by blocks; with more, all squared distances,
`(stimuli, stimuli)`, from second moments: ‖xᵢ − xⱼ‖² = Gᵢᵢ + Gⱼⱼ − 2 Gᵢⱼ. Stimuli at the same place count once.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import given, need
from eigenfall.dimensions._eigenvalues import averaged
from eigenfall.types import Dimension, Estimate, Gram, Responses

ROUNDING = 2.0**-40
"""Squared distances below this share of Gᵢᵢ + Gⱼⱼ are rounding of second moments."""

BLOCK = 2**23
"""How many values are looked at at once: 64 MB in float64."""


@dataclass(frozen=True, eq=False)
class Points:
    """Distinct stimuli: where they are, or all their squared distances.

    Attributes:
        places: coordinates, on the CPU.
        squares: squared distances, on the CPU.
        about: a dimension that has everything but its name and value.
    """

    places: Float64[Tensor, "points units"] | None
    squares: Float64[Tensor, "points points"] | None
    about: Dimension

    def __len__(self) -> int:
        return len(given(self.places if self.squares is None else self.squares, "points", "none", "Make them anew."))

    def among(self, indices: Int64[Tensor, " drawn"]) -> "Points":
        """Some of them."""
        if self.squares is not None:
            return replace(self, squares=self.squares[indices][:, indices])
        assert self.places is not None
        return replace(self, places=self.places[indices])

    def nearest(self, count: int) -> Float64[Tensor, "points count"]:
        """Distances to the nearest others, ascending."""
        if self.squares is not None:
            return _nearest_by_squares(self.squares, count)
        assert self.places is not None
        return _nearest_places(self.places, count)


def points_of(responses: Responses | Gram, at_least: int, method: str) -> Points:
    """The distinct stimuli.

    Args:
        responses: averaged over repeats; or their Gram matrix over stimuli.
        at_least: how many there must be.
        method: the part that asks.

    Raises:
        ValueError: for a Gram matrix over units, values that are not finite, or too few distinct stimuli.
    """
    if isinstance(responses, Gram):
        found = _by_moments(responses)
    else:
        _, stimuli, units = grams.size_of(responses)
        found = _by_places(responses) if units <= stimuli else _by_moments(responses)
    count = len(found)
    found = found.among(_first_of_each(found))
    need(
        len(found) >= at_least,
        expected=f"at least {at_least} stimuli in {found.about.name_of} that differ",
        got=f"{len(found)} of {count}",
        remedy="Record more stimuli, or ask for fewer neighbours.",
    )
    same = (f"{count - len(found)} stimuli at the place of another were left out.",) * (len(found) < count)
    return replace(found, about=replace(found.about, method=method, notices=same))


def need_spread(value: float, name: str) -> None:
    """Refuse a dimension that no ratio of distances decides."""
    need(
        math.isfinite(value),
        expected=f"neighbours in {name} at more than one distance",
        got="ties everywhere",
        remedy="Points on a grid have no dimension of this kind.",
    )


def _by_places(responses: Responses) -> Points:
    seen: list[int] = []
    pieces = [piece[0].double().cpu() for piece in repeats.averaged(responses, seen).pieces()]
    places = torch.cat(pieces, 1 if responses.chunks is not None and responses.chunked_over == "units" else 0)
    need(
        bool(torch.isfinite(places).all()),
        expected=f"finite {responses.name}",
        got=f"NaN or infinity at {int((~torch.isfinite(places)).any(1).sum())} stimuli",
        remedy="Leave these stimuli out.",
    )
    stimuli, units = places.shape
    return Points(places - places.mean(0), None, _about(stimuli, units, max(seen), responses.name))


def _by_moments(responses: Responses | Gram) -> Points:
    need(
        not isinstance(responses, Gram) or responses.side == "stimuli",
        expected="a Gram matrix over stimuli",
        got="one over units",
        remedy="Give the responses.",
    )
    if not isinstance(responses, Gram):
        seen: list[int] = []
        moments = replace(grams.gram(repeats.averaged(responses, seen), side="stimuli"), averaged=max(seen))
    else:
        moments = averaged(responses)
    matrix = moments.matrix.cpu()
    own = matrix.diagonal()
    together = own[:, None] + own
    squares = together - 2 * matrix
    squares = torch.where(squares > ROUNDING * together, squares, 0)
    return Points(None, squares, _about(moments.stimuli, moments.units, moments.averaged, moments.name))


def _about(stimuli: int, units: int, count: int, name: str) -> Dimension:
    of = "distances between stimuli" if count == 1 else "distances between stimuli, repeats averaged"
    return Dimension("", Estimate(0), of, stimuli=stimuli, units=units, repeats=count, name_of=name)


def _first_of_each(points: Points) -> Int64[Tensor, " distinct"]:
    """Indices of the stimuli that are not at the place of an earlier one."""
    if points.squares is not None:
        same = (points.squares == 0).tril(-1).any(1)
        return (~same).nonzero()[:, 0]
    assert points.places is not None
    _, first = np.unique(points.places.numpy(), axis=0, return_index=True)
    return torch.from_numpy(np.sort(first))


def _nearest_places(places: Float64[Tensor, "points units"], count: int) -> Float64[Tensor, "points count"]:
    """Neighbours by scikit-learn, their distances from differences: its own come from products where it uses blocks."""
    indices = torch.from_numpy(
        NearestNeighbors(n_neighbors=count).fit(places.numpy()).kneighbors(return_distance=False)
    )
    found = torch.empty(len(places), count, dtype=torch.float64)
    for at in torch.arange(len(places)).split(max(1, BLOCK // (count * places.shape[1]))):
        found[at] = (places[at, None] - places[indices[at]]).norm(dim=2)
    return found.sort(1).values


def _nearest_by_squares(squares: Float64[Tensor, "points points"], count: int) -> Float64[Tensor, "points count"]:
    found = torch.empty(len(squares), count, dtype=torch.float64)
    for at in torch.arange(len(squares)).split(max(1, BLOCK // len(squares))):
        rows = squares[at].clone()
        rows[torch.arange(len(at)), at] = torch.inf
        found[at] = rows.topk(count, largest=False).values.sqrt()
    return found
