"""Records grouped into arms, and each number of the page as an estimate over the seeds of an arm."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy
import torch

from eigenfall.check import need
from eigenfall.figures import across_seeds
from eigenfall.figures.robustness import kind
from eigenfall.types import Estimate, Measurement, Record, RobustnessCurve, SpectrumFit, Verdict

SEVERITY = ("PASS", "NOT RUN", "WARN", "FAIL")


@dataclass(frozen=True, eq=False)
class Arm:
    """Records that differ only in their seed.

    Attributes:
        name: the arm's.
        records: one per seed, at least one.
        order: place among the arms, which gives its colour and mark.
    """

    name: str
    records: tuple[Record, ...]
    order: int

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What each seed measured."""
        return tuple(record.measurement for record in self.records)

    @property
    def seeds(self) -> str:
        """The seeds, as text."""
        seeds = [str(record.run["seed"]) for record in self.records if "seed" in record.run]
        return ", ".join(seeds)

    def curves(self, name: str) -> tuple[RobustnessCurve, ...]:
        """The curve of this name of each seed that has it."""
        return tuple(found.curves[name] for found in self.measurements if name in found.curves)

    def fits(self, layer: str) -> tuple[SpectrumFit, ...]:
        """The fit of this layer of each seed that has it."""
        return tuple(found.fits[layer] for found in self.measurements if layer in found.fits)

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Checks that FAIL in any seed, each once."""
        found = {
            verdict.check: verdict for one in self.measurements for verdict in one.verdicts if verdict.verdict == "FAIL"
        }
        return tuple(found.values())


def arms(records: Sequence[Record]) -> tuple[Arm, ...]:
    """Records grouped by arm; arms without penalties first, else in the order given.

    Raises:
        ValueError: if there is no record.
    """
    need(
        len(records) >= 1, expected="at least one record", got="none", remedy="Name a folder that holds finished runs."
    )
    grouped: dict[str, list[Record]] = {}
    for record in records:
        grouped.setdefault(str(record.run.get("arm", record.name)), []).append(record)
    by_seed = {
        name: sorted(group, key=lambda record: str(record.run.get("seed", ""))) for name, group in grouped.items()
    }
    named = sorted(by_seed.items(), key=lambda entry: bool(entry[1][0].run.get("penalties")))
    return tuple(Arm(name, tuple(group), order) for order, (name, group) in enumerate(named))


def every(found: Sequence[Arm], part: Callable[[Measurement], Sequence[str]]) -> list[str]:
    """Names of a part (layers, curves) over all records, in the order of first appearance."""
    return list(dict.fromkeys(name for arm in found for one in arm.measurements for name in part(one)))


def at(curve: RobustnessCurve, epsilon: float) -> Estimate:
    """Accuracy at a budget of the grid: worst case with Wilson's interval, or for noise the mean over draws."""
    place = curve.epsilons.index(epsilon)
    if kind(curve) == "noise":
        return Estimate(curve.mean_accuracy()[place])
    return curve.accuracy()[place]


def clean(curve: RobustnessCurve) -> Estimate:
    """Clean accuracy with Wilson's interval over images."""
    unbroken = RobustnessCurve(
        curve.threat, {"clean": "clean"}, (0.0,), ~curve.clean_correct[None, None], curve.clean_correct
    )
    return unbroken.accuracy()[0]


def budget(found: Sequence[Arm], name: str) -> float | None:
    """The budget at which tables read a curve: on every record's grid, where the first arm keeps nearest half of its
    clean accuracy; the smaller of two; `None` if there is none."""
    curves = [curve for arm in found for curve in arm.curves(name)]
    if not curves:
        return None
    common = sorted(set.intersection(*(set(curve.epsilons) for curve in curves)) - {0.0})
    first = next(arm.curves(name) for arm in found if arm.curves(name))
    half = math.fsum(clean(curve).value for curve in first) / len(first) / 2
    away = [abs(math.fsum(at(curve, epsilon).value for curve in first) / len(first) - half) for epsilon in common]
    return common[away.index(min(away))] if common else None


def shared(found: Sequence[Arm], name: str, epsilon: float | None) -> float | None:
    """The headline's budget, if a curve has it in every record; else the curve's own."""
    curves = [curve for arm in found for curve in arm.curves(name)]
    if not curves:
        return None
    return epsilon if epsilon is not None and all(epsilon in one.epsilons for one in curves) else budget(found, name)


def accuracy(arm: Arm, name: str, epsilon: float) -> Estimate:
    """Accuracy of an arm on a curve at a budget; NaN where there is no curve."""
    curves = arm.curves(name)
    return across_seeds([at(curve, epsilon) for curve in curves], 0.0, 1.0) if curves else Estimate(math.nan)


def clean_accuracy(arm: Arm) -> Estimate:
    """Clean accuracy of an arm, from whichever curve it has."""
    curves = [one.curves.get("headline", next(iter(one.curves.values()))) for one in arm.measurements if one.curves]
    return across_seeds([clean(curve) for curve in curves], 0.0, 1.0) if curves else Estimate(math.nan)


def alpha(arm: Arm, layer: str) -> Estimate:
    """Exponent of a layer; NaN where there is no fit."""
    fits = arm.fits(layer)
    return across_seeds([fit.parameters["alpha"] for fit in fits]) if fits else Estimate(math.nan)


def windows(arm: Arm, layer: str) -> str:
    """Windows used by the fits of a layer, each once."""
    used = dict.fromkeys(fit.used for fit in arm.fits(layer))
    return ", ".join(f"{first}–{last}" for first, last in used)


def median(values: torch.Tensor, level: float = 0.95) -> Estimate:
    """Median with the interval between two order statistics, which assumes nothing about the distribution."""
    ordered = values[values.isfinite()].sort().values
    if len(ordered) == 0:
        return Estimate(math.nan)
    low = int(scipy.stats.binom.ppf((1 - level) / 2, len(ordered), 0.5))
    if low < 1:
        return Estimate(float(ordered.quantile(0.5)))
    return Estimate(
        float(ordered.quantile(0.5)), float(ordered[low - 1]), float(ordered[len(ordered) - low]), level, "images"
    )


def smoothness(arm: Arm, name: str, relative: bool = False) -> Estimate:
    """Median over images of a measure of smoothness, raw or over the layer's scale."""
    found = [one.smoothness[name] for one in arm.measurements if name in one.smoothness]
    if not found:
        return Estimate(math.nan)
    lowest = -math.inf if any(one.scaling == "logarithmic" for one in found) else 0.0
    return across_seeds([median((one.relative if relative else one.values)[one.comparable]) for one in found], lowest)


def told(arm: Arm, quantity: str, **says: object) -> Estimate | None:
    """A number that the measurements of an arm tell in their rows; `None` where none does.

    Args:
        arm: whose.
        quantity: of the row.
        says: what else the row must say; `None`: that it must not.
    """
    found = [
        Estimate(entry["value"], entry.get("low", math.nan), entry.get("high", math.nan), over=entry.get("over", ""))
        for one in arm.measurements
        for entry in one.rows
        if entry["quantity"] == quantity and all(entry.get(name) == value for name, value in says.items())
    ]
    return across_seeds(found) if found else None


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The most severe of one check's verdicts over seeds; among equals the one with the largest number."""
    return max(
        verdicts,
        key=lambda one: (SEVERITY.index(one.verdict), -math.inf if math.isnan(one.value) else abs(one.value)),
    )
