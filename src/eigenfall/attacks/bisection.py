"""Smallest epsilon at which another attack breaks an input: an ascending sweep, then bisection, input by input.

    ε₁ = ½ m/‖∇m‖_*,   ε ← ratio · ε until the attack succeeds,   then ε ← √(ε_failed · ε_succeeded)

until ε_succeeded ≤ (1 + tolerance) ε_failed; an input that breaks at ε₁ already goes down by the ratio first. Every
success is drawn along the segment towards the input while it stays wrong, and its norm is the new ε_succeeded. All
inputs go on together, each with its own ε. The draws of the attack are the same at every ε.

Source: `docs/robustness.md` §3; Rauber, Brendel & Bethge 2017, arXiv:1707.04131, whose attacks search for the smallest
perturbation by tuning their own budget.
Differs from the source: one search for any attack, all inputs at once, and the segment search after each success.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eigenfall.attacks.pgd import PGD
from eigenfall.check import need
from eigenfall.objectives import ascent, is_zero, need_ball, rows
from eigenfall.shrinking import Nearest, farthest, first_order, need_no_epsilon, wrong
from eigenfall.types import Epsilon, Proposal, Threat


@dataclass(frozen=True)
class Bisection:
    """The smallest epsilon at which an attack succeeds.

    Attributes:
        attack: what is called at each epsilon: any attack with one, in brackets: [pgd:steps=40,loss=dlr].
        first: first epsilon, in the threat's unit; none: half the first-order distance of each input.
        ratio: of an epsilon to the one before, in the sweep.
        tolerance: bisection ends when what succeeds is at most this share above what fails.
        halvings: how often the segment from an input to a success is halved.
        calls: how often the attack is called at most.
    """

    cite: ClassVar[str] = "rauber2017"
    minimal: ClassVar[bool] = True
    attack: Any = PGD()  # noqa: RUF009
    first: float | None = None
    ratio: float = 2.0
    tolerance: float = 0.02
    halvings: int = 10
    calls: int = 40

    def __post_init__(self) -> None:
        need(
            self.ratio > 1 and self.tolerance > 0 and self.calls >= 1 and self.halvings >= 0,
            expected="a ratio above 1, a tolerance above 0, at least one call",
            got=f"ratio={self.ratio:g}, tolerance={self.tolerance:g}, halvings={self.halvings}, calls={self.calls}",
            remedy="Use ratio=2, tolerance=0.02, halvings=10, calls=40.",
        )
        need(
            not getattr(self.attack, "minimal", False),
            expected="an attack with an epsilon inside bisection",
            got=f"{type(self.attack).__name__}, which looks for the smallest perturbation itself",
            remedy="Use that one alone, or bisect around pgd.",
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
            generator: of the attack's draws.

        Raises:
            ValueError: if the threat is no ball, or there is an epsilon.
        """
        need_ball(threat, "bisection")
        need_no_epsilon(epsilon, "bisection")
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        nearest = Nearest(inputs, threat)
        gradient, _, value = ascent(model, inputs, targets, "margin")
        nearest.offer(inputs, value >= 0)  # wrong without a perturbation
        top = farthest(inputs, threat)
        at = self._first(inputs, -value, gradient, threat, top)
        zero, failed, open_ = is_zero(gradient), torch.zeros_like(at), ~nearest.found & (at > 0)
        passes = 1
        for _ in range(self.calls):
            if not open_.any():
                break
            # an input that is done stands where it is wrong and takes no budget: the attack lets it go at once
            stands = torch.where(rows(open_, inputs), inputs, nearest.inputs)
            budget = torch.where(open_, at, 0.0).to(inputs)
            again = torch.Generator(generator.device).manual_seed(seed)
            proposal = self.attack(model, stands, targets, threat, budget, again)
            passes += proposal.passes + self.halvings
            zero = zero | (proposal.zero_gradients & open_)
            places = open_.nonzero()[:, 0]
            moved = proposal.inputs.detach()[places]
            success = torch.zeros_like(open_)
            success[places] = wrong(model, moved, targets[places])
            tried = Nearest(inputs, threat)
            tried.offer(moved, success[places], places)
            tried.shrink(model, targets, self.halvings)
            nearest.offer(tried.inputs, tried.found)
            failed = torch.where(open_ & ~success, at, failed)
            upper = nearest.distances
            exhausted = ~nearest.found & (failed >= top)
            open_ = open_ & ~exhausted & (upper > (1 + self.tolerance) * failed) & (upper > 0)
            middle = (failed * upper).sqrt()
            at = torch.where(nearest.found, torch.where(failed > 0, middle, upper / self.ratio), at * self.ratio)
            at = at.minimum(top)
        return Proposal(nearest.inputs, zero, passes=passes)

    def _first(self, inputs: Tensor, margins: Tensor, gradient: Tensor, threat: Threat, top: Tensor) -> Tensor:
        """Where the sweep of each input starts."""
        if self.first is not None:
            return torch.full_like(top, self.first).minimum(top)
        start = first_order(margins, gradient, threat.norm) / 2
        size = top if threat.bounds else threat.size(inputs, torch.zeros_like(inputs))
        blind = torch.where(size > 0, size, 1.0) / 1024  # a gradient of zero tells no distance
        return torch.where(start < torch.inf, start, blind).minimum(top)
