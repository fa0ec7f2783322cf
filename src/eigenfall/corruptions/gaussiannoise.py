"""Normal noise on every value, as a sensor in the dark makes it.

    x + σ·n,  n ~ N(0, 1),  clipped to [0, 1]

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: draws are each image's own, and the same at every severity.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class NormalNoise:
    """Normal noise of a standard deviation per severity.

    Attributes:
        sds: standard deviation at each severity, in [0, 1] pixels.
    """

    cite: ClassVar[str] = "hendrycks2019"
    sds: tuple[float, ...] = (0.04, 0.06, 0.08, 0.09, 0.1)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Add the noise.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        sd = level(inputs, severity, self.sds, "gaussiannoise")
        noise = each(inputs, generator, lambda own: torch.randn(inputs.shape[1:], generator=own))
        return (inputs + sd * noise).clamp(0, 1)
