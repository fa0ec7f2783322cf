"""Salt and pepper: values that are lost.

    0 with probability p/2, 1 with probability p/2, else x, for each value

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: draws are each image's own: what is lost at a severity is lost at the next, too.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.corruptions._draws import each
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class ImpulseNoise:
    """Some values become 0 or 1.

    Attributes:
        shares: probability that a value is lost, at each severity.
    """

    cite: ClassVar[str] = "hendrycks2019"
    shares: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.07)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Lose values.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1], or a severity that there is not.
        """
        share = level(inputs, severity, self.shares, "impulsenoise")
        chance = each(inputs, generator, lambda own: torch.rand(inputs.shape[1:], generator=own))
        return torch.where(chance < share / 2, 0.0, torch.where(chance >= 1 - share / 2, 1.0, inputs))
