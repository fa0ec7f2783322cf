"""What a comparison says, as rows: each arm's curve and distances, and its differences from a baseline.

    points      accuracy under attack − the baseline's
    relative    accuracy under attack / clean accuracy − the same of the baseline
    ratio       median critical distance / the baseline's

Two or more seeds in common: differences per seed, Student's interval, paired t; for the ratio on its logarithm. Two or
more on each side, fewer than two in common: Welch. One in common: McNemar's mid-p on the images; for the ratio a
bootstrap over images. Image and seed uncertainty are never pooled.

Source: `docs/robustness.md` §6.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from eigenfall.check import need
from eigenfall.distances import has_distances, of_images, survivals
from eigenfall.rows import of_distances, row
from eigenfall.stages import seeded
from eigenfall.statistics import bootstrap, mcnemar, paired_t, t_interval, welch, welch_interval, wilson
from eigenfall.types import Estimate, RobustnessCurve, Row

Curves = Mapping[int, RobustnessCurve]
"""One arm's curve at each seed."""
Side = tuple[Curves, tuple[int, ...]]
"""An arm's curves, and the seeds of them that are used."""


@dataclass(frozen=True)
class Pairing:
    """How two arms are held against one another.

    Attributes:
        test: name of the test.
        own: seeds of the arm that are used.
        other: seeds of the baseline that are used.
        left_out: seeds of either that are not.
    """

    test: str
    own: tuple[int, ...]
    other: tuple[int, ...]
    left_out: tuple[int, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether the seeds come in pairs."""
        return self.test != "Welch"


def pairing(own: Sequence[int], other: Sequence[int], arm: str, baseline: str) -> Pairing:
    """Pairs where two seeds or more are shared, else all of both where each has two, else the shared one.

    Raises:
        ValueError: if no seed is shared and one of the arms has but one.
    """
    shared = tuple(sorted(set(own) & set(other)))
    left_out = tuple(sorted(set(own) ^ set(other)))
    if len(shared) >= 2:
        return Pairing("paired t", shared, shared, left_out)
    if len(own) >= 2 and len(other) >= 2:
        return Pairing("Welch", tuple(sorted(own)), tuple(sorted(other)))
    need(
        bool(shared),
        expected=f"a seed that {arm!r} and {baseline!r} share",
        got="none",
        remedy="Train both with the same seeds.",
    )
    return Pairing("McNemar mid-p", shared, shared, left_out)


# --------------------------------------------------------------------------- one arm alone


def of_arm(curves: Curves, keep: Bool[Tensor, " inputs"], **about: Any) -> Iterator[Row]:
    """Accuracy at each budget, absolute and over clean accuracy, and quartiles of the distances, on some images."""
    about |= {"n": int(keep.sum()), "seeds": len(curves)}
    own = list(curves.values())
    clean = [_share(curve.clean_correct, keep) for curve in own]
    yield row("clean_accuracy", _over_seeds(clean, int(keep.sum())), **about)
    for step, epsilon in enumerate(own[0].epsilons):
        standing = [_share(~curve.worst()[step], keep) for curve in own]
        yield row("robust_accuracy", _over_seeds(standing, int(keep.sum())), epsilon=epsilon, **about)
        if min(clean) > 0:
            relative = [some / whole for some, whole in zip(standing, clean)]
            value = Estimate(*t_interval(relative), over="seeds")
            yield row("relative_robust_accuracy", value, epsilon=epsilon, **about)
    for seed, curve in curves.items():
        if has_distances(curve):
            yield from of_distances(curve, keep, **{key: about[key] for key in about if key != "n"} | {"seed": seed})


def _share(right: Bool[Tensor, " inputs"], keep: Bool[Tensor, " inputs"]) -> float:
    return float(right[keep].double().mean())


def _over_seeds(shares: Sequence[float], images: int) -> Estimate:
    """Mean over seeds with Student's interval inside [0, 1]; of one seed Wilson's over images."""
    if len(shares) == 1:
        return Estimate(*wilson(round(shares[0] * images), images), over="images")
    mean, low, high = t_interval(shares)
    return Estimate(mean, max(low, 0.0), min(high, 1.0), over="seeds")


# ---------------------------------------------------------------------- against a baseline


def differences(
    own: Curves, other: Curves, pair: Pairing, keep: Bool[Tensor, " inputs"], **about: Any
) -> Iterator[Row]:
    """Tested differences in accuracy at each budget, arm less baseline, in shares (100 × points)."""
    about |= {"n": int(keep.sum())}
    sides = _used(own, other, pair)
    for step, epsilon in enumerate(next(iter(own.values())).epsilons):
        ours, theirs = ([~curves[seed].worst()[step, keep] for seed in seeds] for curves, seeds in sides)
        means, others = ([float(right.double().mean()) for right in some] for some in (ours, theirs))
        if pair.test == "Welch":
            value, p = Estimate(*welch_interval(means, others), over="seeds"), welch(means, others)
        elif pair.test == "paired t":
            value = Estimate(*t_interval([a - b for a, b in zip(means, others)]), over="seeds")
            p = paired_t(means, others)
        else:
            value = Estimate(means[0] - others[0])
            p = mcnemar(int((ours[0] & ~theirs[0]).sum()), int((theirs[0] & ~ours[0]).sum()))
        yield row("robust_accuracy_difference", value, p=p, test=pair.test, epsilon=epsilon, **about, **_seeds(pair))


def effects(own: Curves, other: Curves, pair: Pairing, keep: Bool[Tensor, " inputs"], **about: Any) -> Iterator[Row]:
    """Differences that are not tested: in relative accuracy at each budget, and the ratio of median distances."""
    about |= {"n": int(keep.sum()), **_seeds(pair)}
    sides = _used(own, other, pair)
    clean = [[_share(curves[seed].clean_correct, keep) for seed in seeds] for curves, seeds in sides]
    for step, epsilon in enumerate(next(iter(own.values())).epsilons) if min(map(min, clean)) > 0 else ():
        ours, theirs = (
            [_share(~curves[seed].worst()[step], keep) / whole for seed, whole in zip(seeds, wholes)]
            for (curves, seeds), wholes in zip(sides, clean)
        )
        yield row("relative_robust_accuracy_difference", _contrast(ours, theirs, pair), epsilon=epsilon, **about)
    if all(map(has_distances, (*own.values(), *other.values()))):
        yield _ratio(sides, pair, keep, about)


def _used(own: Curves, other: Curves, pair: Pairing) -> tuple[Side, Side]:
    return (own, pair.own), (other, pair.other)


def _seeds(pair: Pairing) -> dict[str, int | None]:
    """How many seeds of the arm were used, and of the baseline if that differs in kind."""
    return {"seeds": len(pair.own), "baseline_seeds": None if pair.paired else len(pair.other)}


def _contrast(ours: Sequence[float], theirs: Sequence[float], pair: Pairing) -> Estimate:
    """Difference of means over seeds with its interval, NaN ends for one seed."""
    if pair.paired:
        return Estimate(*t_interval([a - b for a, b in zip(ours, theirs)]), over="seeds")
    return Estimate(*welch_interval(ours, theirs), over="seeds")


def _ratio(sides: Sequence[Side], pair: Pairing, keep: Bool[Tensor, " inputs"], about: dict[str, Any]) -> Row:
    """Ratio of median critical distances in the threat's norm and unit.

    Medians beyond the largest budget, or 0 where half of the images are clean errors, leave a bound or nothing: then
    the value is infinite, 0 or NaN, and `beyond` says what is known.
    """
    found = [[next(iter(survivals(curves[seed], keep).values())) for seed in seeds] for curves, seeds in sides]
    ours, theirs = ([one.quantile()[0] for one in some] for some in found)
    curve = next(iter(sides[0][0].values()))
    about = {**about, "norm": curve.threat.norm, "unit": curve.threat.unit, "statistic": "ratio of medians"}
    if not all(0 < value < math.inf for value in (*ours, *theirs)):
        value, beyond = _bound(ours, theirs, curve.epsilons[-1])
        return row("critical_distance_ratio", value, beyond=beyond, **about)
    mine, base = ([math.log(value) for value in values] for values in (ours, theirs))
    if pair.test != "McNemar mid-p":
        middle = _contrast(mine, base, pair)
        value = Estimate(math.exp(middle.value), math.exp(middle.low), math.exp(middle.high), over="seeds")
        return row("critical_distance_ratio", value, **about)
    value = Estimate(ours[0] / theirs[0], *_over_images(sides, keep), over="images")
    return row("critical_distance_ratio", value, **about)


def _over_images(sides: Sequence[Side], keep: Bool[Tensor, " inputs"]) -> tuple[float, float]:
    """Bootstrap interval of the ratio of medians of two models, drawn on the same images; NaN below 10 images."""
    first, second = (of_images(curves[seeds[0]])[keep] for curves, seeds in sides)
    if len(first) < 10:
        return math.nan, math.nan
    middle = (len(first) - 1) // 2 + 1

    def ratio(drawn: Tensor) -> Tensor:
        return first[drawn].kthvalue(middle, dim=1).values / second[drawn].kthvalue(middle, dim=1).values

    return bootstrap(len(first), ratio, seeded(0))


def _bound(ours: Sequence[float], theirs: Sequence[float], largest: float) -> tuple[float, str]:
    """What is known of a ratio when a median is beyond the largest budget, or 0."""
    beyond = [any(math.isinf(value) for value in values) for values in (ours, theirs)]
    if min(*ours, *theirs) == 0:
        return math.nan, "a median is 0: half of the images are clean errors"
    if len(ours) == len(theirs) == 1 and beyond == [True, False]:
        return math.inf, f"> {largest / theirs[0]:.3g}"
    if len(ours) == len(theirs) == 1 and beyond == [False, True]:
        return 0.0, f"< {ours[0] / largest:.3g}"
    return math.nan, f"medians beyond {largest:g} on {'both sides' if all(beyond) else 'one side'}"
