"""Less contrast.

    m + c·(x − m),  m the mean of the channel

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: none.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Contrast:
    """Every channel drawn to its mean.

    Attributes:
        factors: what is left of the contrast at each severity.
    """

    cite: ClassVar[str] = "hendrycks2019"
    factors: tuple[float, ...] = (0.75, 0.5, 0.4, 0.3, 0.15)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Lower the contrast.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        factor = level(inputs, severity, self.factors, "contrast")
        mean = inputs.mean((2, 3), keepdim=True)
        return (mean + factor * (inputs - mean)).clamp(0, 1)
