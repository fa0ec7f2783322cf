"""Snow: bright streaks, and a whiter image.

    (1 − w)·x + w·max(x, 1.5·grey + .5) + flakes,  clipped to [0, 1]

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels our own, whiteness about its CIFAR-10-C's.
Differs from the source: flakes are single pixels, of brightness ½ to 1, drawn out along a line, where the source
thresholds enlarged noise; each severity has the flakes of the one below it.
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
class Snow:
    """Streaks of snow before the image.

    Attributes:
        shares: probability that a flake stands at a pixel, at each severity.
        whiteness: w at each severity.
        radius: length of a streak, in pixels of the image.
        sigma: how fast it fades, in pixels.
    """

    cite: ClassVar[str] = "hendrycks2019"
    shares: tuple[float, ...] = (0.01, 0.02, 0.03, 0.045, 0.06)
    whiteness: tuple[float, ...] = (0.05, 0.1, 0.12, 0.15, 0.2)
    radius: int = 3
    sigma: float = 1.5

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Let it snow.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        share = level(inputs, severity, self.shares, "snow")
        white = level(inputs, severity, self.whiteness, "snow")
        draws = each(
            inputs, generator, lambda own: torch.rand(2, *inputs.shape[2:], generator=own, dtype=torch.float64)
        )
        flakes = torch.where(draws[:, :1] < share, 0.5 + draws[:, 1:] / 2, 0.0)
        turns = draws[:, 1, 0, 0].double()
        kernels = streaks(self.radius, self.sigma, (turns + 0.5) * (math.pi / 2))
        layer = filtered(flakes, kernels / kernels.amax((1, 2), keepdim=True)).clamp(0, 1)
        bright = torch.maximum(inputs, 1.5 * inputs.mean(1, keepdim=True) + 0.5)
        return ((1 - white) * inputs + white * bright + layer).clamp(0, 1)
