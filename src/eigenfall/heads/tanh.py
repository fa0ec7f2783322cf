"""Rectified power of the currents, a linear readout without bias, and a power of the distance of its tanh from ±1.

    a = ReLU(I / s)ⁿ,   z = A a,   ℓ = Σ over classes |tanh(β z) − t|ᵐ, mean over the batch;   t = 1 for the target,
    −1 for every other class

Source: Krotov & Hopfield 2019, PNAS 116, doi:10.1073/pnas.1820458116.
Differs from the source: the head returns z, so that attacks and margins never meet a saturated tanh; the order of the
classes is the same. The loss is the mean over the batch, not the sum. |tanh(u) − t| is computed as 2 σ(−2 t u), the
same function of u: it neither cancels nor stops at 0 once tanh(u) rounds to t. The sources give β for MNIST as .01 to
.1 (one has 1), and neither β nor m for CIFAR-10, for which the preset takes those of MNIST.

β belongs to the unit of the inputs: .01 suits pixels in [0, 1], whose responses reach hundreds. For images divided by
their L3 norm responses are below 1, z stays near 0 and training is slow: set `scale` by `eigenfall.readout.unit_scale`,
and β to about 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.heads._shared import built, need_logits, rectified_power


@dataclass(frozen=True)
class TanhHead:
    """ReLU(I / scale)^power, a linear readout without bias, |tanh(β z) − t|^m.

    Attributes:
        power: exponent n of the rectified currents, 1 or more.
        loss_power: exponent m of the distance, 1 or more.
        beta: slope β of the tanh at 0.
        scale: what currents are divided by first, in their own unit; none: by what makes the responses' root mean
            square 1 at the inputs that the head is fitted on (`eigenfall.readout`); until then by 1.
    """

    cite: ClassVar[str] = "krotov2019"
    power: float = 4.5
    loss_power: float = 6.0
    beta: float = 0.01
    scale: float | None = None

    def __call__(self, units: int, classes: int, generator: torch.Generator) -> nn.Sequential:
        """Build the head with torch's default initialisation.

        Args:
            units: of the layer below.
            classes: how many logits.
            generator: gives the seed of the weights.

        Returns:
            Currents `(batch, units)` to z `(batch, classes)`, before the tanh: `hidden1`, the activation, and
            `readout`.

        Raises:
            ValueError: if there are no units, fewer than two classes, or a setting is out of its range.

        Example:
            >>> head = TanhHead(power=1.0)(3, 2, torch.Generator().manual_seed(0))
            >>> [name for name, _ in head.named_parameters()]
            ['readout.weight']
        """
        need(
            self.loss_power >= 1,
            expected="a loss_power of 1 or more",
            got=f"{self.loss_power:g}",
            remedy="Krotov & Hopfield use 6.",
        )
        need(self.beta > 0, expected="a beta above 0", got=f"{self.beta:g}", remedy="Krotov & Hopfield use 0.01.")
        return built(
            units,
            classes,
            rectified_power(self.power, 1.0 if self.scale is None else self.scale),
            bias=False,
            generator=generator,
        )

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Mean over the batch of Σ over classes |tanh(β z) − t|^m.

        Args:
            outputs: z, before the tanh.
            targets: class of each row, int64.

        Raises:
            ValueError: if there are no rows, or not one target for each.
        """
        need_logits(outputs, targets)
        signs = torch.full_like(outputs, -1.0).scatter(1, targets[:, None], 1.0)
        distances = 2 * (-2 * self.beta * signs * outputs).sigmoid()  # |tanh(βz) − t|
        return (distances**self.loss_power).sum(1).mean()

    def predictions(self, outputs: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """tanh(β z): near 1 for a class that the head is sure of, near −1 for one that it excludes."""
        return (self.beta * outputs).tanh()


PRESETS = {
    "pnas_mnist": TanhHead(power=4.5, loss_power=6.0, beta=0.01, scale=1.0),
    "pnas_cifar": TanhHead(power=10.0, loss_power=6.0, beta=0.01, scale=1.0),
}
