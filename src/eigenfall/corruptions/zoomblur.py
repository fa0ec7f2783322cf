"""A camera that moves towards the scene while it looks.

    mean of x and of x enlarged about its centre by 1, 1 + s, 1 + 2s, … up to z

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: enlarged images are read linearly at the places that they come from, which the source rounds.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._filters import places, warped
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class ZoomBlur:
    """Mean of enlarged images.

    Attributes:
        zooms: largest factor at each severity.
        step: from factor to factor.
    """

    cite: ClassVar[str] = "hendrycks2019"
    zooms: tuple[float, ...] = (1.05, 1.1, 1.15, 1.2, 1.25)
    step: float = 0.01

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
        largest = level(inputs, severity, self.zooms, "zoomblur")
        down, right = places(inputs)
        middle_down, middle_right = (inputs.shape[2] - 1) / 2, (inputs.shape[3] - 1) / 2
        factors = [1 + self.step * count for count in range(round((largest - 1) / self.step) + 1)]
        total = inputs.clone()
        for factor in factors:
            total += warped(
                inputs, middle_down + (down - middle_down) / factor, middle_right + (right - middle_right) / factor
            )
        return (total / (len(factors) + 1)).clamp(0, 1)
