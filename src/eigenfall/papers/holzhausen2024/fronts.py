"""Robustness at equal accuracy: a point held against a sweep, instead of one point against another.

    a sweep over λ is a path of (accuracy, ln median distance), one per seed;   its front at an accuracy is the largest
    distance on the path at that accuracy or a higher one;   lead = distance of a net / front of the same seed's sweep

so that a net that some point of the sweep beats in both respects has no lead. Distances are corrected ones, over the
own right images of each net. A sweep that stops above a net's accuracy may go on to larger distances: then the net can
be shown to be beaten, and nothing else.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.found import Found, Perturbation, accuracy, own_distance
from eigenfall.statistics import t_interval
from eigenfall.types import Answer, Estimate

Point = tuple[float, float]


def swept(found: Found, family: str) -> list[str]:
    """Arms of a sweep, in the order of their strength; the net without a penalty comes first."""
    named = [name for name in found.records if name.startswith(f"{family} ") and _strength(name) is not None]
    return ["BP", *sorted(named, key=lambda name: _strength(name) or 0.0)]


def _strength(name: str) -> float | None:
    try:
        return float(name.rpartition(" ")[2])
    except ValueError:
        return None


def path(found: Found, family: str, seed: int, perturbation: Perturbation = "pgd") -> list[Point]:
    """(accuracy, ln distance) along a sweep."""
    distance = own_distance(perturbation)
    held = [found.records[name][seed] for name in swept(found, family) if seed in found.records.get(name, {})]
    return [(accuracy(record), math.log(distance(record))) for record in held]


def crossing(points: Sequence[Point], at: float) -> float:
    """Highest ordinate where a path of straight pieces crosses an abscissa; NaN if it never does.

    Example:
        >>> crossing([(0.4, 0.0), (0.6, 1.0), (0.4, 3.0)], at=0.5)
        2.0
    """
    found = [
        low + (high - low) * (at - left) / (right - left) if right != left else max(low, high)
        for (left, low), (right, high) in pairwise(points)
        if min(left, right) <= at <= max(left, right)
    ]
    return max(found, default=math.nan)


def front(points: Sequence[Point], at: float) -> float:
    """Largest ordinate on a path at an abscissa or beyond it; NaN if the path does not get that far.

    Example:
        >>> front([(0.6, 1.0), (0.5, 2.0), (0.4, 0.0)], at=0.45)
        2.0
    """
    beyond = [value for accuracy, value in points if accuracy >= at]
    return max(beyond + [value for value in [crossing(points, at)] if math.isfinite(value)], default=math.nan)


def reaches(points: Sequence[Point], at: float) -> bool:
    """Whether a path goes down to an accuracy."""
    return min((accuracy for accuracy, _ in points), default=math.inf) <= at


def lead(found: Found, name: str, family: str = "L2", perturbation: Perturbation = "pgd") -> Answer:
    """Whether an arm is more robust than a sweep at its accuracy: HOLDS, its lead's interval lies above 1."""
    if unconverged := found.unconverged(name):
        return verdicts.untested(f"UNCONVERGED: {unconverged}")
    if failed := found.failed(name):
        return verdicts.untested(failed)
    if not found.has(name, "BP") or len(swept(found, family)) < 2:
        return verdicts.untested(f"no run of {name}, or no sweep of {family}")
    if _data(found, name) != _data(found, "BP"):
        return verdicts.untested("other images than the sweep's")
    distance, ahead, below = own_distance(perturbation), [], True
    for seed in found.seeds(name, "BP"):
        record, points = found.records[name][seed], path(found, family, seed, perturbation)
        ahead.append(math.log(distance(record)) - front(points, accuracy(record)))
        below = below and reaches(points, accuracy(record))
    answer = _answer(ahead, f"{name} / {family} at its accuracy or above")
    if below or answer.verdict not in ("HOLDS", "OPEN"):
        return answer
    words = f"{answer.told}; the sweep stops above its accuracy"
    return Answer("NOT TESTED", answer.number, words, answer.seeds)


def _data(found: Found, name: str) -> set[str]:
    return {str(record.run["data"]) for record in found.records[name].values()}


def at_equal_accuracy(found: Found, family: str, other: str, tolerance: float) -> Answer:
    """Whether two sweeps have one front: mean over the first one's points of its lead over the second, seed by seed."""
    names = [name for name in swept(found, family) if name != "BP"]
    if not names or not found.has(*names, "BP"):
        return verdicts.untested(f"no sweep of {family}")
    means = []
    for seed in found.seeds(*names, "BP"):
        beside = path(found, other, seed)
        ahead = [point - front(beside, at) for at, point in path(found, family, seed)[1:] if reaches(beside, at)]
        inside = [one for one in ahead if math.isfinite(one)]
        means.append(math.fsum(inside) / len(inside) if inside else math.nan)
    return _answer(means, f"{family} / {other}, mean over points of the sweep", tolerance)


def _answer(logs: Sequence[float], what: str, tolerance: float | None = None) -> Answer:
    """A ratio over seeds: above 1, or with a tolerance near it."""
    inside = [one for one in logs if math.isfinite(one)]
    if not inside:
        return verdicts.untested(f"{what}: no accuracy is shared")
    ratio = Estimate(*(math.exp(end) for end in t_interval(inside)), over="seeds")
    told = f"{what}: {verdicts.with_interval(ratio)}"
    if len(inside) < max(verdicts.FEWEST, len(logs)):
        return Answer("NOT TESTED", ratio, f"{told}; {len(inside)} of {len(logs)} seeds share an accuracy", len(inside))
    if tolerance is None:
        verdict = "HOLDS" if ratio.low > 1 else "FAILS" if ratio.high < 1 else "OPEN"
    else:
        verdict = verdicts.nearness([ratio], tolerance)
    return Answer(verdict, ratio, told, len(inside))
