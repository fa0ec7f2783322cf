"""A lens out of focus: every point becomes a disc.

    x ∗ disc of radius r, each pixel of which weighs as much as the disc covers of it

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels of about the same strength as those of its CIFAR-10-C.
Differs from the source: its small discs fall on whole pixels and are blurred; ours are sampled finely, and radii chosen
so that kernels have the source's second moments along an axis, .08, .21, .33, .4 and .67 pixels².
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._filters import disc, filtered
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class DefocusBlur:
    """Blur with a disc.

    Attributes:
        radii: of the disc at each severity, in pixels of the image, whatever its size.
    """

    cite: ClassVar[str] = "hendrycks2019"
    radii: tuple[float, ...] = (0.6, 0.74, 0.9, 1.02, 1.6)

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
        return filtered(inputs, disc(level(inputs, severity, self.radii, "defocusblur"))).clamp(0, 1)
