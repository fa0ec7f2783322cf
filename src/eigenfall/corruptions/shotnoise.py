"""Poisson noise: few photons.

    k/c,  k ~ Poisson(c·x),  clipped to [0, 1]

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: draws are each image's own.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class ShotNoise:
    """Counts of photons in place of brightness.

    Attributes:
        photons: how many a white pixel sends, at each severity.
    """

    cite: ClassVar[str] = "hendrycks2019"
    photons: tuple[float, ...] = (500.0, 250.0, 100.0, 75.0, 50.0)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Count photons.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        photons = level(inputs, severity, self.photons, "shotnoise")
        rates = iter((inputs.detach().float() * photons).cpu())
        counts = each(inputs, generator, lambda own: torch.poisson(next(rates), generator=own))
        return (counts / photons).clamp(0, 1)
