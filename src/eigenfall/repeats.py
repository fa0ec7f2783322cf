"""Repeats of a stimulus: averaged, made into two, or cut to as many as every stimulus has.

Each function takes responses in memory or in chunks and gives responses of the same kind; a stream is changed piece by
piece as it is read. A repeat is missing where it is NaN for every unit.

Source of the halves: Stringer et al. 2019, Nature 571, doi:10.1038/s41586-019-1346-5, and its code: of a stimulus's n
presentations in temporal order the first ⌊n/2⌋, and the ⌊n/2⌋ that start at number ⌈n/2⌉ + 1, each averaged.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.streams import Stream
from eigenfall.types import Responses

Halving = Literal["halves", "alternate", "first"]
"""How presentations become two repeats: the first against the second half of them, odd against even ones, or the first
two only."""
HALVINGS = ("halves", "alternate", "first")


def present(piece: Float[Tensor, "repeats stimuli units"], name: str = "responses") -> Bool[Tensor, "repeats stimuli"]:
    """Which repeats are there.

    Raises:
        ValueError: if a single unit's response is NaN where others are not.
    """
    empty = torch.isnan(piece)
    missing = empty.sum(2)
    torn = ((missing > 0) & (missing < piece.shape[2])).nonzero()
    if len(torn):
        repeat, stimulus = torn[0].tolist()
        need(
            False,
            expected=f"NaN in {name} only where a repeat is missing for all units",
            got=f"a single one at repeat {repeat}, stimulus {stimulus}, "
            f"unit {int(empty[repeat, stimulus].int().argmax())}, counted from 0",
            remedy="Leave that unit or that repeat out.",
        )
    return missing < piece.shape[2]


def presence(responses: Responses) -> Bool[Tensor, "repeats stimuli"]:
    """Which repeats are there, of all stimuli: from one reading, or the first of chunks over units."""
    found = []
    for piece in responses.pieces():
        found.append(present(piece, responses.name))
        if responses.chunks is not None and responses.chunked_over == "units":
            break
    need(
        bool(found),
        expected=f"pieces of {responses.name}",
        got="none",
        remedy="Look at where the chunks come from.",
    )
    return torch.cat(found, 1)


def two(responses: Responses, how: Halving = "halves") -> Responses:
    """Two repeats of every stimulus that has them, each the mean of some of its presentations.

    Args:
        responses: `(repeats, stimuli, units)`, repeats in temporal order, NaN where one is missing.
        how: "halves", the first ⌊n/2⌋ presentations against the last ⌊n/2⌋, an odd one in the middle left out;
            "alternate", those of odd against those of even number; "first", the first two only.

    Returns:
        Responses `(2, stimuli, units)`. Stimuli with fewer than two presentations are dropped and counted.

    Raises:
        ValueError: if there are fewer than two repeats, or no stimulus has two.
    """
    one_of(how, HALVINGS, "way to make two repeats")
    there = presence(responses)
    counts = there.sum(0)
    need(
        len(there) >= 2 and bool((counts >= 2).any()),
        expected=f"at least two repeats in {responses.name}, to tell signal from noise",
        got="one" if len(there) < 2 else "no stimulus that has two",
        remedy="Use an estimator that needs one repeat, such as pca, or record each stimulus twice.",
    )
    dropped = int((counts < 2).sum())
    if len(there) == 2 and not dropped and bool(there.all()):
        return responses
    odd = int(((counts >= 3) & (counts % 2 == 1)).sum()) if how == "halves" else 0
    left_out = {"stimuli with fewer than two repeats": dropped, "presentations in the middle of an odd number": odd}
    changed = _changed(responses, partial(_two_of, how=how, name=responses.name), 2, int((counts >= 2).sum()))
    return replace(changed, dropped=_with(responses.dropped, left_out))


def complete(responses: Responses) -> Responses:
    """As many repeats as every stimulus has: its first ones, moved to the front; later ones are left out and counted.

    Raises:
        ValueError: if a stimulus has no repeat.
    """
    there = presence(responses)
    if bool(there.all()):
        return responses
    fewest, stimuli = int(there.sum(0).min()), there.shape[1]
    need(
        fewest >= 1,
        expected=f"at least one repeat of every stimulus in {responses.name}",
        got=f"none of stimulus {int(there.sum(0).argmin())}, counted from 0",
        remedy="Leave that stimulus out.",
    )
    left_out = int(there.sum()) - fewest * stimuli
    changed = _changed(responses, partial(_front, count=fewest, name=responses.name), fewest, stimuli)
    return replace(
        changed, dropped={**responses.dropped, **({"repeats beyond the fewest": left_out} if left_out else {})}
    )


def averaged(responses: Responses, seen: list[int] | None = None) -> Responses:
    """The mean over the repeats that are there, as one repeat; NaN where there is none.

    Args:
        responses: `(repeats, stimuli, units)`.
        seen: a list to which the number of repeats of each piece is added, when it is read.
    """
    shape = responses.shape
    return _changed(responses, partial(_mean, seen=seen), 1, None if shape is None else shape[1])


def _with(dropped: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {**dropped, **{what: count for what, count in more.items() if count}}


def _changed(responses: Responses, change: Callable[[Tensor], Tensor], repeats: int, stimuli: int | None) -> Responses:
    if responses.chunks is None:
        assert responses.values is not None
        return replace(responses, values=change(responses.values))
    size = None if responses.size is None or stimuli is None else (repeats, stimuli, responses.size[2])
    return replace(responses, chunks=Stream(responses.chunks, change), size=size)


def _in_front(piece: Tensor, there: Bool[Tensor, "repeats stimuli"]) -> Tensor:
    """The piece with each stimulus's repeats that are there moved to the front, their order kept."""
    order = torch.sort((~there).to(torch.uint8), dim=0, stable=True).indices
    return piece.gather(0, order[:, :, None].expand(-1, -1, piece.shape[2]))


def _front(piece: Tensor, count: int, name: str) -> Tensor:
    return _in_front(piece, present(piece, name))[:count]


def _two_of(piece: Tensor, how: Halving, name: str) -> Tensor:
    """Two repeats of those stimuli of a piece that have them."""
    there = present(piece, name)
    kept = there.sum(0) >= 2
    there = there[:, kept]
    packed, counts = _in_front(piece[:, kept], there), there.sum(0)
    if how == "first":
        return packed[:2]
    number = torch.arange(len(packed), device=piece.device)[:, None]  # of a presentation, from 0
    if how == "halves":
        first, second = number < counts // 2, (number >= (counts + 1) // 2) & (number < counts)
    else:
        first, second = (number < counts) & (number % 2 == 0), (number < counts) & (number % 2 == 1)
    return torch.stack([_mean_where(packed, chosen) for chosen in (first, second)])


def _mean_where(packed: Tensor, chosen: Bool[Tensor, "repeats stimuli"]) -> Tensor:
    """Mean over the chosen repeats, summed in float64."""
    total = torch.zeros(packed.shape[1:], dtype=torch.float64, device=packed.device)
    for repeat, here in zip(packed, chosen):
        total += torch.where(here[:, None], repeat, 0)
    return (total / chosen.sum(0)[:, None]).to(packed.dtype)


def _mean(piece: Tensor, seen: list[int] | None) -> Tensor:
    """Mean over the repeats that are there."""
    if seen is not None:
        seen.append(len(piece))
    return piece if len(piece) == 1 else piece.double().nanmean(0, keepdim=True)
