"""Frost: bright ridges that cover the image, without photographs.

    x + s·r·(white − x),  r = (1 − |2·cloud − 1|)³ the ridges of a cloud,  white (.85, .93, 1) in colour, else 1

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels our own.
Differs from the source: it lays photographs of frosted glass over the image; there are none here, so that only the
manner is the same, and errors are not comparable with the source's frost.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._fields import cloud
from eigenfall.corruptions._levels import level

ICE = (0.85, 0.93, 1.0)


@dataclass(frozen=True)
class Frost:
    """Ridges of frost before the image.

    Attributes:
        cover: share of the image that a full ridge hides, at each severity.
        exponent: amplitude of the cloud ∝ frequency^−exponent.
        sharpness: power of the ridges.
    """

    cite: ClassVar[str] = "hendrycks2019"
    cover: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6)
    exponent: float = 1.75
    sharpness: float = 3.0

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Freeze.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        cover = level(inputs, severity, self.cover, "frost")
        height, width = inputs.shape[2:]
        clouds = each(inputs, generator, lambda own: cloud(height, width, self.exponent, own))[:, None]
        ridges = (1 - (2 * clouds - 1).abs()) ** self.sharpness
        white = inputs.new_tensor(ICE if inputs.shape[1] == 3 else (1.0,))[:, None, None]
        return (inputs + cover * ridges * (white - inputs)).clamp(0, 1)
