"""Rectified power of the currents, then a linear readout under cross-entropy.

    a = ReLU(I / s)ⁿ,   z = A a + b,   ℓ = −ln softmax(z)ₜ, mean over the batch

Source: Holzhausen, Merlid, Torvik, Malthe-Sørenssen & Lepperød 2024, arXiv:2405.00679, after Krotov & Hopfield 2019,
whose activation it is.
Differs from the source: currents are divided by a `scale`, which the preset leaves at 1.

Scale. Responses grow with the n-th power of the inputs' unit. For images divided by their own L3 norm and units of
norm 1 currents lie between −1 and 1, and responses mostly far below; for pixels in [0, 1] they reach hundreds. Adam
moves a weight by about its learning rate in each step, whatever the gradient: a readout of small responses needs
large weights and many steps, one of large responses moves in coarse steps. Dividing the currents by
`eigenfall.readout.unit_scale` makes the responses' root mean square 1 in any unit. The published reading has no scale.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from eigenfall.heads._shared import built, need_logits, rectified_power


@dataclass(frozen=True)
class RePUHead:
    """ReLU(I / scale)^power, a linear readout with bias, cross-entropy.

    Attributes:
        power: exponent n of the rectified currents, 1 or more.
        scale: what currents are divided by first, in their own unit; none: by what makes the responses' root mean
            square 1 at the inputs that the head is fitted on (`eigenfall.readout`); until then by 1.
    """

    cite: ClassVar[str] = "holzhausen2024"
    power: float = 4.5
    scale: float | None = None

    def __call__(self, units: int, classes: int, generator: torch.Generator) -> nn.Sequential:
        """Build the head with torch's default initialisation.

        Args:
            units: of the layer below.
            classes: how many logits.
            generator: gives the seed of the weights.

        Returns:
            Currents `(batch, units)` to logits `(batch, classes)`: `hidden1`, the activation, and `readout`.

        Raises:
            ValueError: if there are no units, fewer than two classes, or the power is below 1 or the scale not above 0.

        Example:
            >>> head = RePUHead(power=2.0)(3, 2, torch.Generator().manual_seed(0))
            >>> head.hidden1(torch.tensor([[-1.0, 2.0, 3.0]])).tolist()
            [[0.0, 4.0, 9.0]]
        """
        return built(
            units,
            classes,
            rectified_power(self.power, 1.0 if self.scale is None else self.scale),
            bias=True,
            generator=generator,
        )

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of logits.

        Args:
            outputs: logits.
            targets: class of each row, int64.

        Raises:
            ValueError: if there are no rows, or not one target for each.
        """
        need_logits(outputs, targets)
        return nn.functional.cross_entropy(outputs, targets)

    def predictions(self, outputs: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Probability of each class."""
        return outputs.softmax(1)


PRESETS = {"holzhausen2024": RePUHead(power=4.5, scale=1.0)}
