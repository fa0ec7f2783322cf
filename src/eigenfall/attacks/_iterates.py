"""What attacks that climb step by step share: the best iterate of each input, random starts, some of the inputs."""

from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eigenfall.objectives import rows, steepest
from eigenfall.types import Epsilon, Threat, per_input

Held = TypeVar("Held")


class Found:
    """The best iterate of each input so far: a broken one before any other, then the one of highest loss."""

    def __init__(self, inputs: Tensor):
        self.inputs = inputs.clone()
        self.highest = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
        self.broken = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        self.zero = torch.zeros_like(self.broken)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Iterates, their losses, whether they are broken, whether a gradient was zero."""
        return self.inputs, self.highest, self.broken, self.zero

    def offer(self, places: Tensor, inputs: Tensor, highest: Tensor, broken: Tensor, zero: Tensor) -> None:
        """Write these where they are better than what stands there."""
        best, value, was, flat = (tensor[places] for tensor in self.tensors())
        won = (broken & ~was) | ((broken == was) & (highest > value))
        best = torch.where(rows(won, best), inputs, best)
        self.put(places, best, torch.where(won, highest, value), broken | was, zero | flat)

    def put(self, places: Tensor, inputs: Tensor, highest: Tensor, broken: Tensor, zero: Tensor) -> None:
        """Write these where they belong, whatever stands there."""
        self.inputs[places], self.highest[places], self.broken[places], self.zero[places] = (
            inputs,
            highest,
            broken,
            zero,
        )


def improves(
    value: Tensor, margins: Tensor, highest: Tensor, broken: Tensor
) -> tuple[Bool[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """Whether iterates are better than the best so far, and whether they are broken; a NaN among logits breaks."""
    wrong = ~(margins > 0)
    return (wrong & ~broken) | ((wrong == broken) & (value > highest)), wrong


def better(
    at: Tensor, value: Tensor, margins: Tensor, best: Tensor, highest: Tensor, broken: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The better of two iterates of each input, its loss, and whether one of them is broken."""
    improved, wrong = improves(value, margins, highest, broken)
    return torch.where(rows(improved, at), at, best), torch.where(improved, value, highest), wrong | broken


def somewhere(
    gradient: Float[Tensor, "batch ..."],
    flat: Bool[Tensor, " batch"],
    places: Int[Tensor, " batch"],
    whole: torch.Size,
    seed: int,
) -> Float[Tensor, "batch ..."]:
    """The gradient, or a random direction where it is flat; drawn for the whole block, of which these are `places`."""
    drawn = torch.Generator(gradient.device).manual_seed(seed)
    random = torch.randn(whole, generator=drawn, device=gradient.device)[places].to(gradient)
    return torch.where(rows(flat, gradient), random, gradient)


def of(value: Held, chosen: Tensor) -> Held:
    """What belongs to some of the inputs; a number, or what is not there, stays as it is."""
    return value[chosen] if isinstance(value, Tensor) and value.ndim >= 1 else value  # pyright: ignore[reportReturnType]


def uniform(inputs: Tensor, threat: Threat, epsilon: Epsilon, generator: torch.Generator) -> Tensor:
    """A point uniform in the ball around each input, then inside the bounds."""
    device = generator.device
    if threat.norm == "Linf":
        change = 2 * torch.rand(inputs.shape, generator=generator, device=device).to(inputs) - 1
    else:
        direction = torch.randn(inputs.shape, generator=generator, device=device).to(inputs)
        radius = torch.rand(len(inputs), generator=generator, device=device).to(inputs) ** (1 / inputs[0].numel())
        change = steepest(direction, "L2") * rows(radius, inputs)
    return threat.project(inputs + per_input(epsilon, inputs) * change, inputs, epsilon)
