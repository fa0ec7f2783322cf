"""Smoothness of the outputs away from the test inputs: at noisy ones, and at those that an attack makes of them.

A network may be smooth where its data lie and rough beside them. Values stand over the scale that the outputs have at
the test inputs themselves, so that the two compare.

Source: `docs/robustness.md` §7.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import OUTPUTS, left_as_found
from eigenfall.objectives import Batched
from eigenfall.plans import BUDGETS, Plan, Points
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothnessrows import of_smoothness
from eigenfall.stages import Working, seeded
from eigenfall.types import GaussianNoise, LpBall, Row, Smoothness, Split, Stage


def tried(part: Any, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, seed: int) -> Smoothness | str:
    """A measure, or why it cannot be taken here: a model without a gradient has others that can."""
    try:
        return part(model, inputs, layer, seeded(seed))
    except ValueError as reason:
        return f"{layer}: {reason}"


def key_of(value: Smoothness, found: Mapping[str, Smoothness]) -> str:
    """`layer/quantity`, and the points if they are not the inputs; a second measure of the same gets `#2`."""
    same = sum(
        (one.layer, one.quantity, one.points) == (value.layer, value.quantity, value.points) for one in found.values()
    )
    where = f", {value.points}" if value.points else ""
    return f"{value.layer}/{value.quantity}{where}" + (f"#{same + 1}" if same else "")


def displacing(
    model: nn.Module, examples: Split, there: Mapping[str, Smoothness], threat: LpBall, plan: Plan
) -> Working[dict[str, Any]]:
    """Every measure of a plan of the outputs, at every kind of point that it names.

    Args:
        model: left as it was found.
        examples: the inputs that are moved, on the model's device, and their classes.
        there: the measures at the inputs as they are; these stay.
        threat: what an attack may do, and the inputs' bounds.
        plan: its measures, points, budgets and seed.

    Returns:
        Field `smoothness` of a measurement, with keys such as `outputs/jacobian_norm, noise σ = 0.2`, new rows, and
        notices of what could not be measured.
    """
    found, rows, notices = dict(there), list[Row](), list[str]()
    measures = plan.smoothness or (Frobenius(),)
    total = len(plan.points) * len(measures)
    for number, points in enumerate(plan.points):
        moved, told = _moved(model, examples, points, threat, plan)
        for place, part in enumerate(measures):
            yield Stage(f"smoothness at {told}", number * len(measures) + place, total)
            value = tried(part, model, moved, OUTPUTS, plan.seed)
            if isinstance(value, str):
                notices.append(f"{told}, {value}")
                continue
            value = replace(value, points=told, scale=_scale(there, value))
            found[key_of(value, found)] = value
            rows += of_smoothness(value, seeded(plan.seed))
    return {"smoothness": found, "rows": rows, "notices": notices}


def _scale(there: Mapping[str, Smoothness], value: Smoothness) -> float:
    """Scale of the outputs at the inputs as they are, as the same measure had it."""
    alike = (one.scale for one in there.values() if (one.layer, one.quantity) == (value.layer, value.quantity))
    return next(alike, value.scale)


def _moved(
    model: nn.Module, examples: Split, points: Points, threat: LpBall, plan: Plan
) -> tuple[Float[Tensor, "inputs ..."], str]:
    """The inputs at these points, and where that is, in words."""
    budgets = [value for value in getattr(plan, BUDGETS[points]) if value > 0]
    middle = budgets[len(budgets) // 2]
    if points == "noise":
        attack, ball, told = Noise(draws=1), GaussianNoise(threat.bounds, threat.unit), "noise σ"
    else:
        attack, ball, told = PGD(loss="margin"), threat, f"adversarial {'L∞' if threat.norm == 'Linf' else 'L2'} ε"
    with left_as_found(model, seed=plan.seed), torch.inference_mode(False):
        inputs, targets = examples.inputs.clone(), examples.targets.clone()
        subject = Batched(model, plan.batch_size)
        moved = attack(subject, inputs, targets, ball, middle, seeded(plan.seed)).inputs.detach()
    return moved, f"{told} = {middle:g}"
