"""Second moments with the two repeats of some stimuli swapped: by indices, or on the unit side by sums."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.grams import routes
from eigenfall.grams.sums import need_same
from eigenfall.linalg import Precision, add_products, mirrored
from eigenfall.types import Gram, Responses


def swapped(
    moments: Gram, coins: Bool[Tensor, " stimuli"]
) -> tuple[Float64[Tensor, "stimuli stimuli"], Float64[Tensor, "stimuli stimuli"]]:
    """X₁X₁ᵀ and X₂X₁ᵀ with the repeats of some stimuli swapped; no mean is taken off anew.

    Args:
        moments: of two repeats, on the stimulus side.
        coins: which stimuli are swapped.
    """
    place = torch.arange(moments.stimuli, device=moments.matrix.device)
    own = place + moments.stimuli * coins.to(place)
    other = place + moments.stimuli * (~coins).to(place)
    columns = moments.matrix[:, own]
    return columns[own], columns[other]


def swapped_over_units(
    responses: Responses,
    means: Float64[Tensor, "2 units"],
    varies: Bool[Tensor, " all_units"],
    coins: Bool[Tensor, "shuffles stimuli"],
    precision: Precision = "float64",
) -> Float64[Tensor, "shuffles units units"]:
    """X₁ᵀX₁ under each of several swaps of the repeats of some stimuli, from one reading.

    The symmetric part of X₁ᵀX₂, and X₁ᵀX₁ + X₂ᵀX₂, are the same under every swap.

    Args:
        responses: two repeats, in memory or in chunks.
        means: what is taken off each unit that varies, in each repeat.
        varies: which units those are.
        coins: which stimuli are swapped, in each shuffle.
        precision: of the products.
    """
    units = means.shape[1]
    sums = torch.zeros(len(coins), units, units, dtype=torch.float64, device=means.device)
    read = 0
    for rows in _in_rows(responses):
        need_same((2, coins.shape[1], len(varies)), (2, max(coins.shape[1], read + rows.shape[1]), rows.shape[2]))
        here, centred = coins[:, read : read + rows.shape[1]], rows[..., varies].double() - means[:, None]
        for matrix, coin in zip(sums, here):
            add_products(matrix, torch.where(coin[:, None], centred[1], centred[0]), precision)
        read += rows.shape[1]
    need_same((2, coins.shape[1], units), (2, read, units))
    for matrix in sums:
        mirrored(matrix)
    return sums


def _in_rows(responses: Responses) -> Iterable[Tensor]:
    """The responses in chunks of stimuli; a stream over units is held, which is what fewer units than stimuli allow."""
    if responses.values is not None:
        across = max(1, responses.values.shape[0] * responses.values.shape[2])
        return responses.values.split(max(1, routes.BLOCK // across), dim=1)
    if responses.chunked_over == "stimuli":
        return responses.pieces()
    return (torch.cat([piece.clone() for piece in responses.pieces()], 2),)
