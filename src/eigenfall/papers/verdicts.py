"""How a number over seeds becomes a verdict.

    band     HOLDS: the mean lies inside; the interval is shown beside it             (spec `holzhausen2024` §7)
    order    log ratio of each neighbour to the next, Welch's interval over seeds, Bonferroni over the neighbours
             HOLDS: all lie above 0;   FAILS: one lies below 0;   OPEN: else
    near     ratio, interval over seeds:   HOLDS inside 1 ± tolerance;   FAILS apart from it;   OPEN: else
    gain     difference, paired by seed, Student's interval, Bonferroni over several
             HOLDS: all lie above 0;   FAILS: one lies below 0;   OPEN: else
    no gain  the same interval:   HOLDS below what counts;   FAILS above it;   OPEN: else

Ratios are of geometric means: medians of distances are positive and skewed.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from eigenfall.check import need
from eigenfall.statistics import t_interval, welch_interval
from eigenfall.types import Answer, Claim, ClaimVerdict, Estimate

FEWEST = 5
"""Seeds behind a verdict; fewer are shown with their count, and NOT TESTED."""


def ends(claim: Claim) -> tuple[float, float]:
    """Both ends of a claim's band.

    Raises:
        ValueError: for a claim without one.
    """
    need(
        claim.low is not None and claim.high is not None,
        expected=f"a band in claim {claim.key}",
        got="none",
        remedy="Judge it as an order.",
    )
    return float(claim.low or 0.0), float(claim.high or 0.0)


def band(claim: Claim, values: Sequence[float]) -> Answer:
    """Whether the mean over seeds lies inside the claim's band.

    Args:
        claim: with both ends of a band.
        values: one per seed.
    """
    low, high = ends(claim)
    if lost := _lost({"": values}):
        return untested(lost)
    estimate = interval(values)
    told = with_interval(estimate)
    if few := _too_few(len(values)):
        return Answer("NOT TESTED", estimate, f"{told}; {few}", len(values))
    holds = low <= estimate.value <= high
    return Answer("HOLDS" if holds else "FAILS", estimate, told, len(values))


def order(values: Mapping[str, Sequence[float]], unit: str = "", among: int = 1) -> Answer:
    """Whether each arm lies above the next.

    Args:
        values: one per seed, positive, of each arm in the order that is claimed.
        unit: of the values, for the words.
        among: how many such orders are looked at together, any of which would do.

    Returns:
        An answer whose number is the ratio of the pair that is closest to breaking the order.
    """
    if lost := _lost(values):
        return untested(lost)
    pairs = list(pairwise(values))
    ratios = {(one, other): _ratio(values[one], values[other], 1 - 0.05 / len(pairs) / among) for one, other in pairs}
    means = ", ".join(f"{name} {_mean(found):.3g}" for name, found in values.items())
    seeds = min(len(found) for found in values.values())
    (one, other), closest = min(ratios.items(), key=lambda entry: _lowest(entry[1]))
    told = f"{means}{f' {unit}' if unit else ''}; {one} is {with_interval(closest)} × {other}"
    parts = {name: _mean(found) for name, found in values.items()}
    if few := _too_few(seeds):
        return Answer("NOT TESTED", closest, f"{told}; {few}", seeds, parts)
    if any(ratio.high < 1 for ratio in ratios.values()):
        verdict = "FAILS"
        (one, other), closest = min(ratios.items(), key=lambda entry: entry[1].high)
        told = f"{means}{f' {unit}' if unit else ''}; {one} is {with_interval(closest)} × {other}"
    else:
        verdict = "HOLDS" if all(ratio.low > 1 for ratio in ratios.values()) else "OPEN"
    return Answer(verdict, closest, told, seeds, parts)


def near(pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]], tolerance: float, what: str = "") -> Answer:
    """Whether each ratio of two numbers of the same seeds lies within 1 ± tolerance.

    Args:
        pairs: numerators and denominators, one of each per seed, by name.
        tolerance: half the width of what counts as near.
        what: the ratio, in words.

    Returns:
        An answer whose number is the ratio that is furthest from 1.
    """
    if lost := _lost({name: [*above, *below] for name, (above, below) in pairs.items()}):
        return untested(lost)
    level = 1 - 0.05 / len(pairs)
    ratios = {name: _paired(above, below, level) for name, (above, below) in pairs.items()}
    seeds = min(len(above) for above, _ in pairs.values())
    worst, furthest = max(ratios.items(), key=lambda entry: abs(math.log(entry[1].value)))
    told = f"{what}{': ' if what else ''}{worst} {with_interval(furthest)}"
    parts = {name: ratio.value for name, ratio in ratios.items()}
    if few := _too_few(seeds):
        return Answer("NOT TESTED", furthest, f"{told}; {few}", seeds, parts)
    return Answer(nearness(list(ratios.values()), tolerance), furthest, told, seeds, parts)


def above(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], unit: str = "", fewest: int = FEWEST) -> Answer:
    """Whether each of several numbers is larger than another of the same seed.

    Args:
        pairs: the number and the other, one of each per seed.
        unit: of both, for the words.
        fewest: seeds behind a verdict.

    Returns:
        An answer whose number is the difference that is closest to breaking the claim.
    """
    if lost := _unfinite(pairs):
        return untested(lost)
    level = 1 - 0.05 / len(pairs)
    gains = [_difference(own, other, level) for own, other in pairs]
    seeds = min(len(own) for own, _ in pairs)
    told = "; ".join(_compared(own, other, unit) for own, other in pairs)
    if any(gain.high < 0 for gain in gains):
        verdict, deciding = "FAILS", min(gains, key=lambda gain: gain.high)
    else:
        verdict = "HOLDS" if all(gain.low > 0 for gain in gains) else "OPEN"
        deciding = min(gains, key=_lowest)
    told = f"{told}; difference {with_interval(deciding)}"
    if few := _too_few(seeds, fewest):
        return Answer("NOT TESTED", deciding, f"{told}; {few}", seeds)
    return Answer(verdict, deciding, told, seeds)


def not_above(
    own: Sequence[float], other: Sequence[float], counts: float, unit: str = "", fewest: int = FEWEST
) -> Answer:
    """Whether a number is larger than another of the same seed by less than what counts in practice.

    Args:
        own: one per seed.
        other: of the same seeds.
        counts: a difference of so much does.
        unit: of all three, for the words.
        fewest: seeds behind a verdict.
    """
    if lost := _unfinite([(own, other)]):
        return untested(lost)
    gain = _difference(own, other, 0.95)
    told = f"{_compared(own, other, unit)}; difference {with_interval(gain)}, of which {counts:g} would count"
    if few := _too_few(len(own), fewest):
        return Answer("NOT TESTED", gain, f"{told}; {few}", len(own))
    verdict = "HOLDS" if gain.high < counts else "FAILS" if gain.low > counts else "OPEN"
    return Answer(verdict, gain, told, len(own))


def nearness(ratios: Sequence[Estimate], tolerance: float) -> ClaimVerdict:
    """HOLDS if all intervals lie within 1 ± tolerance, FAILS if one lies apart from it, else OPEN."""
    low, high = 1 - tolerance, 1 + tolerance
    if all(low <= ratio.low and ratio.high <= high for ratio in ratios):
        return "HOLDS"
    return "FAILS" if any(ratio.high < low or ratio.low > high for ratio in ratios) else "OPEN"


def interval(values: Sequence[float]) -> Estimate:
    """Mean over seeds with Student's interval."""
    return Estimate(*t_interval(values), over="seeds")


def untested(why: str, told: str = "") -> Answer:
    """A claim that is not tested here."""
    return Answer("NOT TESTED", told=f"{told}; {why}" if told else why)


def void(claim: Claim, told: str = "") -> Answer:
    """A claim that cannot be tested at all; what was found is recorded all the same."""
    return Answer("VOID", told=f"{told}; {claim.void}" if told else claim.void)


def _ratio(above: Sequence[float], below: Sequence[float], level: float) -> Estimate:
    """Ratio of geometric means of unpaired values."""
    ends = welch_interval([math.log(value) for value in above], [math.log(value) for value in below], level)
    value, low, high = (math.exp(end) for end in ends)
    return Estimate(value, low, high, level=level, over="seeds")


def _paired(above: Sequence[float], below: Sequence[float], level: float) -> Estimate:
    """Geometric mean of the ratios of paired values."""
    ends = t_interval([math.log(one / other) for one, other in zip(above, below, strict=True)], level)
    value, low, high = (math.exp(end) for end in ends)
    return Estimate(value, low, high, level=level, over="seeds")


def _lowest(ratio: Estimate) -> float:
    return ratio.value if math.isnan(ratio.low) else ratio.low


def _mean(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def _lost(values: Mapping[str, Sequence[float]]) -> str:
    """Which arms have no number, or one that is not positive and finite where it must be; empty if all have."""
    told = []
    for name, found in values.items():
        bad = sum(not math.isfinite(value) for value in found)
        if bad or not found:
            told.append(f"{name}{': ' if name else ''}no number in {bad} of {len(found)} seeds")
    return "; ".join(told)


def _difference(own: Sequence[float], other: Sequence[float], level: float) -> Estimate:
    """Mean of paired differences."""
    ends = t_interval([one - two for one, two in zip(own, other, strict=True)], level)
    return Estimate(*ends, level=level, over="seeds")


def _compared(own: Sequence[float], other: Sequence[float], unit: str) -> str:
    one, two = (math.fsum(values) / len(values) for values in (own, other))
    return f"{one:.3g}{' ' if unit else ''}{unit} against {two:.3g}"


def _unfinite(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> str:
    """In how many seeds a number is missing; empty if in none."""
    bad = sum(not math.isfinite(one - two) for own, other in pairs for one, two in zip(own, other, strict=True))
    return f"no number in {bad} seeds" if bad else ""


def _too_few(seeds: int, fewest: int = FEWEST) -> str:
    return "" if seeds >= fewest else f"{seeds} {'seed' if seeds == 1 else 'seeds'} of {fewest}"


def with_interval(estimate: Estimate) -> str:
    """Three digits, with its ends."""
    if math.isnan(estimate.low):
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"
