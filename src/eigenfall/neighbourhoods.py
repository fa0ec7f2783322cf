"""How fast a model changes around its test inputs: every measure of a plan, and a bound that holds everywhere.

    of the outputs and of each layer: every measure; what reads decisions alone (`of_decisions`), of the outputs only
    of the outputs, with a first-order distance: every other measure as a function of it
    a model whose steps have a bound: L, and m/(√2 L) ≤ the true distance ≤ the verified one, in L2

The bound stands beside the other measures whenever these are made: it needs one input's shape, no gradient and no data,
and is the only number here that holds for all inputs. What would cost more than `DEAREST` is left to the user, and what
has no bound is said in a notice, since a measurement does not fail for want of one.

Source: `docs/robustness.md` §7; certified distances of `eigenfall.operatornorms`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.displaced import key_of, tried
from eigenfall.distances import has_distances
from eigenfall.distributions import bootstrapped, by_distance, quantile
from eigenfall.globalbounds import lipschitz_bound
from eigenfall.layers import OUTPUTS, captured, left_as_found
from eigenfall.operatornorms import certified_distances
from eigenfall.plans import Plan
from eigenfall.rows import row
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothnessrows import of_distance_bins, of_lipschitz, of_smoothness
from eigenfall.stages import Working, seeded
from eigenfall.statistics import FEWEST_ROWS, wilson
from eigenfall.types import ByDistance, Estimate, RobustnessCurve, Row, Smoothness, Stage

DEAREST = 2e9
"""Σ over convolutions of Fourier frequencies · channels³, up to which a bound is found: some seconds on one core."""

BINS = 10
"""Most bins of inputs by distance; fewer where one would hold too few inputs for an interval."""


def smoothing(
    model: nn.Module, inputs: Float[Tensor, "inputs ..."], layers: Sequence[str], plan: Plan
) -> Working[dict[str, Any]]:
    """Every measure of a plan of the outputs and of each layer.

    Args:
        model: left as it was found.
        inputs: where it is measured, on the model's device.
        layers: module paths, beside the outputs.
        plan: its measures and its seed.

    Returns:
        Fields `smoothness` and `by_distance` of a measurement, their rows, and notices of what could not be measured.
    """
    found: dict[str, Smoothness] = {}
    rows: list[Row] = []
    notices: list[str] = []
    measures = plan.smoothness or (Frobenius(),)
    tasks = [
        (place, part, layer)
        for place, part in enumerate(measures)
        for layer in (OUTPUTS, *(() if getattr(part, "of_decisions", False) else layers))
    ]
    for number, (place, part, layer) in enumerate(tasks):
        name = f", {parts.name_of(part)}" if len(measures) > 1 else ""
        yield Stage(f"smoothness of {layer}{name}", number, len(tasks))
        value = tried(part, model, inputs, layer, plan.seed)
        if isinstance(value, str):
            notices.append(value)
            continue
        found[key_of(value, found) if place else layer] = value
        rows += of_smoothness(value, seeded(plan.seed))
    binned = dict(_by_distance(found, plan.seed))
    rows += [entry for one in binned.values() for entry in of_distance_bins(one)]
    return {"smoothness": found, "by_distance": binned, "rows": rows, "notices": notices}


def _by_distance(found: Mapping[str, Smoothness], seed: int) -> Iterator[tuple[str, ByDistance]]:
    """Other measures of the outputs in bins by the first of the first-order distances; nothing without one."""
    of_outputs = {name: one for name, one in found.items() if one.layer == OUTPUTS and not one.points}
    distances = next((one for one in of_outputs.values() if one.scaling == "free"), None)
    if distances is None:
        return
    for name, one in of_outputs.items():
        bins = min(BINS, int((one.comparable & distances.comparable).sum()) // FEWEST_ROWS)
        if one.scaling != "free" and bins > 0:
            yield name, by_distance(one, distances, seeded(seed), bins, relative=one.scale > 0)


# -------------------------------------------------------------------------------- bounds


def bounding(
    model: nn.Module,
    inputs: Float[Tensor, "some ..."],
    margins: Float64[Tensor, " inputs"],
    curve: RobustnessCurve | None,
    unit: str,
    seed: int,
) -> Working[dict[str, Any]]:
    """A Lipschitz bound, the L2 distances that it certifies, and whether attacks agree with these.

    Args:
        model: left as it was found.
        inputs: one or more, for their shape.
        margins: of the examples, of which those attacked are the first.
        curve: the headline; `None`: no attack.
        unit: of the inputs.
        seed: of the resamples behind the median's interval.

    Returns:
        Field `lipschitz` of a measurement, its rows, and notices.
    """
    yield Stage("Lipschitz bound", 0, 1)
    work = bound_work(model, inputs[:1])
    if work > DEAREST:
        told = f"left out, since its convolutions are wide ({work:.1g} steps, {DEAREST:.1g} at most)"
        return {"notices": [f"Lipschitz bound of the outputs: {told}. Call eigenfall.globalbounds.lipschitz_bound."]}
    try:
        bound = lipschitz_bound(model, inputs[:1])
    except ValueError as reason:
        return {"notices": [f"Lipschitz bound of the outputs: none. {reason}"]}
    if not 0 < bound.value < math.inf:
        return {"notices": [f"Lipschitz bound of the outputs: {bound.value:g}, which certifies nothing."]}
    certified = certified_distances(margins, bound.value)
    middle = bootstrapped(certified, quantile(0.5), seeded(seed))
    about = {"norm": "L2", "unit": unit, "method": "m/(√2 L)"}
    rows = [*of_lipschitz(bound), row("certified_distance", middle, statistic="median", n=len(certified), **about)]
    notices = []
    if curve is not None and has_distances(curve):
        attacked = certified[: curve.broken.shape[2]]
        rows += _certified(curve, attacked, about)
        notices += _violations(curve, attacked)
    return {"lipschitz": bound, "rows": rows, "notices": notices}


def bound_work(model: nn.Module, inputs: Float[Tensor, "some ..."]) -> float:
    """Σ over convolutions of Fourier frequencies · (fewest channels of a group)³: what `lipschitz_bound` costs."""
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    with left_as_found(model), torch.no_grad(), captured(model, list(convolutions)) as maps:
        model(inputs)
    return math.fsum(
        math.prod(maps[name].shape[-2:]) * math.prod(one.stride) / 2 * one.groups * _fewest(one) ** 3
        for name, one in convolutions.items()
        if name in maps
    )


def _fewest(layer: nn.Conv2d) -> int:
    return min(layer.in_channels, layer.out_channels) // layer.groups


def _certified(
    curve: RobustnessCurve, certified: Float64[Tensor, " inputs"], about: Mapping[str, Any]
) -> Iterator[Row]:
    """Share of the attacked images that no perturbation of an L2 size can break: accuracy is no lower."""
    for epsilon in curve.epsilons if curve.threat.norm == "L2" else ():
        share = Estimate(*wilson(int((certified > epsilon).sum()), len(certified)), over="images")
        yield row("certified_accuracy", share, epsilon=epsilon, n=len(certified), **about)


def _violations(curve: RobustnessCurve, certified: Float64[Tensor, " inputs"]) -> list[str]:
    """What a reader must know if an attack broke an image nearer than is certified, which cannot be."""
    verified = curve.distances if curve.threat.norm == "L2" else curve.distances_l2
    if verified is None:
        return []
    nearer = int((curve.clean_correct & (verified < certified * (1 - 1e-6))).sum())
    if nearer == 0:
        return []
    return [
        f"Lipschitz bound of the outputs: {nearer} images were broken nearer than it allows. The bound, or the model's "
        "repeatability, is at fault: trust neither number."
    ]
