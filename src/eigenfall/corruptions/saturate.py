"""Colours too strong.

    V − (V − x)·S'/S,  V and S value and saturation of a pixel, S' = min(1, a·S + b)

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels about those of its CIFAR-10-C from the third on.
Differs from the source: every severity saturates, where the source's first two wash out, so that severities ascend; a
grey pixel stays grey, where the source makes it red.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class Saturate:
    """Saturation raised, hue and value kept.

    Attributes:
        factors: of the saturation at each severity.
        shifts: what is added to it.
    """

    cite: ClassVar[str] = "hendrycks2019"
    factors: tuple[float, ...] = (1.2, 1.5, 1.75, 2.0, 2.5)
    shifts: tuple[float, ...] = (0.0, 0.0, 0.05, 0.1, 0.2)

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Saturate.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: not used.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1] of three channels, or a severity that there is not.
        """
        factor = level(inputs, severity, self.factors, "saturate")
        shift = level(inputs, severity, self.shifts, "saturate")
        need(
            inputs.shape[1] == 3,
            expected="images of three channels for corruption 'saturate'",
            got=f"{inputs.shape[1]}",
            remedy="Leave it out: a grey image has no colour.",
        )
        value, least = inputs.amax(1, keepdim=True), inputs.amin(1, keepdim=True)
        grey = value == least
        saturation = torch.where(grey, 1.0, (value - least) / torch.where(value > 0, value, 1.0))
        raised = (factor * saturation + shift).clamp_max(1)
        return torch.where(grey, inputs, value - (value - inputs) * raised / saturation).clamp(0, 1)
