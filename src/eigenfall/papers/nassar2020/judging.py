"""What every claim needs: an answer only where its arms are there, of a scale at which it is tested, unmasked.

gain       difference of a number, paired by seed, Student's interval: HOLDS above 0, FAILS below it, OPEN over it
no gain    HOLDS below 5 points, FAILS above them, OPEN over them
matched    against plain training stopped at the arm's clean accuracy (`found.matched`)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eigenfall.papers import verdicts
from eigenfall.papers.found import Number
from eigenfall.papers.nassar2020.found import Found, headline, matched, published, stops
from eigenfall.types import Answer

TESTED = ("small", "paper")
NOTHING = 5.0
"""A gain below so many points of accuracy is none in practice."""
FEWEST = 3
"""Paired seeds behind a verdict."""

Pairs = Sequence[tuple[Sequence[float], Sequence[float]]]


@dataclass(frozen=True)
class Side:
    """What stands for the penalty and for robustness under one semantics.

    Attributes:
        basis: of the penalty.
        robust: accuracy at a budget.
        checked: whether a check that FAILs takes the number away.
    """

    basis: str
    robust: Callable[[float], Number]
    checked: bool


PUBLISHED, CORRECTED = Side("epoch basis", published, False), Side("fresh basis", headline, True)
SIDES = (PUBLISHED, CORRECTED)


def told(found: Found, names: Sequence[str], answer: Callable[[], Answer], checked: bool) -> Answer:
    """An answer, unless an arm is missing, a check of its headline failed, or the scale is another."""
    missing = [name for name in names if not found.has(name)]
    if missing:
        return verdicts.untested(f"no run of {', '.join(missing)}")
    if not found.seeds(*names):
        return verdicts.untested(f"no seed that {', '.join(names)} all have")
    if checked and (failed := found.failed(*names)):
        return verdicts.untested(f"{failed}: what attacks find is no measure of robustness")
    made = answer()
    if found.scale not in TESTED:
        words = f"{made.told}; tested at {', '.join(TESTED)}"
        return Answer("NOT TESTED", made.number, words, made.seeds, made.parts)
    return made


def above(
    found: Found,
    name: str,
    other: str,
    numbers: Sequence[Number],
    checked: bool,
    scale: float = 100,
    unit: str = "%",
) -> Answer:
    """Whether each of several numbers of an arm lies above another arm's."""

    def answer() -> Answer:
        return verdicts.above(pairs(found, name, other, numbers, scale), unit, FEWEST)

    return told(found, [name, other], answer, checked)


def no_gain(found: Found, name: str, other: str, number: Number, checked: bool) -> Answer:
    """Whether an arm has no gain over another that would count in practice."""

    def answer() -> Answer:
        return verdicts.not_above(*pairs(found, name, other, [number], 100)[0], NOTHING, "%", FEWEST)

    return told(found, [name, other], answer, checked)


def pairs(found: Found, name: str, other: str, numbers: Sequence[Number], scale: float) -> Pairs:
    """Each number of two arms, of the seeds that both have."""
    return [
        (
            [scale * one for one in found.values(name, number, (other,))],
            [scale * one for one in found.values(other, number, (name,))],
        )
        for number in numbers
    ]


def above_matched(found: Found, name: str, numbers: Sequence[Number], checked: bool) -> Answer:
    """Whether an arm lies above plain training stopped at its clean accuracy, by each of several numbers."""
    return _matched(found, name, numbers, checked, lambda held: verdicts.above(held, "%", FEWEST))


def no_gain_matched(found: Found, name: str, number: Number, checked: bool) -> Answer:
    """Whether an arm has no gain over that control that would count in practice."""
    return _matched(found, name, [number], checked, lambda held: verdicts.not_above(*held[0], NOTHING, "%", FEWEST))


def _matched(
    found: Found, name: str, numbers: Sequence[Number], checked: bool, verdict: Callable[[Pairs], Answer]
) -> Answer:
    short: dict[str, None] = {}

    def answer() -> Answer:
        held = []
        for number in numbers:
            own, control, off = matched(found, name, number)
            short.update({off: None} if off else {})
            held.append(([100 * one for one in own], [100 * one for one in control]))
        return verdict(held)

    path = stops(found.scale, name.partition(" ")[0])
    made = told(found, [name, *path], answer, checked)
    return Answer(made.verdict, made.number, "; ".join([made.told, *short]), made.seeds, made.parts)


def interaction(found: Found, full: tuple[str, str], bare: tuple[str, str], number: Number, checked: bool) -> Answer:
    """Whether an arm gains more over its control than another does over its own, paired by seed."""

    def answer() -> Answer:
        seeds = found.seeds(*full, *bare)
        gains = [
            [100 * (number(found.records[arm][seed]) - number(found.records[control][seed])) for seed in seeds]
            for control, arm in (full, bare)
        ]
        return verdicts.above([(gains[0], gains[1])], "% gained", FEWEST)

    return told(found, [*full, *bare], answer, checked)
