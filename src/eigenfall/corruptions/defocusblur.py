"""A lens out of focus: every point becomes a disc.

    x ∗ disc of radius r, each pixel of which weighs as much as the disc covers of it

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels of about the same strength as those of its CIFAR-10-C.
Differs from the source: the source's small discs fall on whole pixels and are blurred; here radii have about its
kernels' second moments, r²/4 + 1/12 for each axis.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
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
    radii: tuple[float, ...] = (0.55, 0.8, 1.05, 1.2, 1.55)

    def __call__(
        self, inputs: Float[Tensor, "batch channels height width"], severity: int, generator: torch.Generator
    ) -> Float[Tensor, "batch channels height width"]:
        """Blur.

        Args:
            inputs: images in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        return filtered(inputs, disc(level(inputs, severity, self.radii, "defocusblur"))).clamp(0, 1)
