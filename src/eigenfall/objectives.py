"""What an attack maximises: losses of logits and classes, one number per input, and their gradient at the inputs.

    margin   −m,  m = z_y − max_{j≠y} z_j
    dlr      −(z_y − max_{j≠y} z_j) / (z_π1 − z_π3),  C ≥ 3 classes
    ce_std   cross-entropy of τz/s, s the detached standard deviation of the input's logits, τ = 3,  C ≥ 3 classes
    ce       raw cross-entropy: a diagnostic only, since large logits underflow its gradient

towards a goal class t, one per input:

    margin   z_t − z_y
    dlr      −(z_y − z_t) / (z_π1 − ½(z_π3 + z_π4)),  C ≥ 4 classes; with fewer, z_t − z_y
    ce_std, ce   cross-entropy of the goal, negated

Source: margin, Carlini & Wagner 2017, doi:10.1109/SP.2017.49; dlr, Croce & Hein 2020, arXiv:2003.01690.
Differs from the source: no additive constant in the denominator of dlr; where it is zero the margin itself stands.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.types import Threat

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


def surely_broken(outputs: Float[Tensor, "batch classes"], margins: Float[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """Whether inputs of these margins are wrong by more than rounding, −100 u · max|z|, u the rounding unit, or NaN.

    Another pass, in a batch of another size, then finds them wrong as well. In half precision u is so large that any
    wrong input counts.
    """
    rounding = 100 * torch.finfo(outputs.dtype).eps if outputs.dtype in (torch.float32, torch.float64) else 0.0
    return ~(margins > -rounding * outputs.abs().amax(1))


def rows(values: Tensor, like: Tensor) -> Tensor:
    """One value per input, shaped to broadcast over the inputs' own axes."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def losses(
    outputs: Float[Tensor, "batch classes"],
    targets: Shaped[Tensor, " batch"],
    loss: Loss,
    goals: Shaped[Tensor, " batch"] | None = None,
) -> Float[Tensor, " batch"]:
    """Loss of each input, away from its class or, given goals, from its class towards its goal.

    With fewer than three classes, four for goals, `dlr` is the margin. So is `ce_std` with two: two logits less their
    mean are always ±s, so that its value would never change.
    """
    if loss == "ce" or (loss == "ce_std" and outputs.shape[1] > 2):
        if loss == "ce_std":
            spread = outputs.detach().std(1, correction=0, keepdim=True)
            outputs = TEMPERATURE * outputs / torch.where(spread > 0, spread, torch.ones_like(spread))
        if goals is None:
            return nn.functional.cross_entropy(outputs, targets, reduction="none")
        return -nn.functional.cross_entropy(outputs, goals, reduction="none")
    if goals is None:
        distance, ranks = margin(outputs, targets), 3
    else:
        pair = outputs.gather(1, torch.stack((targets, goals), 1))
        distance, ranks = pair[:, 0] - pair[:, 1], 4
    if loss == "margin" or outputs.shape[1] < ranks:
        return -distance
    top = outputs.topk(ranks, dim=1).values
    width = top[:, 0] - top[:, 2:].mean(1)  # of two values: exact under powers of two
    return -distance / torch.where(width > 0, width, torch.ones_like(width))


def ascent(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, goals: Tensor | None = None
) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch classes"], Float[Tensor, " batch"]]:
    """Gradient at the inputs of the summed loss, with outputs and losses there; a `Batched` model splits the passes.

    A model whose outputs carry no gradient back to its inputs has gradient zero.

    Returns:
        Gradient `(batch, ...)`, outputs `(batch, classes)`, loss per input `(batch,)`; all detached.
    """
    if isinstance(model, Batched) and len(inputs) > model.batch_size:
        wanted = [None] * len(inputs) if goals is None else goals.split(model.batch_size)
        parts = zip(inputs.split(model.batch_size), targets.split(model.batch_size), wanted)
        gradients, outputs, values = zip(*(ascent(model.model, x, y, loss, t) for x, y, t in parts))
        return torch.cat(gradients), torch.cat(outputs), torch.cat(values)
    with torch.enable_grad():
        at = inputs.detach().requires_grad_()
        outputs = model(at)
        values = losses(outputs, targets, loss, goals)
        total = values.sum()
    gradient = None
    if total.requires_grad:
        (gradient,) = torch.autograd.grad(total, at, allow_unused=True)
    return torch.zeros_like(at) if gradient is None else gradient, outputs.detach(), values.detach()


def is_zero(gradient: Float[Tensor, "batch ..."]) -> Bool[Tensor, " batch"]:
    """Whether an input's gradient is exactly zero everywhere."""
    return gradient.flatten(1).abs().sum(1) == 0


def steepest(gradient: Float[Tensor, "batch ..."], norm: str) -> Float[Tensor, "batch ..."]:
    """Direction of norm one that climbs fastest: sign(g) for Linf, g/‖g‖₂ for L2; zero where the gradient is.

    Nothing but the gradient's direction counts, however small it is: it is divided by its largest entry first.
    """
    if norm == "Linf":
        return gradient.sign()
    rows = gradient.flatten(1)
    largest = rows.abs().amax(1, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, torch.ones_like(largest))
    length = rows.norm(dim=1, keepdim=True)
    return (rows / torch.where(length > 0, length, torch.ones_like(length))).reshape(gradient.shape)


def need_ball(threat: Threat, attack: str) -> None:
    """Refuse a threat that has no ball for a gradient to climb in."""
    need(
        threat.norm in ("Linf", "L2"),
        expected=f"an Linf or L2 ball for attack {attack!r}",
        got=f"threat {threat.norm!r}",
        remedy="Use noise under this threat, or give LpBall(norm='Linf').",
    )
