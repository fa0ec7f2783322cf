"""More light.

    x·V'/V,  V the largest channel of a pixel, V' = min(1, V + c);  a black pixel becomes c in all channels

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: none in colour, where this is the shift of V of its HSV; one channel is shifted alike.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Brightness:
    """Brightness of every pixel raised, its hue kept.

    Attributes:
        shifts: what is added at each severity, in [0, 1] pixels.
    """

    cite: ClassVar[str] = "hendrycks2019"
    shifts: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Brighten.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        shift = level(inputs, severity, self.shifts, "brightness")
        value = inputs.amax(1, keepdim=True)
        raised = (value + shift).clamp_max(1)
        colour = inputs / torch.where(value > 0, value, 1.0)
        return (torch.where(value > 0, colour, 1.0) * raised).clamp(0, 1)
