"""A net distilled on a model's outputs, to attack from: it has gradients where the model hides them.

A small net of the inputs' shape learns, on the examples and on points around them, the model's logits and its class.
Then, round after round, points are added one step up the net's own loss, where its boundary lies, and the model is
asked again.

    minimise  mean (s − t)² + cross-entropy(3 s, class of t),   t the model's logits, centred, over their s.d.

Source: Papernot et al. 2017, Practical black-box attacks against machine learning, doi:10.1145/3052973.3053009.
Differs from the source: logits are known, not only the class; the steps have random lengths up to the largest budget;
every budget is fixed beforehand, so that the same seed gives the same net.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eigenfall.layers import device_of, fixed_random_state, fusable, left_as_found
from eigenfall.objectives import Batched, ascent, steepest
from eigenfall.stages import seeded
from eigenfall.types import Split, Stage, Threat

ROUNDS, ASKED, STEPS, BATCH = 4, 2048, 300, 128
"""Rounds; how many points each adds, and gradient steps it takes; rows of a step."""

VALUES = 2**26
"""Most values that all points may have together (256 MB in float32): large inputs are asked fewer times."""


@dataclass(frozen=True, eq=False)
class Student:
    """A net that imitates a model.

    Attributes:
        model: the net; logits of inputs.
        agreement: share of the examples that it gives the model's class.
        queries: how many inputs the model was asked about.
    """

    model: nn.Module
    agreement: float
    queries: int


class _Centred(nn.Module):
    """Inputs less a number, over another."""

    middle: Tensor
    spread: Tensor

    def __init__(self, values: Tensor):
        super().__init__()
        self.register_buffer("middle", values.mean())
        self.register_buffer("spread", values.std().clamp_min(1e-6))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.middle) / self.spread


def distilling(
    model: nn.Module, examples: Split, threat: Threat, epsilon: float, batch_size: int, seed: int
) -> Generator[Stage, None, Student]:
    """Train a student; yields a `Stage` before each round.

    Args:
        model: logits of inputs; asked without gradient, left as it was found.
        examples: what the points lie around.
        threat: what the points may be.
        epsilon: largest perturbation of a point, in the threat's unit.
        batch_size: largest number of inputs in one of the model's passes.
        seed: of every draw.
    """
    source = seeded(seed)
    with torch.inference_mode(False):
        base = examples.inputs.detach().clone().to(device_of(model))
        clean = _answers(model, base, batch_size, seed)
        convolutional = base.ndim == 4 and any(isinstance(module, nn.Conv2d) for module in model.modules())
        with fixed_random_state(seed):
            made = (_convolutional if convolutional else _perceptron)(base, clean.shape[1])
        student = made.to(device=base.device, dtype=base.dtype)
    weights = list(student.parameters())
    optimiser = torch.optim.Adam(weights, 1e-3, fused=fusable(weights))
    asked = max(1, min(ASKED, VALUES // (base[0].numel() * ROUNDS)))
    points, answers = base[:asked], clean[:asked]
    for number in range(ROUNDS):
        yield Stage("distillation", number, ROUNDS)
        with torch.inference_mode(False), torch.enable_grad():
            rows = torch.randint(len(base), (asked,), generator=source).to(base.device)
            guide = Batched(student, batch_size) if number else None
            new = _around(base[rows], clean[rows].argmax(1), threat, epsilon, source, guide)
            points = torch.cat((points, new))
            answers = torch.cat((answers, _answers(model, new, batch_size, seed)))
            _learn(student, optimiser, points, answers, source)
    student.eval()
    with torch.no_grad():
        same = Batched(student, batch_size)(base).argmax(1) == clean.argmax(1)
    return Student(student, float(same.double().mean()), ROUNDS * asked + len(base))


def _answers(model: nn.Module, inputs: Tensor, batch_size: int, seed: int) -> Tensor:
    with left_as_found(model, seed=seed), torch.no_grad():
        return Batched(model, batch_size)(inputs).detach()


def _around(
    at: Tensor,
    classes: Tensor,
    threat: Threat,
    epsilon: float,
    source: torch.Generator,
    student: nn.Module | None,
) -> Tensor:
    """Inputs moved by up to epsilon: at random, and three in four of them up the student's loss, if there is one."""
    each = (len(at), *[1] * (at.ndim - 1))
    signs = (2 * torch.randint(2, at.shape, generator=source) - 1).to(at)
    length = epsilon * torch.rand(each, generator=source).to(at)
    direction = steepest(signs, threat.norm)
    if student is not None:
        climb = steepest(ascent(student, at, classes, "margin")[0], threat.norm)
        chosen = (torch.rand(each, generator=source) < 0.75).to(at.device)
        direction = torch.where(chosen, climb, direction)
    return threat.project(at + length * direction, at, epsilon).detach()


def _learn(
    student: nn.Module, optimiser: torch.optim.Optimizer, points: Tensor, answers: Tensor, source: torch.Generator
) -> None:
    centred = answers - answers.mean(1, keepdim=True)
    wanted = (centred / centred.std().clamp_min(torch.finfo(centred.dtype).tiny)).to(points)
    classes = answers.argmax(1)
    student.train()
    for _ in range(STEPS):
        rows = torch.randint(len(points), (BATCH,), generator=source).to(points.device)
        outputs = student(points[rows])
        loss = (outputs - wanted[rows]).square().mean() + nn.functional.cross_entropy(3 * outputs, classes[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _perceptron(inputs: Tensor, classes: int, most: int = 2**24) -> nn.Module:
    """Two hidden layers of 256 units, the first narrower for inputs of over 65 536 values."""
    values = inputs[0].numel()
    width = max(8, min(256, most // values))
    return nn.Sequential(
        _Centred(inputs),
        nn.Flatten(),
        nn.Linear(values, width),
        nn.ReLU(),
        nn.Linear(width, 256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def _convolutional(inputs: Tensor, classes: int) -> nn.Module:
    """3 × 3 convolutions of stride 2 until a side has 8 places or fewer, at least one; then 128 units."""
    channels, sides = inputs.shape[1], list(inputs.shape[2:])
    modules: list[nn.Module] = [_Centred(inputs)]
    for number in range(max(1, math.ceil(math.log2(max(sides) / 8)))):
        wide = 32 if number == 0 else 64
        modules += [nn.Conv2d(channels, wide, 3, stride=2, padding=1), nn.ReLU()]
        channels, sides = wide, [(side + 1) // 2 for side in sides]
    return nn.Sequential(
        *modules,
        nn.Flatten(),
        nn.Linear(channels * sides[0] * sides[1], 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )
