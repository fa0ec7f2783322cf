"""Normal blur.

    x ∗ normal kernel of standard deviation σ

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: beyond the border the nearest pixel stands.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._filters import blurred
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class GaussianBlur:
    """Blur with a normal kernel.

    Attributes:
        sigmas: standard deviation at each severity, in pixels of the image, whatever its size.
    """

    cite: ClassVar[str] = "hendrycks2019"
    sigmas: tuple[float, ...] = (0.4, 0.6, 0.7, 0.8, 1.0)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Blur.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        return blurred(inputs, level(inputs, severity, self.sigmas, "gaussianblur")).clamp(0, 1)
