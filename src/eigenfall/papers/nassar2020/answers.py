"""Is a 1/n spectrum necessary, sufficient or neither, for robustness? Every arm's numbers, and what goes with what.

necessary    fails where nets whose exponent lies away from 1 are more robust than those held to it
sufficient   fails where nets whose exponent is about 1 are no more robust than plain ones of their accuracy
association  rank correlation of robust accuracy with the distance of α from 1, the Jacobian's norm and the margin,
             each with the other two held, over all nets of all arms; an arm with all its seeds is left out at a time
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eigenfall.associations import Association, associated
from eigenfall.papers import verdicts
from eigenfall.papers.found import Number, accuracy, alpha, margin, measured, slope
from eigenfall.papers.nassar2020.found import Found, headline, matched, named, published, stops
from eigenfall.papers.nassar2020.runs import arms, depth
from eigenfall.papers.nassar2020.sizes import SIZES, Net, Scale
from eigenfall.types import Estimate, Record

QUESTION = "Is a 1/n spectrum necessary for robustness, sufficient, or neither, in the networks of Nassar et al. 2020?"
NEAR = 0.15
"""An exponent within so much of 1 is 1/n."""


@dataclass(frozen=True)
class Line:
    """An arm's numbers.

    Attributes:
        name: the arm's.
        net: deep, shallow or cnn.
        numbers: by the names of `numbers`, mean over seeds with interval; one without a number is left out.
        seeds: how many.
        robust: the headline at the claims' ε.
        control: what plain training stopped at its clean accuracy has, of the headline; `None`: no path.
        gain: the headline less that, paired by seed.
        off: where the path does not reach, in words.
        failed: which checks of its headline failed; empty if none did.
    """

    name: str
    net: Net
    numbers: Mapping[str, Estimate]
    seeds: int
    robust: Estimate
    control: Estimate | None
    gain: Estimate | None
    off: str
    failed: str


def numbers(scale: Scale, net: Net) -> dict[str, Number]:
    """What is told of every arm of a network."""
    size = SIZES[scale, net]
    last = f"hidden{depth(size)}"
    told: dict[str, Number] = {"clean": accuracy}
    told |= {f"headline {epsilon:g}": headline(epsilon) for epsilon in size.epsilons if epsilon <= 0.1}
    told["published PGD"] = published(size.epsilon)
    told["named"] = named(size.epsilon)
    told |= {f"α {layer}": alpha(f"hidden{layer}") for layer in range(1, depth(size) + 1)}
    told["n90"] = measured("rank_at_90_percent", last)
    return told | {"jacobian": slope, "margin": margin}


def lines(found: Found) -> tuple[Line, ...]:
    """The numbers of every arm that there is."""
    return tuple(_line(found, arm.name, arm.net) for arm in arms(found.scale) if found.has(arm.name))


def _line(found: Found, name: str, net: Net) -> Line:
    told = {}
    for what, number in numbers(found.scale, net).items():
        values = found.values(name, number)
        if not any(math.isnan(value) for value in values):
            told[what] = verdicts.interval(values)
    control = gain = None
    off, worst = "", headline(SIZES[found.scale, net].epsilon)
    path = [stop for stop in stops(found.scale, net) if found.has(stop)]
    if path and name not in path and found.seeds(name, *path):
        own, other, off = matched(found, name, worst)
        control = verdicts.interval(other)
        gain = verdicts.interval([one - two for one, two in zip(own, other, strict=True)])
    robust = verdicts.interval(found.values(name, worst))
    return Line(name, net, told, len(found.seeds(name)), robust, control, gain, off, found.failed(name))


# -------------------------------------------------------------------------------- what goes with what


def nets(found: Found, net: Net) -> list[tuple[str, Record]]:
    """Every trained net of a network whose headline stands, with its arm."""
    return [
        (arm.name, record)
        for arm in arms(found.scale)
        if arm.net == net
        for record in found.records.get(arm.name, {}).values()
        if not found.failed(arm.name)
    ]


def associations(found: Found, net: Net) -> dict[str, Association]:
    """Of the headline at the claims' ε with |α − 1| of the last hidden layer, the Jacobian's norm and the margin.

    Returns:
        By name; empty for nets of fewer than six arms, or a number that is the same of all.
    """
    size = SIZES[found.scale, net]
    every = nets(found, net)
    last = alpha(f"hidden{depth(size)}")
    columns: dict[str, Number] = {
        "|α − 1|": lambda record: abs(last(record) - 1),
        "Jacobian norm": slope,
        "margin": margin,
    }
    table = [(headline(size.epsilon)(record), *(one(record) for one in columns.values())) for _, record in every]
    held = [(arm, row) for (arm, _), row in zip(every, table, strict=True) if all(map(math.isfinite, row))]
    varied = all(len(set(column)) > 1 for column in zip(*(row for _, row in held), strict=True))
    if len({arm for arm, _ in held}) < 6 or not varied:
        return {}
    outcome = [row[0] for _, row in held]
    by = {name: [row[place] for _, row in held] for place, name in enumerate(columns, start=1)}
    return associated(outcome, by, [arm for arm, _ in held])


# -------------------------------------------------------------------------------- in words


def answer(found: Found) -> str:
    """What the numbers say, in a few sentences; no verdict at the quick scale."""
    if found.scale == "quick":
        return (
            "The quick scale checks that everything runs. It answers nothing: on the digits the gain of one hidden "
            "layer reverses, and seeds are few."
        )
    every = lines(found)
    told = [*_necessary(every), *_sufficient(every)]
    return " ".join(told) or "Nothing was compared: the runs are missing."


def told_of_associations(found: Found) -> list[str]:
    """What goes with robust accuracy, a sentence for each number of each network; none at the quick scale."""
    told: list[str] = []
    nets: dict[Net, str] = {"shallow": "one hidden layer", "deep": "three hidden layers"}
    for net, words in nets.items() if found.scale != "quick" else ():
        for what, one in (associations(found, net) if (found.scale, net) in SIZES else {}).items():
            told.append(
                f"Over {one.models} nets of {words} in {one.groups} arms, {what} goes with robust accuracy by "
                f"{verdicts.with_interval(one.partial)} (ranks, the other two held; {one.raw.value:.2f} raw)."
            )
    return told


def _necessary(every: Sequence[Line]) -> list[str]:
    """Arms away from 1/n that beat, beyond both intervals, every arm at it."""
    told = []
    for net in dict.fromkeys(line.net for line in every):
        held = [line for line in every if line.net == net and not line.failed]
        at = [line for line in held if _exponents(line) and all(_is_near(one) for one in _exponents(line))]
        away = [line for line in held if _exponents(line) and not any(_is_near(one) for one in _exponents(line))]
        if not at or not away:
            continue
        best, other = (max(some, key=lambda line: line.robust.value) for some in (at, away))
        ahead = _of(other).low > _of(best).high
        told.append(
            f"{net.capitalize()}: the most robust arm without 1/n in any layer is {other.name} "
            f"({_percent(_of(other))} %, α {_alphas(other)}), with it in all {best.name} ({_percent(_of(best))} %, α "
            f"{_alphas(best)}): 1/n is {'not necessary' if ahead else 'not shown to be unnecessary'}."
        )
    return told


def _sufficient(every: Sequence[Line]) -> list[str]:
    """Arms whose last layer is at 1/n and that are no better than plain nets of their accuracy."""
    told = []
    for net in dict.fromkeys(line.net for line in every):
        held = [
            line
            for line in every
            if line.net == net and not line.failed and line.gain and _exponents(line) and _is_near(_exponents(line)[-1])
        ]
        less = [line for line in held if line.gain is not None and line.gain.high < 0]
        if held:
            words = ", ".join(f"{line.name} ({_points(line)})" for line in less)
            told.append(
                f"{net.capitalize()}: of {len(held)} arms with 1/n in the last hidden layer {len(less)} are less "
                f"robust than plain training stopped at their accuracy{f': {words}' if less else ''}: 1/n there is "
                f"{'not sufficient' if less else 'not shown to be insufficient'}."
            )
    return told


def _of(line: Line) -> Estimate:
    """Its headline; where a single seed gives no interval, the value at both ends."""
    found = line.robust
    return found if not math.isnan(found.low) else Estimate(found.value, found.value, found.value)


def _exponents(line: Line) -> list[float]:
    return [value.value for name, value in line.numbers.items() if name.startswith("α ")]


def _is_near(exponent: float) -> bool:
    return abs(exponent - 1) <= NEAR


def _alphas(line: Line) -> str:
    return "/".join(f"{one:.2f}" for one in _exponents(line))


def _percent(estimate: Estimate) -> str:
    return verdicts.with_interval(
        Estimate(100 * estimate.value, 100 * max(0.0, estimate.low), 100 * min(1.0, estimate.high))
    )


def _points(line: Line) -> str:
    gain = line.gain
    if gain is None:
        return "–"
    return f"{verdicts.with_interval(Estimate(100 * gain.value, 100 * gain.low, 100 * gain.high))} points"
