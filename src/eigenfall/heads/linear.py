"""Linear probe: a linear readout of the layer as it is, under cross-entropy.

    z = A x + b,   or of x̂ = (x − mean) / sd, unit by unit;   ℓ = −ln softmax(z)ₜ, mean over the batch

Source: Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes, arXiv:1610.01644.
Differs from the source: units may be standardised, by batch-norm without scale and shift: with the batch's moments in
training, with running ones after it. The same probe in closed form, by least squares, is `eigenfall.ridge`.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from eigenfall.heads._shared import built, need_logits


@dataclass(frozen=True)
class LinearHead:
    """A linear readout with bias, cross-entropy.

    Attributes:
        standardise: give each unit mean 0 and variance 1 first; then the units' scales do not matter.
    """

    cite: ClassVar[str] = "alain2016"
    standardise: bool = False

    def __call__(self, units: int, classes: int, generator: torch.Generator) -> nn.Sequential:
        """Build the head with torch's default initialisation.

        Args:
            units: of the layer below.
            classes: how many logits.
            generator: gives the seed of the weights.

        Returns:
            Responses `(batch, units)` to logits `(batch, classes)`: `hidden1`, the responses themselves or
            standardised, and `readout`.

        Raises:
            ValueError: if there are no units, or fewer than two classes.
        """
        hidden = nn.BatchNorm1d(units, affine=False) if self.standardise else nn.Identity()
        return built(units, classes, hidden, bias=True, generator=generator)

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
