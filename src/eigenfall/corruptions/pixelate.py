"""Large pixels.

    mean over ⌊c·side⌋ boxes along each side, then the box nearest to each pixel

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: a pixel at the edge of two boxes counts in both by its share. On images of a few pixels fewer
boxes may happen to lie better: there severities need not ascend.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Pixelate:
    """Fewer, larger pixels.

    Attributes:
        factors: how many boxes a side has, over its pixels, at each severity.
    """

    cite: ClassVar[str] = "hendrycks2019"
    factors: tuple[float, ...] = (0.95, 0.9, 0.85, 0.75, 0.65)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Make pixels larger.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        factor = level(inputs, severity, self.factors, "pixelate")
        down, right = (_boxes(side, max(1, int(side * factor))).to(inputs) for side in inputs.shape[2:])
        return (down @ inputs @ right.T).clamp(0, 1)


def _boxes(side: int, boxes: int) -> Tensor:
    """Weights `(side, side)` of the pixels in each pixel's box, along one side of an image."""
    edges = torch.linspace(0, side, boxes + 1, dtype=torch.float64)
    pixels = torch.arange(side, dtype=torch.float64)
    shared = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    means = shared.clamp_min(0) * (boxes / side)
    return means[((pixels + 0.5) * boxes / side).long()]
