"""What the paper leaves open, answered from records: who leads at equal accuracy, and whose spectra are straight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.found import (
    PERTURBATIONS,
    Found,
    Number,
    accuracy,
    alpha,
    own_distance,
    straightness,
)
from eigenfall.papers.holzhausen2024.fronts import lead, swept
from eigenfall.types import Answer, Estimate, Judged

QUESTION = (
    "Does the power law that Krotov-Hopfield learning finds make a net robust, and do conclusions of Holzhausen et al. "
    "2024 stand under correct measurement?"
)
FAMILIES = ("L2", "Jacobian")
MEASURED: dict[str, Number] = {
    "accuracy": accuracy,
    "alpha": alpha("currents"),
    "straightness": straightness,
    "alpha_hidden": alpha("hidden1"),
    "random": own_distance("random"),
    "linf": own_distance("pgd"),
}
"""Numbers of every arm: test accuracy; exponent of the currents and R² of its line, exponent of what the activation
makes of them; median distances over own right images, deviation of noise that flips half the draws and smallest L∞
perturbation, in the inputs' unit."""


@dataclass(frozen=True)
class Line:
    """An arm's numbers.

    Attributes:
        name: the arm's.
        numbers: as `MEASURED` names them, mean over seeds with interval; one without a number is left out.
        seeds: how many.
        leads: its L∞ distance over the front of each sweep (`fronts`).
        unconverged: why its layer does not count; empty if it does.
        failed: which checks of its headline failed; empty if none did: its distances are no measure of robustness else.
    """

    name: str
    numbers: Mapping[str, Estimate]
    seeds: int
    leads: Mapping[str, Answer]
    unconverged: str = ""
    failed: str = ""


def lines(found: Found, names: Sequence[str]) -> tuple[Line, ...]:
    """The numbers of these arms, of those that there are."""
    return tuple(_line(found, name) for name in names if found.has(name) and _attacked(found, name))


def _attacked(found: Found, name: str) -> bool:
    return all(record.measurement.curves for record in found.records[name].values())


def _lead(found: Found, name: str, family: str) -> Answer:
    """Its lead over a sweep that it is no point of."""
    return verdicts.untested("a point of the sweep") if name in swept(found, family) else lead(found, name, family)


def _line(found: Found, name: str) -> Line:
    numbers = {}
    for what, number in MEASURED.items():
        values = found.values(name, number)
        if values and not any(math.isnan(value) for value in values):
            numbers[what] = verdicts.interval(values)
    leads = {family: _lead(found, name, family) for family in FAMILIES}
    return Line(name, numbers, len(found.seeds(name)), leads, found.unconverged(name), found.failed(name))


def answer(found: Found, judged: Sequence[Judged]) -> str:
    """What the numbers say, in a sentence or three."""
    told = []
    order = [one for one in judged if one.claim.key in {f"Q1 {each}" for each in PERTURBATIONS}]
    for name in ("published", "corrected"):
        words = [f"{one.claim.key.removeprefix('Q1 ')} {getattr(one, name).verdict}" for one in order]
        if words:
            told.append(f"KH > L2 > JReg > BP, {name}: {', '.join(words)}.")
    for name in ("KH", "images"):
        ahead = {family: lead(found, name, family).number for family in FAMILIES} if found.has(name) else {}
        words = [
            f"{verdicts.with_interval(one)} times that of the {family} sweep" for family, one in ahead.items() if one
        ]
        if words:
            whose = "of KH" if name == "KH" else "of training images as weights, which learn nothing,"
            told.append(f"The L∞ distance {whose} is {' and '.join(words)}, at its accuracy or above.")
    others = [
        line for line in lines(found, ("Sanger", "similarity", "SoftHebb", "BCM", "Földiák")) if line.leads["L2"].number
    ]
    leading = [line.name for line in others if line.leads["L2"].verdict == "HOLDS"]
    if others:
        named = f": {', '.join(leading)}" if leading else ""
        told.append(f"Of {len(others)} other local rules {len(leading)} lead the L2 sweep{named}.")
    return " ".join(told) or "Nothing was compared: the runs of KH, L2, JReg and BP are missing."
