"""Responses with repeats, read for sums over distinct stimuli and units.

A missing repeat is replaced by the mean of those that are there, which moves neither a stimulus's mean nor its noise;
how many were there is kept as a weight.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import need
from eigenfall.dimensions._distinct import Norms, PerStimulus, of_units
from eigenfall.streams import Stream
from eigenfall.types import Gram, Responses

BLOCK = 2**22
"""How many values are looked at at once: 32 MB in float64."""


@dataclass(frozen=True, eq=False)
class Repeated:
    """Responses whose missing repeats are filled in.

    Attributes:
        filled: all repeats of the stimuli that are used.
        rest: (xₜ − m) / √(n(n − 1)) of the same, repeats one after the other as stimuli.
        weights: 1/√(n(n − 1)) of each stimulus, n the repeats it had; 0 for one repeat.
        centre: mean over stimuli of m, `(units,)`, of responses in chunks of stimuli.
        repeats: how many repeats a stimulus has at most.
        dropped: how many stimuli have fewer than two repeats where others have more.
    """

    filled: Responses
    rest: Responses
    weights: Float64[Tensor, " stimuli"]
    centre: Float64[Tensor, " units"] | None
    repeats: int
    dropped: int


def repeated(responses: Responses) -> Repeated:
    """The responses ready for sums over distinct stimuli, from one reading; of chunks over units, from the first.

    Raises:
        ValueError: if no stimulus has two repeats where there are two or more, or fewer than four stimuli are left.
    """
    stream = _in_blocks(responses)
    there, total = _surveyed(stream)
    weights = _weights(there)
    need_four(len(weights), stream.name, min(2, len(there)))
    said = there if stream.chunked_over == "units" else None
    rows = len(there) * len(weights)
    return Repeated(
        filled=_changed(stream, partial(_filled, said=said, name=stream.name), (len(there), len(weights))),
        rest=_changed(stream, partial(_rest, said=said, name=stream.name), (1, rows)),
        weights=weights,
        centre=None if total is None else total / len(weights),
        repeats=int(there.sum(0).max()),
        dropped=there.shape[1] - len(weights),
    )


def need_four(stimuli: int, name: str, repeats_each: int = 1) -> None:
    """Refuse what has no four distinct stimuli."""
    need(
        stimuli >= 4,
        expected=f"at least four stimuli in {name}" + (" with two repeats" if repeats_each == 2 else ""),
        got=f"{stimuli}",
        remedy="Record more stimuli, or use debias=none.",
    )


def _in_blocks(responses: Responses) -> Responses:
    """The responses in chunks: those in memory cut along the longer of stimuli and units, and never copied whole."""
    if responses.values is None:
        return responses
    repeats, stimuli, units = responses.values.shape
    over, axis = ("stimuli", 1) if units < stimuli else ("units", 2)
    size = max(1, BLOCK // max(1, repeats * min(stimuli, units)))
    chunks = partial(responses.values.split, size, dim=axis)
    return replace(responses, values=None, chunks=chunks, chunked_over=over, size=(repeats, stimuli, units))


def _weights(there: Bool[Tensor, "repeats stimuli"]) -> Float64[Tensor, " used"]:
    """1/√(n(n − 1)) of the stimuli that are used: with two or more repeats, of those that have two."""
    counts = there.sum(0).double()
    if len(there) == 1:
        return torch.zeros_like(counts)
    counts = counts[counts >= 2]
    return (counts * (counts - 1)).rsqrt()


def _surveyed(stream: Responses) -> tuple[Bool[Tensor, "repeats stimuli"], Tensor | None]:
    """Which repeats are there; of chunks of stimuli, also the sum of m over the stimuli that are used."""
    if stream.chunked_over == "units":
        return repeats.presence(stream), None
    found, total = [], None
    for piece in stream.pieces():
        found.append(repeats.present(piece, stream.name))
        here = _filled(piece, None, stream.name).mean(0).sum(0)
        total = here if total is None else total + here
    need(
        bool(found),
        expected=f"pieces of {stream.name}",
        got="none",
        remedy="Look at where the chunks come from.",
    )
    return torch.cat(found, 1), total


def _changed(stream: Responses, change: partial[Tensor], rows: tuple[int, int]) -> Responses:
    assert stream.chunks is not None
    size = None if stream.size is None else (*rows, stream.size[2])
    return replace(stream, chunks=Stream(stream.chunks, change), size=size)


def _filled(piece: Tensor, said: Tensor | None, name: str) -> Float64[Tensor, "repeats stimuli units"]:
    """The piece with missing repeats replaced by the mean of the others, stimuli without two left out."""
    there = repeats.present(piece, name) if said is None else said.to(piece.device)
    if len(there) == 1:
        return piece.double()
    kept = there.sum(0) >= 2
    piece, there = piece[:, kept].double(), there[:, kept, None]
    if bool(there.all()):
        return piece
    return torch.where(there, piece, torch.where(there, piece, 0).sum(0) / there.sum(0))


def _rest(piece: Tensor, said: Tensor | None, name: str) -> Float64[Tensor, "1 rows units"]:
    """(xₜ − m) / √(n(n − 1)), repeats one after the other."""
    there = repeats.present(piece, name) if said is None else said.to(piece.device)
    counts = there.sum(0)
    counts = counts[counts >= 2, None].double()
    filled = _filled(piece, said, name)
    return ((filled - filled.mean(0)) / (counts * (counts - 1)).sqrt()).flatten(0, 1)[None]


# ----------------------------------------------------------------------------------- sums


def sums_of_each(data: Repeated) -> tuple[PerStimulus, Float64[Tensor, "5 units"]]:
    """Inner products of (m, e₁ … e_T) of each stimulus, and Σa, Σd, Σa², Σad, Σd² of each unit, from one reading."""
    by_stimulus: list[Tensor] = []
    by_unit: list[Tensor] = []
    for piece in data.filled.pieces():
        mean = piece.mean(0)
        start = sum(map(len, by_stimulus)) if data.centre is not None else 0
        weights = data.weights[start : start + piece.shape[1]].to(piece.device)
        rest = (piece - mean) * weights[:, None]
        mean = mean - (mean.mean(0) if data.centre is None else data.centre)
        d = mean.square()
        a = d - rest.square().sum(0)
        by_unit.append(torch.stack([a, d, a.square(), a * d, d.square()]).sum(1))
        rows = torch.cat([mean[None], rest]).transpose(0, 1)
        by_stimulus.append(rows @ rows.mT)
    if data.centre is not None:
        return torch.cat(by_stimulus), torch.stack(by_unit).sum(0)
    return torch.stack(by_stimulus).sum(0), torch.cat(by_unit, 1)


def norms_over_units(data: Repeated, each: PerStimulus) -> Norms:
    """‖W‖², ‖U‖² and tr UW from second moments over units."""
    _, _, units = grams.size_of(data.filled)
    mean = of_all_units(grams.gram(repeats.averaged(data.filled), side="units"), units)
    noisy = bool(each[:, 1:, 1:].diagonal(dim1=1, dim2=2).sum() > 0)
    noise = of_all_units(grams.gram(data.rest, side="units"), units) if noisy else torch.zeros_like(mean)
    return of_units(mean, noise)


def of_all_units(moments: Gram, units: int) -> Float64[Tensor, "units units"]:
    """The matrix over all units; a Gram leaves constant ones out."""
    if moments.units == units:
        return moments.matrix
    assert moments.per_unit is not None
    varies = (moments.per_unit[1] > 0).nonzero()[:, 0]
    found = moments.matrix.new_zeros(units, units)
    found[varies[:, None], varies] = moments.matrix
    return found
