"""Adversarial training: each batch is moved by an attack before the loss is taken.

    minimise over weights   E max over ‖δ‖ ≤ ε of ℓ(f(x + δ), y),   the inner maximum as far as the attack gets

The attack sees the model in eval mode: running batch statistics, no dropout. So each input is attacked alone, as it
will be when the model is used and measured; running statistics are moved by the training pass alone; and an attack may
drop broken inputs from the batch, which under batch statistics would change the others' answers. The training pass
that follows is in train mode. Penalties, if there are any, see the moved inputs.

With an attack of one step the model may learn to bend its loss at just the step's length: the single step then finds
nothing, while several small ones break everything (catastrophic overfitting). At the end of each epoch both are tried
on the last batch.

Source: Madry et al. 2018, arXiv:1706.06083; single step and its overfitting: Wong, Rice & Kolter 2020,
arXiv:2001.03994.
Differs from the sources: they attack in train mode; the check's steps climb the margin, which no logit scale blinds.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.pgd import PGD
from eigenfall.check import need
from eigenfall.layers import left_as_found
from eigenfall.objectives import margin
from eigenfall.types import Bounds, LpBall

MANY_STEPS = PGD(steps=10)
COLLAPSED = 0.5
"""Of the share that withstands a single step, less than this withstands ten: collapsed."""
FEWEST = 0.2
"""Shares that differ by less are no collapse: a batch has few images."""
SINGLE, MANY = "adversarial/single_step_accuracy", "adversarial/many_step_accuracy"


@dataclass(frozen=True)
class Adversarial:
    """What a batch is moved by before it is trained on.

    Attributes:
        attack: a part of kind attacks, for instance `pgd@madry2018` or `pgd@wong2020`.
        epsilon: radius of the ball, in the inputs' unit.
        norm: of the ball, Linf or L2.
        bounds: lowest and highest value of an input.
    """

    cite: ClassVar[str] = "madry2018"
    attack: Any
    epsilon: float
    norm: Literal["Linf", "L2"] = "Linf"
    bounds: Bounds | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        need(
            self.epsilon > 0,
            expected="an adversarial epsilon above 0",
            got=f"{self.epsilon:g}",
            remedy="Leave adversarial out to train on the inputs as they are.",
        )

    @property
    def threat(self) -> LpBall:
        """The ball."""
        return LpBall(self.norm, self.bounds)


def perturbed(
    settings: Adversarial, model: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """The batch as the attack moves it, checked against the threat; the model is left as it was found.

    Args:
        settings: attack and threat.
        model: attacked in eval mode.
        inputs: `(batch, ...)`.
        targets: class of each.
        generator: of the attack's draws.

    Raises:
        ValueError: if the attack leaves the threat.
    """
    with left_as_found(model):
        proposal = settings.attack(model, inputs.clone(), targets, settings.threat, settings.epsilon, generator)
    moved = proposal.inputs.detach()
    if bool(moved.isfinite().all()):  # otherwise the model diverged: the loss will say so
        settings.threat.check(moved, inputs, settings.epsilon, parts.name_of(settings.attack))
    return moved


def accuracies(settings: Adversarial, model: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Share of a batch that withstands a single step from the clean input, and ten steps, both of radius epsilon."""
    found = {}
    for name, attack in ((SINGLE, FGSM()), (MANY, MANY_STEPS)):
        with left_as_found(model):
            drawn = torch.Generator().manual_seed(0)  # for the steps at a zero gradient
            moved = attack(model, inputs.clone(), targets, settings.threat, settings.epsilon, drawn).inputs
            with torch.no_grad():
                right = (margin(model(moved), targets) > 0) & (margin(model(inputs), targets) > 0)
        found[name] = _share(right)
    return found


def _share(right: Bool[Tensor, " batch"]) -> float:
    return float(right.double().mean())


def collapsed(single: float, many: float) -> bool:
    """Whether the model withstands a single step, and not many: catastrophic overfitting."""
    return single - many >= FEWEST and many < COLLAPSED * single
