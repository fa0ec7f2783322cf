"""Second moments over the axis that chunks are cut along, where the responses are larger than memory.

Part of the axis is held while the rest is read against it; each part meets itself and what comes after it, so that
every pair meets once. With m GB, responses of r GB are read 1 + r/m times.
"""

import itertools
from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.grams import perunit, routes
from eigenfall.grams.routes import Route
from eigenfall.grams.sums import need_finite, need_same
from eigenfall.linalg import PANEL, Precision
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
        whole = means.new_empty(repeats, end - start, rest)
        met = False
        for place, piece in _placed(responses, way):
            last = place + piece.shape[1]
            here = piece[:, max(0, start - place) : max(0, end - place)]
            if not met and here.shape[1]:
                at = max(place, start) - start
                _centre(whole[:, at : at + here.shape[1]], here, way, means)
            if not met and last >= end:
                met = True
                _meet(matrix, whole, whole, (start, start), precision)
            later = piece[:, max(0, end - place) :]
            if met and later.shape[1]:
                centred = whole.new_empty(later.shape)
                _centre(centred, later, way, means)
                _meet(matrix, whole, centred, (start, max(place, end)), precision)
        _describe(whole, way, start, across, energies)
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


def _centre(into: Tensor, piece: Tensor, way: Route, means: Float64[Tensor, "repeats units"]) -> None:
    """Write `(repeats, along, rest)` less each unit's mean over all stimuli and repeats."""
    step = max(1, perunit.CACHED // max(1, len(piece) * piece.shape[2]))
    for part, found in zip(piece.split(step, 1), into.split(step, 1)):
        found.copy_(part)
        found -= means.mean(0) if way.side == "stimuli" else found.mean((0, 2))[None, :, None]


def _meet(matrix: Tensor, first: Tensor, second: Tensor, at: tuple[int, int], precision: Precision) -> None:
    """Write the products of two parts, and their mirror image, into `(repeats, along, repeats, along)`."""
    kind = torch.float32 if precision == "mixed" else torch.float64
    step = max(1, routes.BLOCK // (len(first) * (first.shape[1] + second.shape[1])))
    rows, columns = slice(at[0], at[0] + first.shape[1]), slice(at[1], at[1] + second.shape[1])
    matrix[:, rows, :, columns] = 0
    for one, other in zip(first.split(step, 2), second.split(step, 2)):
        one, other = one.to(kind), other.to(kind)
        for t, u in itertools.product(range(len(first)), range(len(second))):
            for place in range(0, first.shape[1], PANEL):
                into = matrix[t, rows, u, columns][place : place + PANEL]
                left, right = one[t, place : place + PANEL], other[u].T
                if precision == "mixed":
                    into += left @ right
                else:
                    into.addmm_(left, right)
    for t, u in itertools.product(range(len(first)), range(len(second))):
        if first is not second:
            matrix[u, columns, t, rows] = matrix[t, rows, u, columns].T


def _describe(whole: Tensor, way: Route, start: int, across: Tensor, energies: Tensor) -> None:
    """Sums over units of the stimuli that are held; energies of their units, as shares of those of all stimuli."""
    end = start + whole.shape[1]
    by_stimuli = whole if way.side == "stimuli" else whole.transpose(1, 2)
    found = perunit.Energies(whole, by_stimuli.shape[2])
    for part in by_stimuli.split(max(1, perunit.CACHED // (len(whole) * by_stimuli.shape[2])), 1):
        found.add(part)
    if way.side == "stimuli":
        across[:, start:end] = whole.sum(2)
        energies += found.each(len(whole))
    else:
        energies[:, start:end] = found.each(len(whole))


def _gram(name: str, way: Route, matrix: Tensor, means: Tensor, across: Tensor, energies: Tensor) -> Gram:
    repeats, stimuli, _ = way.size
    flat, centre = matrix.flatten(2).flatten(0, 1), means.mean(0)
    energies = perunit.varying(energies, centre, stimuli)
    varies = energies[1] > 0
    found = {"repeats": repeats, "name": name, "per_unit": energies, "dropped": perunit.dropped(energies)}
    if way.side == "stimuli":
        return Gram(flat, "stimuli", stimuli, int(varies.sum()), across=across, **found)
    if not bool(varies.all()):
        every = varies.repeat(repeats)
        flat = perunit.among_rows(flat, every)
    return Gram(flat, "units", stimuli, int(varies.sum()), means=means[:, varies], **found)
