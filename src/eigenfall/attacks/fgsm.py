"""Fast gradient sign method: one step of length epsilon up the loss.

    x' = clip(x + ε · sign ∇ℓ(x));   under an L2 threat  x' = clip(x + ε · ∇ℓ(x)/‖∇ℓ(x)‖₂)

Source: Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572.
Differs from the source: the loss is the margin, which does not go blind when logits are large; the presets
`goodfellow2015`, `holzhausen2024` and `nassar2020` climb raw cross-entropy.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from eigenfall.objectives import Loss, ascent, is_zero, need_ball, steepest
from eigenfall.types import Epsilon, Proposal, Threat, per_input


@dataclass(frozen=True)
class FGSM:
    """One step along the sign of the gradient.

    Attributes:
        loss: what is climbed: margin, dlr, ce_std, or ce (raw cross-entropy, blind to models with large logits).
    """

    cite: ClassVar[str] = "goodfellow2015"
    loss: Loss = "margin"

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose one perturbed input for each input.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: radius, one for all or one per input, in the threat's unit.
            generator: not used.

        Raises:
            ValueError: if the threat is no ball.
        """
        need_ball(threat, "fgsm")
        gradient, _, _ = ascent(model, inputs, targets, self.loss)
        moved = inputs + per_input(epsilon, inputs) * steepest(gradient, threat.norm)
        return Proposal(threat.project(moved, inputs, epsilon), is_zero(gradient), passes=1, reach=1.0)


PRESETS = {name: FGSM(loss="ce") for name in ("goodfellow2015", "holzhausen2024", "nassar2020")}
