"""Fog: a bright cloud before the image.

    (x + c·cloud)·m/(m + c),  m the image's largest value, the cloud's amplitude ∝ frequency^−β

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: the cloud is a random field with a power-law spectrum, spanning [0, 1], in place of a diamond-
square fractal; β is the same at every severity.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._fields import cloud
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Fog:
    """A cloud laid over the image.

    Attributes:
        strengths: of the cloud at each severity.
        exponent: β; larger is smoother.
    """

    cite: ClassVar[str] = "hendrycks2019"
    strengths: tuple[float, ...] = (0.2, 0.5, 0.75, 1.0, 1.5)
    exponent: float = 2.5

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Lay the fog.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        strength = level(inputs, severity, self.strengths, "fog")
        height, width = inputs.shape[2:]
        clouds = each(inputs, generator, lambda own: cloud(height, width, self.exponent, own))[:, None]
        largest = inputs.amax((1, 2, 3), keepdim=True)
        return ((inputs + strength * clouds) * largest / (largest + strength)).clamp(0, 1)
