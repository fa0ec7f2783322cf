"""What SoftHebb, BCM and Földiák's rule share: first weights, settings above 0, and the scale of a summed change."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.check import need
from eigenfall.rules._shared import normal

Distribution = Literal["normal", "uniform"]

TINY = 1e-30
"""The least that a largest change counts as, so that nothing is divided by 0."""


def first_weights(
    inputs: int, units: int, distribution: Distribution, norm: float, generators: Sequence[torch.Generator]
) -> Float[Tensor, "seeds units inputs"]:
    """Normal weights, or uniform ones from 0 up, of this root mean square length; a seed's depend on it alone."""
    if distribution == "normal":
        return normal((units, inputs), generators) * (norm / math.sqrt(inputs))
    drawn = torch.stack([torch.rand(units, inputs, generator=generator) for generator in generators])
    return drawn * (norm * math.sqrt(3 / inputs))  # a mean square of 1/3 before


def scale_of(change: Float[Tensor, "seeds units inputs"], rows: int, step: str) -> Float[Tensor, "seeds 1 1"]:
    """What makes of a change summed over rows its mean over them, or one whose largest entry in a seed is 1."""
    if step != "largest":
        return change.new_full((len(change), 1, 1), 1 / rows)
    low, high = change.flatten(1).aminmax(dim=1)
    return (-low).maximum(high).clamp(min=TINY).reciprocal()[:, None, None]


def need_above_0(part: Any, *names: str) -> None:
    """Refuse settings that are not above 0."""
    for name in names:
        value = getattr(part, name)
        need(value > 0, expected=f"{name} above 0", got=f"{value:g}", remedy="Leave it out for the default.")
