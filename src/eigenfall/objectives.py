"""What an attack maximises: losses of logits and classes, one number per input, and their gradient at the inputs.

    margin   −m,  m = z_y − max_{j≠y} z_j
    dlr      −(z_y − max_{j≠y} z_j) / (z_π1 − z_π3),  C ≥ 3 classes
    ce_std   cross-entropy of τz/s, s the detached standard deviation of the input's logits, τ = 3
    ce       raw cross-entropy: a diagnostic only, since large logits underflow its gradient

Source: margin, Carlini & Wagner 2017, doi:10.1109/SP.2017.49; dlr, Croce & Hein 2020, arXiv:2003.01690.
Differs from the source: no additive constant in the denominator of dlr; where it is zero the margin itself stands.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

Loss = Literal["margin", "dlr", "ce_std", "ce"]
TEMPERATURE = 3.0


class Batched(nn.Module):
    """A model whose passes are split into batches of `batch_size`; what it computes does not change.

    Attributes:
        model: the model.
        batch_size: largest number of inputs in one pass.
    """

    def __init__(self, model: nn.Module, batch_size: int):
        super().__init__()
        self.model = model
        self.batch_size = batch_size

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of all inputs, batch after batch."""
        if len(inputs) <= self.batch_size:
            return self.model(inputs)
        return torch.cat([self.model(part) for part in inputs.split(self.batch_size)])


def margin(outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Target's logit less the largest other; positive if correct."""
    own = outputs.gather(1, targets[:, None])[:, 0]
    return own - outputs.scatter(1, targets[:, None], -math.inf).amax(1)


def losses(
    outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"], loss: Loss
) -> Float[Tensor, " batch"]:
    """Loss of each input; with fewer than three classes `dlr` is the margin."""
    if loss == "ce":
        return nn.functional.cross_entropy(outputs, targets, reduction="none")
    if loss == "ce_std":
        spread = outputs.detach().std(1, correction=0, keepdim=True)
        safe = torch.where(spread > 0, spread, torch.ones_like(spread))
        return nn.functional.cross_entropy(TEMPERATURE * outputs / safe, targets, reduction="none")
    distance = margin(outputs, targets)
    if loss == "margin" or outputs.shape[1] < 3:
        return -distance
    top = outputs.topk(3, dim=1).values
    width = top[:, 0] - top[:, 2]
    return -distance / torch.where(width > 0, width, torch.ones_like(width))


def ascent(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss
) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch classes"], Float[Tensor, " batch"]]:
    """Gradient at the inputs of the summed loss, with the outputs and losses there; a `Batched` model splits the passes.

    Returns:
        Gradient `(batch, ...)`, outputs `(batch, classes)`, loss per input `(batch,)`; all detached.
    """
    if isinstance(model, Batched) and len(inputs) > model.batch_size:
        parts = zip(inputs.split(model.batch_size), targets.split(model.batch_size))
        gradients, outputs, values = zip(*(ascent(model.model, x, y, loss) for x, y in parts))
        return torch.cat(gradients), torch.cat(outputs), torch.cat(values)
    at = inputs.detach().requires_grad_()
    outputs = model(at)
    values = losses(outputs, targets, loss)
    (gradient,) = torch.autograd.grad(values.sum(), at)
    return gradient, outputs.detach(), values.detach()
