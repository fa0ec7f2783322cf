"""What is computed from second moments alone: means over repeats, centring, subsets, sums, and what repeats."""

from dataclasses import replace

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.types import Gram, Reliability


def averaged(moments: Gram) -> Gram:
    """The Gram of the mean over repeats."""
    if moments.repeats == 1:
        return moments
    blocks = moments.matrix.unflatten(0, (moments.repeats, -1)).unflatten(2, (moments.repeats, -1))
    return replace(
        moments,
        matrix=blocks.mean((0, 2)),
        repeats=1,
        averaged=moments.averaged * moments.repeats,
        across=None if moments.across is None else moments.across.mean(0, keepdim=True),
        means=None if moments.means is None else moments.means.mean(0, keepdim=True),
        per_unit=None,
    )


def centred_apart(moments: Gram) -> Gram:
    """The Gram of responses less each repeat's own mean over stimuli.

    Raises:
        ValueError: on the unit side, without the means that were taken off.
    """
    blocks = moments.matrix.unflatten(0, (moments.repeats, -1)).unflatten(2, (moments.repeats, -1))
    if moments.side == "stimuli":
        blocks = blocks - blocks.mean(1, keepdim=True)
        blocks = blocks - blocks.mean(3, keepdim=True)
        across = moments.across
        across = None if across is None else across - across.mean(1, keepdim=True)
        return replace(moments, matrix=blocks.reshape(moments.matrix.shape), across=across)
    means = _means(moments)
    off = (means - means.mean(0)).flatten()
    return replace(moments, matrix=moments.matrix - moments.stimuli * torch.outer(off, off))


def less_stimulus_means(moments: Gram) -> Gram:
    """The Gram of responses less, for each repeat and stimulus, the mean over units; on the stimulus side.

    Raises:
        ValueError: for a Gram without sums over units.
    """
    across = given(
        moments.across,
        expected="a Gram matrix over stimuli with sums over units",
        got="one without",
        remedy="Make it with eigenfall.grams.gram.",
    )
    matrix = moments.matrix - torch.outer(across.flatten(), across.flatten()) / moments.units
    return replace(moments, matrix=matrix, across=torch.zeros_like(across), per_unit=None)


def among(moments: Gram, indices: Int64[Tensor, " drawn"]) -> Gram:
    """Second moments of some of the stimuli, centred anew: one mean for all repeats.

    Raises:
        ValueError: for a Gram over units, from which no stimulus can be left out.
    """
    need(
        moments.side == "stimuli",
        expected="responses, or a Gram matrix over stimuli, to draw stimuli from",
        got="a Gram matrix over units",
        remedy="Give the responses: their chunks are read again.",
    )
    chosen = indices.to(moments.matrix.device)
    rows = (torch.arange(moments.repeats, device=chosen.device)[:, None] * moments.stimuli + chosen).flatten()
    matrix = moments.matrix[rows][:, rows]
    matrix = matrix - matrix.mean(0)
    across = None if moments.across is None else moments.across[:, chosen]
    return replace(
        moments,
        matrix=matrix - matrix.mean(1, keepdim=True),
        stimuli=len(indices),
        across=None if across is None else across - across.mean(),
        per_unit=None,
        block=1,
    )


def added(first: Gram, second: Gram) -> Gram:
    """The Gram of both: of other units on the stimulus side, of other stimuli on the unit side.

    Raises:
        ValueError: if they do not belong together.
    """
    need(
        (first.side, first.repeats, len(first.matrix)) == (second.side, second.repeats, len(second.matrix)),
        expected="Gram matrices over the same side, repeats and stimuli or units",
        got=f"{first.repeats} repeats over {first.side}, {len(first.matrix)} rows, and {second.repeats} over "
        f"{second.side}, {len(second.matrix)} rows",
        remedy="Add up the Grams of one recording.",
    )
    dropped = {
        what: first.dropped.get(what, 0) + second.dropped.get(what, 0) for what in {**first.dropped, **second.dropped}
    }
    if first.side == "stimuli":
        return replace(
            first,
            matrix=first.matrix + second.matrix,
            units=first.units + second.units,
            across=None if first.across is None or second.across is None else first.across + second.across,
            per_unit=_beside(first.per_unit, second.per_unit),
            dropped=dropped,
        )
    stimuli = first.stimuli + second.stimuli
    means = (first.stimuli * _means(first) + second.stimuli * _means(second)) / stimuli
    matrix = torch.zeros_like(first.matrix)
    for one in (first, second):
        # about its own means, then about the means of both, then about one mean for all repeats
        own, moved = (_means(one) - _means(one).mean(0)).flatten(), (_means(one) - means).flatten()
        matrix += one.matrix - one.stimuli * torch.outer(own, own) + one.stimuli * torch.outer(moved, moved)
    off = (means - means.mean(0)).flatten()
    return replace(
        first,
        matrix=matrix + stimuli * torch.outer(off, off),
        stimuli=stimuli,
        means=means,
        per_unit=None,
        dropped=dropped,
    )


def _means(moments: Gram) -> Float64[Tensor, "repeats units"]:
    """The means that were taken off."""
    return given(
        moments.means,
        expected="a Gram matrix with the means of its units",
        got="one without",
        remedy="Make it with eigenfall.grams.gram.",
    )


def _beside(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second], 1)


def reliability(moments: Gram) -> Reliability | None:
    """Share of each unit's variance that repeats; `None` for one repeat.

    Source: Stringer et al. 2019, code: ⟨x₁x₂⟩ / (½⟨x₁²⟩ + ½⟨x₂²⟩), one mean for both repeats.
    """
    if moments.per_unit is None or moments.repeats < 2:
        return None
    together, own = moments.per_unit
    return Reliability(together / own, float(together.sum() / own.sum()))
