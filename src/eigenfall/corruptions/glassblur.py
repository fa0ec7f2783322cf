"""Frosted glass: pixels change places with neighbours, between two blurs.

    blur σ;  i times: every pixel changes places with one at most δ away, drawn;  blur σ

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; levels those of its CIFAR-10-C.
Differs from the source: pixels truly change places, where the source's swap loses one of them; steps of −δ … δ are
equally likely; pixels within δ of the border are drawn from, but do not draw.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.check import need
from eigenfall.corruptions._draws import each
from eigenfall.corruptions._filters import blurred
from eigenfall.corruptions._levels import level


@dataclass(frozen=True)
class GlassBlur:
    """Neighbouring pixels exchanged.

    Attributes:
        sigmas: standard deviation of both blurs at each severity, in pixels of the image.
        reach: how far a pixel goes, in pixels.
        times: how often all pixels draw.
    """

    cite: ClassVar[str] = "hendrycks2019"
    sigmas: tuple[float, ...] = (0.05, 0.25, 0.4, 0.25, 0.4)
    reach: tuple[int, ...] = (1, 1, 1, 1, 1)
    times: tuple[int, ...] = (1, 1, 1, 2, 2)

    def __call__(
        self, inputs: Float[Tensor, "batch channels height width"], severity: int, generator: torch.Generator
    ) -> Float[Tensor, "batch channels height width"]:
        """Look through the glass.

        Args:
            inputs: images in [0, 1].
            severity: 1, the weakest, to 5.
            generator: its seed, not its position, and each image's contents decide the draws.

        Raises:
            ValueError: for inputs that are no images in [0, 1] larger than the reach, or a severity that there is not.
        """
        sigma = level(inputs, severity, self.sigmas, "glassblur")
        reach = level(inputs, severity, self.reach, "glassblur")
        times = level(inputs, severity, self.times, "glassblur")
        height, width = inputs.shape[2:]
        need(
            min(height, width) > 2 * reach,
            expected=f"images of more than {2 * reach} pixels on each side for corruption 'glassblur'",
            got=f"{height} × {width}",
            remedy="Leave it out: no pixel has a neighbour to change places with.",
        )
        shape = (times, height - 2 * reach, width - 2 * reach, 2)
        steps = each(inputs, generator, lambda own: torch.randint(-reach, reach + 1, shape, generator=own)).long()
        return blurred(_exchanged(blurred(inputs, sigma), steps, reach), sigma).clamp(0, 1)


def _exchanged(images: Tensor, steps: Tensor, reach: int) -> Tensor:
    """Images whose pixels changed places, one after the other, row by row, in all images at once.

    Args:
        images: `(batch, channels, height, width)`.
        steps: rows and columns to go, `(batch, times, height − 2 reach, width − 2 reach, 2)`.
        reach: how far the first pixel that draws is from the border.
    """
    found, every = images.clone(), torch.arange(len(images), device=images.device)
    for time in steps.unbind(1):
        for row in range(time.shape[1]):
            for column in range(time.shape[2]):
                at = (row + reach, column + reach)
                down, right = (time[:, row, column] + torch.tensor(at, device=images.device)).unbind(1)
                here = found[:, :, at[0], at[1]].clone()
                found[:, :, at[0], at[1]] = found[every, :, down, right]
                found[every, :, down, right] = here
    return found
