"""Frosted glass: pixels change places with neighbours, between two blurs.

    blur σ;  every pixel, with probability p, changes places with one at most δ away, drawn;  blur σ

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels our own.
Differs from the source: severities differ in p alone, so that they ascend; pixels truly change places, where the
source's swap loses one of them; steps of −δ … δ are equally likely; pixels within δ of the border do not draw.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.corruptions._draws import each
from eigenfall.corruptions._filters import blurred
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class GlassBlur:
    """Neighbouring pixels exchanged.

    Attributes:
        shares: probability that a pixel draws, at each severity.
        sigma: standard deviation of both blurs, in pixels of the image.
        reach: how far a pixel goes, in pixels.
    """

    cite: ClassVar[str] = "hendrycks2019"
    shares: tuple[float, ...] = (0.1, 0.2, 0.35, 0.6, 1.0)
    sigma: float = 0.25
    reach: int = 1

    def __call__(self, inputs: Tensor, severity: int, generator: torch.Generator) -> Tensor:
        """Look through the glass.

        Args:
            inputs: images `(batch, channels, height, width)` in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Returns:
            Images of the same shape and type.

        Raises:
            ValueError: for inputs that are no images in [0, 1] larger than the reach, or a severity that there is not.
        """
        share, reach = level(inputs, severity, self.shares, "glassblur"), self.reach
        height, width = inputs.shape[2:]
        need(
            min(height, width) > 2 * reach,
            expected=f"images of more than {2 * reach} pixels on each side for corruption 'glassblur'",
            got=f"{height} × {width}",
            remedy="Leave it out: no pixel has a neighbour to change places with.",
        )
        inner = (height - 2 * reach, width - 2 * reach)
        draws = each(inputs, generator, lambda own: torch.rand(3, *inner, generator=own))
        steps = (draws[:, 1:] * (2 * reach + 1)).long() - reach
        steps = torch.where(draws[:, :1] < share, steps, 0)
        return blurred(_exchanged(blurred(inputs, self.sigma), steps, reach), self.sigma).clamp(0, 1)


def _exchanged(images: Tensor, steps: Tensor, reach: int) -> Tensor:
    """Images whose pixels changed places, one after the other, row by row, in all images at once.

    Args:
        images: `(batch, channels, height, width)`.
        steps: rows and columns to go, `(batch, 2, height − 2 reach, width − 2 reach)`.
        reach: how far the first pixel that draws is from the border.
    """
    found, every = images.clone(), torch.arange(len(images), device=images.device)
    for row in range(reach, images.shape[2] - reach):
        for column in range(reach, images.shape[3] - reach):
            down, right = (steps[:, axis, row - reach, column - reach] for axis in (0, 1))
            here = found[:, :, row, column].clone()
            found[:, :, row, column] = found[every, :, row + down, column + right]
            found[every, :, row + down, column + right] = here
    return found
