"""Elastic: an image on a cloth that is pulled about.

    x at (row + δ₁, column + δ₂),  δ = a·side·field,  the field smooth, of root mean square 1

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels our own.
Differs from the source: no affine map beside the field, and one field for every severity, whose smoothness does not
change with it, so that severities ascend.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._fields import displacement
from eigenfall.corruptions._filters import places, warped
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Elastic:
    """Smooth displacements.

    Attributes:
        shares: root mean square displacement at each severity, over the image's smaller side.
        smoothness: standard deviation of the field's blur, over the same.
    """

    cite: ClassVar[str] = "hendrycks2019"
    shares: tuple[float, ...] = (0.01, 0.02, 0.03, 0.04, 0.06)
    smoothness: float = 0.12

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Pull.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        share = level(inputs, severity, self.shares, "elastic")
        height, width = inputs.shape[2:]
        side = min(height, width)
        fields = (
            each(inputs, generator, lambda own: displacement(height, width, self.smoothness * side, own)) * share * side
        )
        down, right = places(inputs)
        return warped(inputs, down + fields[:, 0], right + fields[:, 1]).clamp(0, 1)
