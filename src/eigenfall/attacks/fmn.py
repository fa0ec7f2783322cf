"""Fast minimum-norm attack: descend the margin inside a ball whose radius follows the boundary.

    ε ← (1 + γ)(‖δ‖ + m/‖∇m‖_*)    until the input was wrong once (‖·‖_* the dual norm)
    ε ← (1 + γ) ε                  right again:  the ball grows
    ε ← min((1 − γ) ε, ‖δ*‖)       wrong:        the ball shrinks; δ* is the nearest wrong perturbation
    δ ← Π_ε(δ − α d),           d = ∇m/‖∇m‖₂;   then into the bounds

γ and α fall along half a cosine over the steps.

Source: Pintor, Roli, Brendel & Biggio 2021, arXiv:2102.12827.
Differs from the source: it starts from DeepFool's result, which lies in the nearest class, where the source starts from
the input, from which the margin falls fastest towards the likeliest one; γ overshoots the boundary at first, too; α is
a share of the ball's Euclidean radius (Linf: ε√d), not a number of pixels, so that no unit and no scale of the logits
matters; an exactly zero gradient takes a random step and is counted; the result is drawn along the segment towards the
input while it stays wrong.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from eigenfall.attacks.deepfool import DeepFool
from eigenfall.check import need
from eigenfall.objectives import ascent, is_zero, need_ball, rows, steepest, surely_broken
from eigenfall.shrinking import Nearest, farthest, first_order, need_no_epsilon, wrong
from eigenfall.types import Epsilon, Proposal, Threat


@dataclass(frozen=True)
class FMN:
    """Descent of the margin inside a ball that shrinks onto the boundary.

    Attributes:
        steps: gradient steps.
        start: from the result of "deepfool", with its own defaults, or from the "input".
        first_step: length of the first step, as a share of the ball's Euclidean radius.
        last_step: length of the last one.
        first_change: share by which the ball shrinks or grows at first.
        last_change: and at last.
        halvings: how often the segment from an input to its result is halved.
    """

    cite: ClassVar[str] = "pintor2021"
    minimal: ClassVar[bool] = True
    steps: int = 100
    start: Literal["deepfool", "input"] = "deepfool"
    first_step: float = 1.0
    last_step: float = 0.01
    first_change: float = 0.05
    last_change: float = 0.0001
    halvings: int = 10

    def __post_init__(self) -> None:
        need(
            self.steps >= 1 and self.first_step >= self.last_step > 0 and 1 > self.first_change >= self.last_change > 0,
            expected="at least one step, and lengths and changes that fall and stay positive",
            got=f"steps={self.steps}, {self.first_step:g} to {self.last_step:g}, "
            f"{self.first_change:g} to {self.last_change:g}",
            remedy="Use steps=100, first_step=1, last_step=0.01, first_change=0.05, last_change=0.0001.",
        )

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon | None,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose the nearest wrong input found for each input.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: none.
            generator: of the random steps.

        Raises:
            ValueError: if the threat is no ball, or there is an epsilon.
        """
        need_ball(threat, "fmn")
        need_no_epsilon(epsilon, "fmn")
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        nearest = Nearest(inputs, threat)
        longest = farthest(inputs, threat)
        radius = torch.full_like(longest, torch.inf)
        zero = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        euclidean = math.sqrt(inputs[0].numel()) if threat.norm == "Linf" else 1.0
        at, passes = inputs, self.steps + 1 + self.halvings
        if self.start == "deepfool":
            proposal = DeepFool(halvings=self.halvings)(model, inputs, targets, threat, None, generator)
            at, passes = proposal.inputs, passes + proposal.passes
        for count in range(self.steps):
            fall = (1 + math.cos(math.pi * count / self.steps)) / 2
            change = self.last_change + fall * (self.first_change - self.last_change)
            length = self.last_step + fall * (self.first_step - self.last_step)
            gradient, outputs, value = ascent(model, at, targets, "margin")
            is_wrong = surely_broken(outputs, -value)
            nearest.offer(at, is_wrong)
            flat = is_zero(gradient)
            zero = zero | flat
            ahead = threat.size(at, inputs) + first_order(-value, gradient, threat.norm)
            outside = (1 + change) * torch.where(nearest.found, radius, ahead)
            radius = torch.where(is_wrong, ((1 - change) * radius).minimum(nearest.distances), outside)
            radius = radius.nan_to_num(torch.inf).minimum(longest)
            direction = steepest(gradient, "L2")
            if bool(flat.any()):
                drawn = torch.Generator(inputs.device).manual_seed(seed + count)
                random = torch.randn(inputs.shape, generator=drawn, device=inputs.device).to(inputs)
                direction = torch.where(rows(flat, inputs), steepest(random, "L2"), direction)
            ball = torch.where(radius < torch.inf, radius, 1.0).to(inputs)
            at = at + rows(length * euclidean * ball, inputs) * direction
            at = threat.project(at, inputs, ball)
        nearest.offer(at, wrong(model, at, targets))
        nearest.shrink(model, targets, self.halvings)
        return Proposal(nearest.inputs, zero, passes=passes)
