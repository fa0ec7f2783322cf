"""Readings beside the headline: a curve with an attack, a norm, budgets and bounds of its own, which no check judges.

A study's own budgets and statistics, slips included, so stand beside the headline, on the same images. Its critical
distance may be the L2 length at the first budget that flips the answer, over the images that were right and were
flipped. Of hundreds of budgets no accuracy becomes a row; the curve holds them all (`relative_accuracy`).

Source: `docs/robustness.md` §6; Holzhausen et al. 2024, arXiv:2405.00679, for the first flip.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.distances import QUARTILES, has_distances
from eigenfall.robustness.curves import flip_lengths
from eigenfall.robustness.harness import attacking
from eigenfall.robustness.judging import clean
from eigenfall.rows import of_distances, row
from eigenfall.stages import under
from eigenfall.types import Bounds, GaussianNoise, LpBall, RobustnessCurve, Row, Split, Stage, Threat


@dataclass(frozen=True)
class Reading:
    """One more curve of a model.

    Attributes:
        attacks: parts of kind attacks by name; of several, what breaks an image first or nearest counts.
        epsilons: budgets, ascending, in the inputs' unit; of attacks that look for the smallest perturbation, where
            their curve is told.
        norm: a ball, "Linf" or "L2", or "gaussian" for normal noise.
        clipped: whether what is perturbed stays inside the data's bounds.
    """

    attacks: Mapping[str, Any]
    epsilons: tuple[float, ...]
    norm: Literal["Linf", "L2", "gaussian"] = "Linf"
    clipped: bool = True

    def threat(self, bounds: Bounds | None, unit: str) -> Threat:
        """What a perturbation may be, of inputs with these bounds."""
        kept = bounds if self.clipped else None
        return GaussianNoise(kept, unit) if self.norm == "gaussian" else LpBall(self.norm, kept, unit)


def reading(
    model: nn.Module,
    readings: Mapping[str, Reading],
    examples: Split,
    threat: Threat,
    seed: int = 0,
    batch_size: int = 256,
    block: int = 256,
) -> Generator[Stage, None, dict[str, RobustnessCurve]]:
    """The curve of each reading, whose attacks see the images that are right when clean, and no others.

    The curve is of all images: those that were wrong are broken at every budget, at distance 0. Where none is right the
    first alone is attacked, so that there is a curve that says so. Yields a `Stage` before each budget of each block.

    Args:
        model: logits of inputs; left as it was found.
        readings: by the name that each curve has.
        examples: inputs inside the threat's bounds, and the class of each.
        threat: that of the headline, of which a reading takes bounds and unit.
        seed: of every draw.
        batch_size: largest number of inputs in one of the model's passes.
        block: how many inputs an attack is called on at once.

    Raises:
        ValueError: for what `robustness` refuses.
    """
    found = {}
    blocks = [slice(first, first + block) for first in range(0, len(examples), block)] if readings else []
    anywhere = GaussianNoise(None, threat.unit)  # a reading has its own bounds, or none
    answered = [clean(model, examples, where, anywhere, seed, batch_size) for where in blocks]
    right = torch.cat(answered) if answered else torch.zeros(0, dtype=torch.bool)
    places = right.nonzero()[:, 0] if bool(right.any()) else torch.arange(min(1, len(examples)))
    some = Split(
        examples.inputs[places.to(examples.inputs.device)], examples.targets[places.to(examples.targets.device)]
    )
    for name, each in readings.items():
        own, source = each.threat(threat.bounds, threat.unit), torch.Generator().manual_seed(seed)
        run = attacking(model, each.attacks, some, own, each.epsilons, source, batch_size, block)
        found[name] = _among((yield from under(name, run, f"{name}: ")), places, len(examples))
    return found


def _among(curve: RobustnessCurve, places: Int64[Tensor, " right"], count: int) -> RobustnessCurve:
    """The curve of all inputs, of which those that were not attacked are clean errors."""

    def spread(values: Tensor | None, of_error: float) -> Any:
        if values is None:
            return None
        whole = values.new_full((*values.shape[:-1], count), of_error)
        whole[..., places] = values
        return whole

    return replace(
        curve,
        broken=spread(curve.broken, True),
        clean_correct=spread(curve.clean_correct, False),
        flip_probability=spread(curve.flip_probability, 1.0),
        zero_gradients=spread(curve.zero_gradients, False),
        distances=spread(curve.distances, 0.0),
        distances_l2=spread(curve.distances_l2, 0.0),
        found_by=spread(curve.found_by, -1),
    )


def of_reading(name: str, curve: RobustnessCurve) -> Iterator[Row]:
    """Quartiles of the critical distance, and of the L2 length at the first flip, of the images that were flipped.

    The first count clean errors at 0 and images that nothing flipped as censored; the second leave both out, as
    published, and say of how many images right when clean (`left_out`). Noise has no critical distance.
    """
    about = {"attack": name, "method": " + ".join(curve.attacks.values())}
    if has_distances(curve):
        yield from of_distances(curve, **about)
    lengths = flip_lengths(curve)
    flipped = curve.clean_correct & lengths.isfinite()
    if not bool(flipped.any()):
        return
    about |= {"norm": "L2", "n": int(flipped.sum()), "left_out": int((curve.clean_correct & ~flipped).sum())}
    units: dict[str, Tensor] = {curve.threat.unit: lengths}
    if curve.scale is not None and curve.threat.unit != "pixel":
        units["pixel"] = lengths * curve.scale.double()
    for unit, values in units.items():
        for statistic, share in QUARTILES.items():
            value = float(values[flipped].quantile(share))
            yield row("first_flip", value, statistic=statistic, unit=unit, **about)


def log_grid(low: float, high: float, points: int) -> tuple[float, ...]:
    """Budgets evenly spaced in their logarithm, both ends among them to the last bit.

    Example:
        >>> log_grid(0.25, 4.0, 3)
        (0.25, 1.0, 4.0)
    """
    need(
        0 < low < high and points >= 2,
        expected="two ends that ascend from above 0, and at least two points",
        got=f"{low:g}, {high:g} and {points}",
        remedy="Use log_grid(1e-6, 1, 400), for instance.",
    )
    ratio = high / low
    return low, *(low * ratio ** (place / (points - 1)) for place in range(1, points - 1)), high
