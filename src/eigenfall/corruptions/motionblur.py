"""A camera that moves: every point becomes a streak.

    x ∗ Σ over t = 0 … r of exp(−t²/2σ²) at t·(sin θ, cos θ),  θ uniform in ±45°

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: points of the streak between pixels are shared among the four around them; beyond the border
the nearest pixel stands; the angle is each image's own.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._filters import filtered, streaks
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class MotionBlur:
    """Blur along a line.

    Attributes:
        radii: length of the streak at each severity, in pixels of the image, whatever its size.
        sigmas: how fast it fades, in pixels.
    """

    cite: ClassVar[str] = "hendrycks2019"
    radii: tuple[int, ...] = (6, 6, 6, 8, 9)
    sigmas: tuple[float, ...] = (1.0, 1.5, 2.0, 2.0, 2.5)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Blur.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        radius = level(inputs, severity, self.radii, "motionblur")
        sigma = level(inputs, severity, self.sigmas, "motionblur")
        turns = each(inputs, generator, lambda own: torch.rand((), generator=own, dtype=torch.float64))
        angles = (turns.double() - 0.5) * (math.pi / 2)
        return filtered(inputs, streaks(radius, sigma, angles)).clamp(0, 1)
