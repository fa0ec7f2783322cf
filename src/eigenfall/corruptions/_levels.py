"""The level of a severity, and what is refused: no images, images outside [0, 1], a severity that there is not."""

from typing import TypeVar

import torch
from torch import Tensor

from eigenfall.check import need

Level = TypeVar("Level")


def level(inputs: Tensor, severity: int, levels: tuple[Level, ...], name: str) -> Level:
    """The severity's level, severity 1 the first; refuses inputs that cannot be corrupted.

    Args:
        inputs: `(batch, channels, height, width)` in [0, 1].
        severity: from 1, the weakest.
        levels: one for each severity.
        name: of the corruption, for the refusal.
    """
    need(
        inputs.ndim == 4 and inputs.is_floating_point() and inputs.numel() > 0,
        expected=f"images (batch, channels, height, width) of floating-point numbers for corruption {name!r}",
        got=f"shape {tuple(inputs.shape)} of {inputs.dtype}",
        remedy="Add an axis of length 1 for one channel, and divide 8-bit pixels by 255.",
    )
    low, high = torch.stack(inputs.detach().aminmax()).tolist()  # a NaN shows in both
    need(
        low >= 0 and high <= 1,
        expected=f"pixels in [0, 1] for corruption {name!r}",
        got=f"values from {low:.6g} to {high:.6g}",
        remedy="Put the normalisation inside the model and give raw pixels.",
    )
    need(
        severity in range(1, len(levels) + 1),
        expected=f"a severity from 1 to {len(levels)} for corruption {name!r}",
        got=f"{severity}",
        remedy="1 is the weakest.",
    )
    return levels[int(severity) - 1]
