"""What the runs came to: numbers of each arm over its seeds, under both semantics, read off records alone.

published   accuracy under the paper's FGSM and PGD: 40 steps of .01 on raw cross-entropy from the clean image
corrected   the headline: worst case per image over margin, DLR and scaled cross-entropy, from two starts, and checks
named       the attack of the reference measurements: published PGD with PGD on the margin

A net is *matched* on clean accuracy by plain training stopped early: along its path over stops, of the same seed, the
robust accuracy is read where its clean accuracy is the arm's, by linear interpolation.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from eigenfall.check import need
from eigenfall.papers.found import Found, Number, accuracy, by_arm
from eigenfall.papers.nassar2020.runs import Arm, arms
from eigenfall.papers.nassar2020.sizes import Scale
from eigenfall.robustness import headline_stands
from eigenfall.types import Record

ALLOWED = 0.01
"""How far validation accuracy may fall for a strength to be chosen."""
MAIN = {"spectral": "spectral, fresh basis", "Jacobian": "Jacobian, equal updates"}
"""The arm of the main strength; of shallow nets the Jacobian's has equal updates anyway."""


def gathered(records: Sequence[Record], scale: Scale) -> Found:
    """Records by arm and seed; of two of the same, the later."""
    return Found(scale, by_arm(records))


def under(curve: str, epsilon: float) -> Number:
    """Accuracy of a curve at a budget."""

    def number(record: Record) -> float:
        curves = record.measurement.curves
        need(
            curve in curves and epsilon in curves[curve].epsilons,
            expected=f"a curve {curve} at ε = {epsilon:g} in {record.name}",
            got=", ".join(curves) or "none",
            remedy="Make the record anew: remove its folder, and reproduce again.",
        )
        held = curves[curve]
        return held.accuracy()[held.epsilons.index(epsilon)].value

    return number


def headline(epsilon: float) -> Number:
    """Worst-case accuracy, corrected."""
    return under("headline", epsilon)


def published(epsilon: float) -> Number:
    """Accuracy under the published PGD."""
    return under("published_pgd", epsilon)


def named(epsilon: float) -> Number:
    """Accuracy under the attack of the reference measurements."""
    return under("named", epsilon)


def validation_accuracy(record: Record) -> float:
    """Share of validation images classified correctly when training ended; NaN without a validation split."""
    found = [float(row["validation_accuracy"]) for row in record.history if "validation_accuracy" in row]
    return found[-1] if found else math.nan


def stands(record: Record) -> bool:
    """Whether no check of the headline failed."""
    return headline_stands(record.measurement.verdicts)


def stops(scale: Scale, net: str) -> list[str]:
    """Names of the arms along the path of plain training, earliest first, the whole of it last."""
    return [*(arm.name for arm in arms(scale) if arm.net == net and arm.kind == "stop"), f"{net} plain"]


def matched(found: Found, arm: str, number: Number) -> tuple[list[float], list[float], str]:
    """A number of an arm, and of plain training stopped at the arm's clean accuracy, for each seed that both have.

    Returns:
        The arm's, the control's, and in words where the path does not reach: an arm better than the whole of plain
        training is held against that, one worse than its first stop against the first.
    """
    names = [name for name in stops(found.scale, arm.partition(" ")[0]) if found.has(name)]
    own, control, short = [], [], set()
    for seed in found.seeds(arm, *names):
        path = [(accuracy(found.records[name][seed]), number(found.records[name][seed])) for name in names]
        record = found.records[arm][seed]
        value, reaches = along(path, accuracy(record))
        own.append(number(record))
        control.append(value)
        short |= set() if reaches else {seed}
    told = f"off the stopping path in {len(short)} of {len(own)} seeds" if short else ""
    return own, control, told


def along(path: Sequence[tuple[float, float]], clean: float) -> tuple[float, bool]:
    """What lies on a path over stops where its clean accuracy is first the given one, and whether it comes there."""
    if clean <= path[0][0]:
        return path[0][1], clean == path[0][0]
    for (low, before), (high, after) in pairwise(path):
        if low <= clean <= high and high > low:
            share = (clean - low) / (high - low)
            return before + share * (after - before), True
    best = max(path)
    return best[1], False


def chosen(found: Found, net: str, family: str) -> tuple[str, str]:
    """The strongest penalty of a family whose mean validation accuracy lies at most a point below that of plain.

    Args:
        found: what the runs came to.
        net: deep or shallow.
        family: spectral, with a fresh basis, or Jacobian, with equal updates.

    Returns:
        The arm's name and why, in words; no name if none is allowed, or plain has no validation split.
    """
    plain = f"{net} plain"
    if not found.has(plain) or math.isnan(floor := _mean(found, plain) - ALLOWED):
        return "", "no validation split"
    by = {strength_of(arm): arm.name for arm in arms(found.scale) if arm.net == net and _of_family(arm, family)}
    allowed = [name for _, name in sorted(by.items()) if found.has(name) and _mean(found, name) >= floor]
    if not allowed:
        words = ", ".join(f"{one:g}" for one, name in sorted(by.items()) if found.has(name))
        return "", f"no strength of {words or 'any'} keeps validation accuracy within 1 point of plain"
    strength = next(one for one, name in by.items() if name == allowed[-1])
    return allowed[-1], f"strength {strength:g}, the largest within 1 point of plain on validation"


def strength_of(arm: Arm) -> float:
    """Of its only penalty."""
    return float(arm.penalties[0].strength) if arm.penalties else 0.0


def _of_family(arm: Arm, family: str) -> bool:
    swept = arm.kind == "sweep" and arm.name.startswith(f"{arm.net} {family} ")
    return swept or arm.name in (f"{arm.net} {MAIN[family]}", f"{arm.net} {family}" if arm.net == "shallow" else "")


def _mean(found: Found, name: str) -> float:
    values = found.values(name, validation_accuracy)
    return math.fsum(values) / len(values)
