"""How the second moments of some responses will be found: over which side, from how many readings, with what memory."""

import math
from dataclasses import dataclass
from typing import Literal

from eigenfall.check import need
from eigenfall.linalg import Precision
from eigenfall.streams import length
from eigenfall.types import Responses

MEMORY = 2.0
"""How many GB of responses may be held where chunks come along the wrong axis."""

BLOCK = 2**23
"""How many values of a chunk are multiplied at once: 64 MB in float64."""

OVERHEAD, OF_A_UNIT = 0.1, 80e-9
"""GB that the libraries' own buffers take, and that what is known of one unit does while the tensor of it grows."""

Side = Literal["units", "stimuli"]
Size = tuple[int, int, int]


def size_of(responses: Responses) -> Size:
    """`(repeats, stimuli, units)`; a stream that does not say is read once to count.

    Raises:
        ValueError: for pieces that do not fit together.
    """
    if responses.shape is not None:
        return responses.shape
    axis, words = (1 if responses.chunked_over == "stimuli" else 2), ("repeats", "stimuli", "units")
    found: list[int] = []
    for piece in responses.pieces():
        if not found:
            found = list(piece.shape)
            continue
        for other in {0, 1, 2} - {axis}:
            need(
                piece.shape[other] == found[other],
                expected=f"{found[other]} {words[other]} in every chunk of {words[axis]}",
                got=f"{piece.shape[other]}",
                remedy=f"Cut the chunks along the {words[axis]} only.",
            )
        found[axis] += piece.shape[axis]
    repeats, stimuli, units = found or (1, 0, 0)
    return repeats, stimuli, units


@dataclass(frozen=True)
class Route:
    """How the second moments of some responses are found.

    Attributes:
        size: `(repeats, stimuli, units)`.
        side: which axis the matrix is over.
        readings: how often the responses are read.
        peak_gb: the most that is held at once; responses that are in memory already are not counted.
    """

    size: Size
    side: Side
    readings: int
    peak_gb: float

    def __str__(self) -> str:
        repeats, stimuli, units = self.size
        rows = repeats * (stimuli if self.side == "stimuli" else units)
        return (
            f"{repeats} × {stimuli} stimuli × {units} units; second moments over {self.side}, {rows} × {rows}, from "
            f"{self.readings} reading{'s' if self.readings > 1 else ''}, with at most {self.peak_gb:.2g} GB"
        )


def route(
    responses: Responses,
    precision: Precision = "float64",
    memory: float = MEMORY,
    groups: int = 1,
    side: Side | None = None,
) -> Route:
    """How the second moments of these responses will be found, and what that holds at most.

    Args:
        responses: what would be read.
        precision: of the products.
        memory: GB of responses that may be held where chunks come along the wrong axis.
        groups: how many Grams of groups of units are kept apart, beside their sum.
        side: which axis the matrix is over; `None`: the smaller.
    """
    repeats, stimuli, units = size = size_of(responses)
    side = side or ("units" if units < stimuli else "stimuli")
    rows = repeats * (stimuli if side == "stimuli" else units)
    copies = (
        groups + (groups > 1) if side == "stimuli" else 2
    )  # the sum of groups; and over units, the mean of each repeat is put into a copy at the end
    held = OVERHEAD + 8e-9 * copies * rows**2 + OF_A_UNIT * units
    held += (2 if groups == 1 else 3) * (4e-9 if precision == "mixed" else 8e-9) * max(BLOCK, rows)
    if responses.chunks is None:
        return Route(size, side, 1, held)
    whole = 8e-9 * math.prod(size)
    held += 2 * whole / (length(responses.chunks()) or 20)
    if responses.chunked_over != side:
        return Route(size, side, 1, held)
    parts, turned = max(1, math.ceil(whole / memory)), 8e-9 * max(BLOCK, rows)
    return Route(size, side, 1 if parts == 1 else 1 + parts, held + min(whole, memory) + turned)
