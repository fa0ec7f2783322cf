"""Where each input stands on an AutoPGD climb, and how it goes on: measured, judged at checkpoints, stepped.

See `apgd.py` for the equations and their source.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from eigenfall.attacks._iterates import Found, improves, of
from eigenfall.objectives import is_zero, margin, rows, steepest, surely_broken
from eigenfall.types import Epsilon, Threat, per_input

MOMENTUM = 0.75
"""Weight of the new step against the last one, α of the source."""
RISES = 0.75
"""Share of steps that must raise the loss, ρ of the source."""


@dataclass(frozen=True, eq=False)
class Climb:
    """Inputs in play, a row each, and where each stands on its climb."""

    places: Tensor
    inputs: Tensor
    targets: Tensor
    goals: Tensor | None
    epsilon: Epsilon
    step: Tensor
    at: Tensor
    before: Tensor
    best: Tensor
    uphill: Tensor  # the gradient at the best iterate
    highest: Tensor
    broken: Tensor
    zero: Tensor
    gone: Tensor
    last: Tensor  # loss one step ago
    rises: Tensor  # steps since the last checkpoint that raised the loss
    highest_then: Tensor  # highest loss at the last checkpoint
    halved: Tensor  # whether the step was halved there

    def only(self, stay: Tensor) -> "Climb":
        """Those that stay in play."""
        return replace(self, **{name: of(value, stay) for name, value in vars(self).items()})

    def leave(self, found: Found) -> None:
        """Put down the best iterates where they are better than what stands there."""
        found.offer(self.places, self.best, self.highest, self.broken, self.zero)


def started(at: Tensor, inputs: Tensor, targets: Tensor, goals: Tensor | None, epsilon: Epsilon) -> Climb:
    """All inputs at their start."""
    none = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    lowest = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    return Climb(
        places=torch.arange(len(inputs), device=inputs.device),
        inputs=inputs,
        targets=targets,
        goals=goals,
        epsilon=epsilon,
        step=torch.ones_like(lowest) * 2 * epsilon,
        at=at,
        before=at,
        best=at,
        uphill=torch.zeros_like(at),
        highest=lowest,
        broken=none,
        zero=none,
        gone=none,
        last=-lowest,
        rises=torch.zeros(len(inputs), dtype=torch.long, device=inputs.device),
        highest_then=-lowest,
        halved=none,
    )


def measured(climb: Climb, gradient: Tensor | None, outputs: Tensor, value: Tensor, stop: bool) -> Climb:
    """With the loss at the present iterates known. What is gone changes no more, whether it has left or not."""
    margins = margin(outputs, climb.targets)
    improved, wrong = improves(value, margins, climb.highest, climb.broken)
    improved = improved & ~climb.gone
    here = rows(improved, climb.at)
    return replace(
        climb,
        best=torch.where(here, climb.at, climb.best),
        uphill=climb.uphill if gradient is None else torch.where(here, gradient, climb.uphill),
        highest=torch.where(improved, value, climb.highest),
        broken=climb.broken | wrong & ~climb.gone,
        zero=climb.zero if gradient is None else climb.zero | is_zero(gradient) & ~climb.gone,
        gone=climb.gone | surely_broken(outputs, margins) if stop else climb.gone,
        rises=climb.rises + (value > climb.last),
        last=value,
    )


def judged(climb: Climb, gradient: Tensor, length: int) -> tuple[Climb, Tensor]:
    """At a checkpoint, `length` steps after the last: half the step, from the best iterate, where it climbs no more."""
    few = climb.rises < RISES * length
    stuck = ~climb.halved & (climb.highest == climb.highest_then)
    halved = few | stuck
    back = rows(halved, climb.at)
    again = replace(
        climb,
        step=torch.where(halved, climb.step / 2, climb.step),
        at=torch.where(back, climb.best, climb.at),
        last=torch.where(halved, climb.highest, climb.last),
        rises=torch.zeros_like(climb.rises),
        highest_then=climb.highest,
        halved=halved,
    )
    return again, torch.where(back, climb.uphill, gradient)


def stepped(climb: Climb, gradient: Tensor, threat: Threat, first: bool) -> Climb:
    """One step along the gradient, three quarters of it, and a quarter of the last one."""
    uphill = steepest(gradient, threat.norm).mul_(per_input(climb.step, climb.at))
    ahead = threat.project(uphill.add_(climb.at), climb.inputs, climb.epsilon)
    if not first:
        moved = climb.at.lerp(ahead, MOMENTUM).add_(climb.at - climb.before, alpha=1 - MOMENTUM)
        ahead = threat.project(moved, climb.inputs, climb.epsilon)
    return replace(climb, before=climb.at, at=ahead)
