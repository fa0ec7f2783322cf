"""What a model decides away from its test inputs, with no adversary: on corrupted images, and on random planes.

Corruptions are those of the plan, on the images that are attacked, the first ones. What does not take these images is
refused before anything long runs.

Planes go through the first test inputs in two random directions. Images and seed alone decide them, whatever the model:
two models with one seed are looked at on the same planes. Only how far they reach is the model's own, three median
critical distances in L2, so that what is near is seen, unless the plan says an extent that is the same for all.

    extent = 3 × the median critical distance of an L2 headline
             else 3 × the median first-order distance in L2 at these inputs, from their targets
             else, if that is infinite, zero, or beyond the inputs' range, a tenth of √values × the range

A random direction leaves the box at once where an input touches its bounds, as black and white pixels do. So places
outside the bounds are masked only if at least half of the planes have some area inside; else nothing is, and a notice
says so.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.check import need
from eigenfall.distances import has_distances, survivals
from eigenfall.landscapes import has_room, landscape, summary
from eigenfall.planes import random_planes
from eigenfall.plans import Plan
from eigenfall.robustness import corrupting, of_corruptions
from eigenfall.scaling import need_scaling
from eigenfall.smoothness.distance import signed_distances
from eigenfall.smoothnessrows import of_landscapes
from eigenfall.stages import Working, seeded
from eigenfall.types import Bounds, Landscape, Plane, RobustnessCurve, Split, Stage

SIDE, NORMS_EVERY = 41, 5
REACH = 3


def need_surroundings(plan: Plan, inputs: Float[Tensor, "inputs ..."] | None) -> None:
    """Refuse what the plan asks for and these inputs do not allow, before anything long runs.

    Args:
        plan: its corruptions and planes.
        inputs: those of the examples; `None`: there are no targets, hence no examples.

    Raises:
        ValueError: if there are no examples, or a corruption does not take these inputs, in its own words.
    """
    if plan.corruptions == () and plan.planes == 0:
        return
    need(
        inputs is not None and len(inputs) > 0,
        expected="inputs with their classes, for corruptions and planes",
        got="no classes",
        remedy="Give targets, or leave corruptions and planes out.",
    )
    if plan.corruptions != () and inputs is not None:
        corruptions_for(plan, inputs)


def corruptions_for(plan: Plan, inputs: Float[Tensor, "inputs ..."]) -> tuple[Mapping[str, Any], list[str]]:
    """A plan's corruptions by name, each tried on one input; of all, those that take it, and what others said.

    Raises:
        ValueError: if one that was named does not take these inputs, or none does.
    """
    named = plan.corruptions is not None
    found = plan.corruptions or tuple(parts.read("corruptions", name) for name in parts.names("corruptions"))
    taken: dict[str, Any] = {}
    refused: dict[str, ValueError] = {}
    need(
        inputs.ndim == 4 and float(inputs.min()) >= 0 and float(inputs.max()) <= 1,
        expected="images (channels, height, width) in [0, 1] to corrupt",
        got=f"inputs of shape {tuple(inputs.shape[1:])} from {float(inputs.min()):.4g} to {float(inputs.max()):.4g}",
        remedy="Leave corruptions out, or put the normalisation inside the model and give images in [0, 1].",
    )
    need_scaling(inputs, "pixel")
    for part in found:
        name = parts.name_of(part)
        try:
            part(inputs[:1].cpu(), 1, seeded(plan.seed))
        except ValueError as reason:
            refused[name] = reason
            continue
        same = sum(one.partition("#")[0] == name for one in taken)
        taken[f"{name}#{same + 1}" if same else name] = part
    if refused and (named or not taken):
        raise next(iter(refused.values()))
    return taken, [f"{name}: left out of all corruptions. {reason}" for name, reason in refused.items()]


def spoiling(model: nn.Module, examples: Split, plan: Plan) -> Working[dict[str, Any]]:
    """Right or wrong under every corruption of a plan: field `corruptions` of a measurement, and its rows."""
    chosen, notices = corruptions_for(plan, examples.inputs)
    images = Split(examples.inputs.cpu(), examples.targets.cpu())
    curve = yield from corrupting(model, chosen, images, seeded(plan.seed), batch_size=plan.batch_size)
    return {"corruptions": curve, "rows": [*of_corruptions(curve)], "notices": notices}


# -------------------------------------------------------------------------------- planes


def planes_through_first(inputs: Float[Tensor, "inputs ..."], count: int, seed: int) -> tuple[Plane, ...]:
    """Random planes through the first inputs, one through each, then another through each, until there are so many."""
    generator, found = seeded(seed), ()
    while len(found) < count:
        found += random_planes(inputs[: count - len(found)], generator)
    return found


def exploring(
    model: nn.Module,
    examples: Split,
    plan: Plan,
    bounds: Bounds | None,
    curve: RobustnessCurve | None,
) -> Working[dict[str, Any]]:
    """Decisions on a plan's random planes.

    Args:
        model: left as it was found.
        examples: planes go through the first of them.
        plan: how many planes, and how far they reach.
        bounds: lowest and highest value of an input.
        curve: the headline; `None`: no attack.

    Returns:
        Fields `landscapes` and `landscape` of a measurement, rows, and notices.
    """
    first = examples.inputs[: plan.planes]
    planes = planes_through_first(first.cpu(), plan.planes, plan.seed)
    extent, source = _extent(model, Split(first, examples.targets[: plan.planes]), plan, bounds, curve)
    crowded = sum(not has_room(plane, extent, SIDE, bounds) for plane in planes)
    masked = bounds is not None and 2 * crowded <= len(planes)
    inside = bounds if masked else None
    found: list[Landscape] = []
    for number, plane in enumerate(planes):
        yield Stage("decisions on planes", number, len(planes))
        found.append(landscape(model, plane, extent, SIDE, inside, NORMS_EVERY, batch_size=plan.batch_size))
    told = replace(summary(found, seeded(plan.seed)), extent_of=source, masked=masked)
    notices = []
    if bounds is not None and not masked:
        notices = [
            f"Planes: places outside the bounds count as well, since {crowded} of {len(planes)} planes leave them at "
            "once: their images touch the bounds."
        ]
    shown = next(one for one in found if one.area > 0)
    return {"landscapes": told, "landscape": shown, "rows": [*of_landscapes(told)], "notices": notices}


def _extent(
    model: nn.Module, examples: Split, plan: Plan, bounds: Bounds | None, curve: RobustnessCurve | None
) -> tuple[float, str]:
    """How far planes reach, in L2, and where that comes from, in words."""
    if plan.plane_extent is not None:
        return plan.plane_extent, "as asked"
    low, high = bounds if bounds is not None else (examples.inputs.min(), examples.inputs.max())
    width = float((torch.as_tensor(high) - torch.as_tensor(low)).double().max())
    largest = width * math.sqrt(examples.inputs[0].numel())
    if curve is not None and curve.threat.norm == "L2" and has_distances(curve):
        middle = survivals(curve)["L2", curve.threat.unit].quantile(0.5)[0]
        if 0 < REACH * middle <= largest:
            return REACH * middle, f"{REACH} × the median critical distance"
    middle = float(signed_distances(model, examples.inputs, examples.targets).values.abs().quantile(0.5))
    if 0 < REACH * middle <= largest:
        return REACH * middle, f"{REACH} × the median first-order distance"
    return largest / 10, "a tenth of the inputs’ range, as no distance was known"
