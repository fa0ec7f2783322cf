"""Second moments over the axis that chunks are cut along, where the responses are larger than memory.

Part of the axis is held while the rest is read against it; each part meets itself and what comes after it, so that
every pair meets once. With m GB, responses of r GB are read 1 + r/m times.
"""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.grams.routes import Route
from eigenfall.grams.sums import ROUNDING, dropped, need_finite, need_same
from eigenfall.linalg import Precision
from eigenfall.stages import Working
from eigenfall.types import Gram, Responses, Stage


def crossing(
    responses: Responses, way: Route, precision: Precision, memory: float, kept: Mapping[str, Tensor]
) -> Working[Gram]:
    """The Gram on the side that the stream is cut along.

    Args:
        responses: a stream.
        way: its route, with more than one reading.
        precision: of the products.
        memory: GB of responses that are held.
        kept: what an earlier call made that did not end.
    """
    repeats, stimuli, units = way.size
    along, rest = (stimuli, units) if way.side == "stimuli" else (units, stimuli)
    count = max(1, int(memory / (8e-9 * repeats * rest)))
    starts = list(range(0, along, count))
    if kept:
        sums = {name: tensor.clone() for name, tensor in kept.items()}
    else:
        sums = yield from _started(responses, way, along)
    matrix, means, across, energies = (sums[name] for name in ("matrix", "means", "across", "energies"))
    for number in range(int(sums.get("at", torch.tensor(0))), len(starts)):
        start, end = starts[number], min(starts[number] + count, along)
        whole: Tensor | None = None
        held: list[Tensor] = []
        for place, piece in _placed(responses, way):
            last = place + piece.shape[1]
            here = piece[:, max(0, start - place) : max(0, end - place)]
            if whole is None and here.shape[1]:
                held.append(_centred(here, way, means))
            if whole is None and last >= end:
                whole = torch.cat(held, 1)
                _meet(matrix, whole, whole, (start, start), precision)
            later = piece[:, max(0, end - place) :]
            if whole is not None and later.shape[1]:
                _meet(matrix, whole, _centred(later, way, means), (start, max(place, end)), precision)
        assert whole is not None
        across[:, start:end] = whole.sum(2) if way.side == "stimuli" else 0
        _add_energies(energies, whole, way, start)
        yield Stage("second moments", number + 1, len(starts), {**sums, "at": torch.tensor(number + 1)})
    return _gram(responses.name, way, matrix, means, across, energies)


def _started(responses: Responses, way: Route, along: int) -> Working[dict[str, Tensor]]:
    """Sums that are still zero, and the means of each repeat and unit, from a first reading."""
    repeats, stimuli, units = way.size
    means, place = torch.zeros(repeats, units, dtype=torch.float64), 0
    for place, piece in _placed(responses, way):
        turned = piece if way.side == "stimuli" else piece.transpose(1, 2)
        total = turned.sum(1, dtype=torch.float64)
        if not bool(torch.isfinite(total.sum())):
            need_finite(turned, responses.name, *((place, 0) if way.side == "stimuli" else (0, place)))
        means = means.to(piece.device)
        if way.side == "stimuli":
            means += total / stimuli
        else:
            means[:, place : place + piece.shape[1]] = total / stimuli
        yield Stage("means", place, along)
        place += piece.shape[1]
    need_same(way.size, (repeats, place, units) if way.side == "stimuli" else (repeats, stimuli, place))
    return {
        "matrix": means.new_zeros(repeats, along, repeats, along),
        "means": means,
        "across": means.new_zeros(repeats, along),
        "energies": means.new_zeros(2, units),
    }


def _placed(responses: Responses, way: Route) -> Iterator[tuple[int, Tensor]]:
    """Pieces as `(repeats, along, rest)` with the place where each begins."""
    place = 0
    for piece in responses.pieces():
        turned = piece if way.side == "stimuli" else piece.transpose(1, 2)
        yield place, turned
        place += turned.shape[1]


def _centred(piece: Tensor, way: Route, means: Float64[Tensor, "repeats units"]) -> Tensor:
    """`(repeats, along, rest)` less each unit's mean over all stimuli and repeats."""
    piece = piece.double()
    return piece - means.mean(0) if way.side == "stimuli" else piece - piece.mean((0, 2))[None, :, None]


def _meet(matrix: Tensor, first: Tensor, second: Tensor, at: tuple[int, int], precision: Precision) -> None:
    """Write the products of two parts, and their mirror image, into `(repeats, along, repeats, along)`."""
    kind = torch.float32 if precision == "mixed" else torch.float64
    across = second.flatten(0, 1).to(kind).T
    rows, columns = slice(at[0], at[0] + first.shape[1]), slice(at[1], at[1] + second.shape[1])
    for repeat, part in enumerate(first):
        products = (part.to(kind) @ across).double().unflatten(1, (len(second), -1))
        matrix[repeat, rows, :, columns] = products
        matrix[:, columns, repeat, rows] = products.permute(1, 2, 0)


def _add_energies(energies: Float64[Tensor, "2 units"], whole: Tensor, way: Route, start: int) -> None:
    """Mean over pairs of repeats of Σₛ xₜxᵤ and mean over repeats of Σₛ xₜ², of the stimuli or units that are held."""
    repeats, axis = len(whole), 1 if way.side == "stimuli" else 2
    squares = whole.square().sum((0, axis))
    pairs = whole.sum(0).square().sum(axis - 1) - squares
    here = slice(None) if way.side == "stimuli" else slice(start, start + whole.shape[1])
    energies[0, here] += pairs / (repeats * (repeats - 1)) if repeats > 1 else torch.nan
    energies[1, here] += squares / repeats


def _gram(name: str, way: Route, matrix: Tensor, means: Tensor, across: Tensor, energies: Tensor) -> Gram:
    repeats, stimuli, _ = way.size
    flat = matrix.flatten(2).flatten(0, 1)
    varies = energies[1] > stimuli * (ROUNDING * means.mean(0)).square()
    energies = torch.where(varies, energies, 0)
    found = {"repeats": repeats, "name": name, "per_unit": energies, "dropped": dropped(energies)}
    if way.side == "stimuli":
        return Gram(flat, "stimuli", stimuli, int(varies.sum()), across=across, **found)
    every = varies.repeat(repeats)
    return Gram(flat[every][:, every], "units", stimuli, int(varies.sum()), means=means[:, varies], **found)
