"""Responses to their second moments, on the smaller side, from as few readings as memory allows.

    stimulus side   Gₜᵤ = Xₜ Xᵤᵀ   adds up over units         unit side   Gₜᵤ = Xₜᵀ Xᵤ   adds up over stimuli

X are the responses less each unit's mean over all stimuli and repeats, one mean for all repeats. A repeat's own mean is
taken off afterwards, where an estimator wants that: HGH on the stimulus side.

| chunks over | side | readings | held |
|---|---|---|---|
| units | stimuli | 1 | the matrix, one chunk |
| stimuli | units | 1 | the matrix, one chunk |
| as the side | either | 1, or more | the matrix, and all responses if they fit, else as many stimuli or units as do |

All sums are float64; with "mixed", products of chunks are float32. E[xxᵀ] − x̄x̄ᵀ is never formed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.grams import routes
from eigenfall.grams.crossing import crossing
from eigenfall.grams.groups import Groups
from eigenfall.grams.routes import MEMORY, Side, Size, route
from eigenfall.grams.sums import OverStimuli, OverUnits, need_alike, need_same
from eigenfall.linalg import Precision
from eigenfall.stages import Working, consumed
from eigenfall.streams import after, length
from eigenfall.types import Gram, Responses, Stage


def gram(
    responses: Responses,
    precision: Precision = "float64",
    memory: float = MEMORY,
    side: Side | None = None,
) -> Gram:
    """Second moments of all pairs of repeats.

    Args:
        responses: `(repeats, stimuli, units)` without missing repeats, in memory or in chunks.
        precision: "float64", or "mixed": products in float32, sums in float64.
        memory: GB of responses that may be held where chunks come along the wrong axis.
        side: which axis the matrix is over; `None`: the smaller.

    Raises:
        ValueError: for fewer than two stimuli, chunks that do not fit together, or values that are not finite.
    """
    return consumed(gramming(responses, precision, memory, side))[0]


def gramming(
    responses: Responses,
    precision: Precision = "float64",
    memory: float = MEMORY,
    side: Side | None = None,
    groups: Groups | None = None,
    kept: Mapping[str, Tensor] | None = None,
) -> Working[tuple[Gram, ...]]:
    """As `gram`, chunk by chunk; with groups of units, the Gram of all of them, and after it that of each.

    Args:
        responses: as for `gram`.
        precision: as for `gram`.
        memory: as for `gram`.
        side: as for `gram`.
        groups: of units. Stimulus side only.
        kept: pieces of an earlier call that did not end.
    """
    shape = responses.shape
    if shape is not None:
        need_stimuli(shape, responses.name)
        side = side or ("units" if shape[2] < shape[1] else "stimuli")
        way = route(responses, precision, memory, side=side)
        if way.readings > 1:
            _need_one_group(groups)
            return told(responses, (yield from crossing(responses, way, precision, memory, kept or {})))
    pieces, over = _along(responses, side)
    fold = _Fold(over, side if groups is None else "stimuli", precision, groups, responses.name)
    first = fold.resume(kept) if kept and "at" in kept else 0
    total = length(pieces)
    for number, piece in enumerate(after(pieces, first), start=first + 1):
        fold.add(piece)
        del piece
        yield Stage("second moments", number, total, {**fold.made(), "at": torch.tensor(number)})
    return told(responses, *fold.grams(shape))


def told(responses: Responses, *found: Gram) -> tuple[Gram, ...]:
    """Second moments with what their responses say of successive stimuli."""
    return tuple(replace(one, sampled_over=responses.sampled_over, block=responses.block) for one in found)


def need_stimuli(size: Size, name: str) -> None:
    """Refuse what has no covariance over stimuli."""
    need(
        size[1] >= 2 and size[2] >= 1,
        expected=f"at least two stimuli and one unit in {name}",
        got=f"{size[1]} × {size[2]}",
        remedy="A covariance needs differences between stimuli.",
    )


def _need_one_group(groups: Groups | None) -> None:
    need(
        groups is None,
        expected="responses that come in chunks of units, to keep groups of units apart",
        got="chunks of stimuli that do not fit into memory",
        remedy="Allow more memory, or store the units in chunks.",
    )


def _along(responses: Responses, side: Side | None) -> tuple[Iterable[Tensor], Side]:
    """The responses in chunks, and the axis these are cut along: in memory across the side, else as they come."""
    if responses.chunks is not None:
        return responses.chunks(), responses.chunked_over
    values = given(responses.values, "responses", "none", "Give `values` or `chunks`.")
    over = "units" if side == "stimuli" else "stimuli"
    axis = 2 if over == "units" else 1
    across = max(1, values.numel() // max(1, values.shape[axis]))
    return values.split(max(1, routes.BLOCK // across), dim=axis), over


class _Fold:
    """Pieces folded into sums over the axis that they are cut along, or held until that is known to be the longer.

    Pieces cut along the stimuli add up on the unit side, and the other way round. If the side is not said, pieces are
    kept until there are more along than across; so no more than the smaller side squared is ever held.
    """

    def __init__(self, over: Side, side: Side | None, precision: Precision, groups: Groups | None, name: str) -> None:
        self.over: Side = over
        self.side, self.name = side, name
        self.precision: Precision = precision
        self.groups = groups
        self.seen = 0
        self.held: list[Tensor] = []
        self.sums: OverStimuli | OverUnits | None = None

    def add(self, piece: Float[Tensor, "repeats stimuli units"]) -> None:
        """Add a piece; its tensor may be used again afterwards."""
        along, across = (1, 2) if self.over == "stimuli" else (2, 1)
        self.seen += piece.shape[along]
        longer = self.seen >= piece.shape[across] + (self.over == "stimuli")
        if self.sums is None and (longer if self.side is None else self.side != self.over):
            first = (self.held or [piece])[0]
            self.sums = self._new("stimuli" if self.over == "units" else "units", first)
            for earlier in self.held:
                self.sums.add(earlier, self.name)
            self.held = []
        if self.sums is None:
            need_alike((self.held or [piece])[0].shape, piece, self.over)
            self.held.append(piece.detach().clone())
        else:
            self.sums.add(piece, self.name)

    def _new(self, side: Side, piece: Tensor) -> OverStimuli | OverUnits:
        if side == "stimuli":
            return OverStimuli(piece, self.precision, self.groups)
        return OverUnits(piece, self.precision)

    def _fold_held(self) -> None:
        """Fold the pieces that are held, which are never laid beside one another as a whole."""
        along, across = (1, 2) if self.over == "stimuli" else (2, 1)
        repeats = self.held[0].shape[0]
        for block in zip(
            *(piece.split(max(1, routes.BLOCK // max(1, repeats * self.seen)), across) for piece in self.held)
        ):
            part = torch.cat(block, along)
            self.sums = self.sums or self._new(self.over, part)
            self.sums.add(part, self.name)
            del part

    def made(self) -> dict[str, Tensor]:
        """From these the same sums go on; nothing while pieces are held."""
        return {} if self.sums is None else self.sums.made()

    def resume(self, kept: Mapping[str, Tensor]) -> int:
        """Go on from what was made; how many pieces that was."""
        self.sums = resumed(kept, self.precision, self.groups)
        return int(kept["at"]) if self.sums is not None else 0

    def grams(self, size: Size | None) -> tuple[Gram, ...]:
        """The Gram of all pieces, those that are held among them, and of each group."""
        if self.sums is None and self.held:
            self._fold_held()
        return finished(self.sums, size, self.name)


def resumed(
    kept: Mapping[str, Tensor], precision: Precision, groups: Groups | None = None
) -> OverStimuli | OverUnits | None:
    """The sums of either side as they were when these were made; `None` if none were."""
    if "matrices" in kept:
        return OverStimuli.resumed(kept, precision, groups)
    return OverUnits.resumed(kept, precision) if "sums" in kept else None


def finished(sums: OverStimuli | OverUnits | None, size: Size | None, name: str) -> tuple[Gram, ...]:
    """The Gram of all that was summed, and after it that of each group, if there are groups.

    Args:
        sums: `None` if there were no pieces.
        size: what the responses said they are.
        name: theirs.

    Raises:
        ValueError: for fewer than two stimuli, another number of stimuli or units than was said, or no variance.
    """
    found = (1, 0, 0) if sums is None else sums.size
    need_stimuli(found, name)
    need_same(size, found)
    assert sums is not None
    grams = sums.grams(name)
    need(
        grams[0].units > 0,
        expected=f"{name} that vary over stimuli",
        got="no variance in any unit",
        remedy="Look for a dead layer, or a constant input.",
    )
    return grams
