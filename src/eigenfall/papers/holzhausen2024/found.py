"""What the runs came to: numbers of each arm over its seeds, under both semantics, read off records alone.

published   own right images; distance: L2 norm at the first ε of a grid that flips, never-flipped dropped
corrected   images that all compared nets get right; median over all of them, censored ones counted
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall import records
from eigenfall.check import given, need
from eigenfall.papers import found
from eigenfall.papers.found import Number, accuracy, alpha  # noqa: F401
from eigenfall.papers.holzhausen2024.sizes import Scale
from eigenfall.robustness import first_flip, flip_epsilon, flip_lengths, relative_accuracy
from eigenfall.survival import of_distances
from eigenfall.types import Record, RobustnessCurve

Perturbation = Literal["random", "fgsm", "pgd"]
PERTURBATIONS: tuple[Perturbation, ...] = ("random", "fgsm", "pgd")
CORRECTED = {"random": "repeated_random", "fgsm": "minimal_l2", "pgd": "minimal_linf"}
"""What stands, corrected, in the place of each published perturbation: a single-step sign attack has no corrected form,
so that the smallest perturbation in L2 stands in its place."""
BESIDE_HALF = (0.475, 0.525)
"""Of 20 draws ten flip as often as not: at exactly one half a fifth of the images would stand on a point of the grid,
and medians with them. The mean of the crossings half a draw below and above has no such atoms."""
COMPARED = ("KH", "L2", "JReg", "BP")
"""The four nets whose order the paper tells; the images that all get right are the common ones."""


@dataclass(frozen=True, eq=False)
class Found(found.Found):
    """Records of a scale, of which a hidden layer may have been learnt."""

    def unconverged(self, *names: str) -> str:
        """Which layers did not pass their gates, in words; empty if all did."""
        told = []
        for name in names:
            judged = [record.measurement.convergence for record in self.records.get(name, {}).values()]
            bad = [one for one in judged if one is not None and not one.converged]
            if bad:
                worst = max(float(one.off.double().mean()) for one in bad)
                told.append(f"{name}: {len(bad)} of {len(judged)} layers, up to {100 * worst:.0f} % of units off norm")
        return "; ".join(told)

    @cached_property
    def common(self) -> dict[int, Bool[Tensor, " inputs"]]:
        """For each seed, which attacked images all compared nets get right."""
        return {
            seed: torch.stack([_right(self.records[name][seed]) for name in COMPARED]).all(0)
            for seed in self.seeds(*COMPARED)
        }


def gathered(records: Sequence[Record], scale: Scale) -> Found:
    """Records by arm and seed; of two of the same, the later."""
    return Found(scale, found.by_arm(records))


def _right(record: Record) -> Bool[Tensor, " inputs"]:
    return record.measurement.curves["headline"].clean_correct


def squared_weights(record: Record) -> float:
    """‖W‖² of the hidden layer, of a learnt one ‖W̃‖²."""
    held = records.weights(record)
    name = next(name for name in held if name.split(".")[0] in ("currents", "hidden1") and held[name].ndim == 2)
    return float(held[name].double().square().sum())


def train_loss(record: Record) -> float:
    """Task loss of the last logged step."""
    return next((float(row["task_loss"]) for row in reversed(record.history) if "task_loss" in row), math.nan)


def _curve(record: Record, name: str) -> RobustnessCurve:
    need(
        name in record.measurement.curves,
        expected=f"a curve {name} in {record.name}",
        got=", ".join(record.measurement.curves) or "none",
        remedy="Make the record anew: remove its folder, and reproduce again.",
    )
    return record.measurement.curves[name]


# -------------------------------------------------------------------------------- published


def published_lengths(record: Record, perturbation: Perturbation) -> Float64[Tensor, " flipped"]:
    """Critical L2 of each own right image that flips, in L3 units."""
    curve = _curve(record, f"published_{perturbation}")
    lengths = flip_lengths(curve)
    return lengths[curve.clean_correct & torch.isfinite(lengths)]


def published_distance(perturbation: Perturbation) -> Number:
    """Its median."""
    return lambda record: float(published_lengths(record, perturbation).median())


def half(perturbation: Perturbation) -> Number:
    """ε at which relative accuracy first falls to ½, between budgets of the log grid; NaN if it never does."""

    def number(record: Record) -> float:
        curve = _curve(record, f"published_{perturbation}")
        shares = relative_accuracy(curve)
        below = (shares <= 0.5).nonzero()[:, 0]
        if not len(below):
            return math.nan
        after = int(below[0])
        if after == 0:
            return curve.epsilons[0]
        low, high = (math.log(curve.epsilons[place]) for place in (after - 1, after))
        top, bottom = float(shares[after - 1]), float(shares[after])
        return math.exp(low + (high - low) * (top - 0.5) / (top - bottom))

    return number


# -------------------------------------------------------------------------------- corrected


def corrected_distances(record: Record, perturbation: Perturbation) -> Float64[Tensor, " inputs"]:
    """Of each attacked image: deviation of unclipped noise that flips half of the draws, or the smallest perturbation
    found in L2 or in L∞; infinite if none was. In L3 units."""
    curve = _curve(record, CORRECTED[perturbation])
    if perturbation == "random":
        return sum((flip_epsilon(curve, level) for level in BESIDE_HALF), torch.zeros(1, dtype=torch.float64)) / 2
    return given(
        curve.distances,
        expected=f"distances in the curve {CORRECTED[perturbation]} of {record.name}",
        got="none",
        remedy="Make the record anew: remove its folder, and reproduce again.",
    )


def corrected_median(record: Record, perturbation: Perturbation, keep: Bool[Tensor, " inputs"] | None = None) -> float:
    """Kaplan-Meier median over images that are right, or over those of them that are kept."""
    distances = corrected_distances(record, perturbation)
    right = _right(record) if keep is None else _right(record) & keep
    finite = distances[right & torch.isfinite(distances)]
    if not bool(right.any()) or not len(finite):
        return math.nan
    return of_distances(distances[right], float(finite.max())).quantile(0.5)[0]


def corrected_distance(found: Found, perturbation: Perturbation) -> Number:
    """The same over the images that all compared nets get right, of the record's seed; NaN if one lacks that seed."""

    def number(record: Record) -> float:
        seed = int(record.run["seed"])
        return corrected_median(record, perturbation, found.common[seed]) if seed in found.common else math.nan

    return number


def own_distance(perturbation: Perturbation) -> Number:
    """The same over the record's own right images."""
    return lambda record: corrected_median(record, perturbation)


def single_step_median(record: Record) -> float:
    """Median L∞ distance of own right images that one gradient sign of cross-entropy finds.

    A first flip lies between two budgets of a grid that is even in its logarithm: the geometric middle is told.
    """
    curve = _curve(record, "published_fgsm")
    first = first_flip(curve)[curve.clean_correct]
    middle = math.sqrt(curve.epsilons[0] / curve.epsilons[1])
    return of_distances(first, curve.epsilons[-1]).quantile(0.5)[0] * middle


def straightness(record: Record) -> float:
    """R² of the line through the currents' spectrum in log-log."""
    fit = record.measurement.fits.get("currents")
    return math.nan if fit is None else fit.r2
