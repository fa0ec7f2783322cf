"""What the runs of `why` came to, in sentences: which settings moved robustness, what moved with it, what stays open.

Every number is made here from records. A sentence says "more" or "less" only where an interval over seeds lies off 1,
or one over arms off 0; else it says that the question is open at so many seeds. Intervals are of 95 % each: of twenty,
one lies off by chance.
"""

import math
from collections.abc import Sequence

from eigenfall.papers.nassar2020.causes import (
    MEDIATORS,
    Association,
    Trait,
    association,
    effect,
    ratio,
    there,
    verdict,
)
from eigenfall.papers.nassar2020.found import Found
from eigenfall.papers.nassar2020.traits import Seen, seen
from eigenfall.papers.nassar2020.why import Contrast, contrasts
from eigenfall.papers.verdicts import with_interval
from eigenfall.types import Estimate

OLD = "an old basis instead of a fresh one"
WORDS = {"more": "more robust", "less": "less robust", "open": "open"}
QUESTIONS = {
    "the penalty, epoch basis": "The penalty with the epoch basis, over plain training",
    "the penalty, step basis": "The penalty with a fresh basis, over plain training",
    OLD: "The epoch basis over the fresh one",
    "age": "More updates between two bases",
    "sample": "A basis of fewer rows, drawn anew, over one of all",
    "strength": "Another strength",
}
BENEATH: tuple[tuple[str, Trait], ...] = (
    ("margin", MEDIATORS["margin"]),
    ("slope", MEDIATORS["slope"]),
    ("bend", lambda traits: math.log(traits.bend)),
)
AT_THE_SLOPE = ("slope", "margin", "α")
"""Whether α tells more than margin and slope do."""
FILLED = ("linear", "α", "aligned")
"""How the tail is filled, beside how steep it is."""


def reading(found: Found, known: Seen | None = None) -> list[str]:
    """Sentences for the page, in order; none of a factor that was not run.

    Args:
        found: records of a scale, those of `why` and of `runs` together.
        known: their traits, if they were made before.
    """
    known = seen(found) if known is None else known
    every = contrasts(found.scale)
    told = [factor_told(known, there(known, every, factor), question) for factor, question in QUESTIONS.items()]
    old = there(known, every, OLD)
    if old:
        told += [beneath(known, old), tail_told(known, old)]
    told += [
        associated(association(known, {name: MEDIATORS[name] for name in names})) for names in (AT_THE_SLOPE, FILLED)
    ]
    return [sentence for sentence in told if sentence]


def factor_told(known: Seen, some: Sequence[Contrast], question: str) -> str:
    """Ratios of robust accuracy of one factor, each and, where they ask the same thing, their mean; empty for none."""
    if not some:
        return ""
    each = [(contrast.told, ratio(effect(known, [contrast]))) for contrast in some]
    listed = "; ".join(f"{told} × {with_interval(one)} ({WORDS[verdict(one)]})" for told, one in each)
    seeds = [len(known[arm]) for contrast in some for arm in (contrast.above, contrast.below)]
    count = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    return f"{question}, robust accuracy at ε = 0.05, seeds per arm {count}: {listed}."


def over_all(known: Seen, some: Sequence[Contrast], trait: Trait) -> Estimate:
    """Ratio of a trait, the geometric mean over contrasts."""
    return ratio(effect(known, some, trait))


def beneath(known: Seen, some: Sequence[Contrast]) -> str:
    """Which of margin, slope and bend moved between an old basis and a fresh one, over all settings."""
    robust = over_all(known, some, lambda traits: math.log(traits.share))
    parts = "; ".join(f"{name} × {with_interval(over_all(known, some, trait))}" for name, trait in BENEATH)
    where = ", ".join(contrast.told for contrast in some)
    return (
        f"Over these settings together ({where}) the epoch basis has × {with_interval(robust)} the robust accuracy of "
        f"the fresh one; beneath it, {parts}."
    )


def tail_told(known: Seen, some: Sequence[Contrast]) -> str:
    """How the hidden code differs between an old basis and a fresh one: differences of shares and of α."""
    shares = {"linear": "share of the tail that is linear in the pixels", "saturated": "share of saturated units"}
    told = [
        f"{what} {_signed(effect(known, _finite(known, some, name), MEDIATORS[name]))}" for name, what in shares.items()
    ]
    told.append(f"α {_signed(effect(known, some, MEDIATORS['α']))}")
    aligned = over_all(known, some, MEDIATORS["aligned"])
    return (
        f"With the epoch basis instead: {', '.join(told)}; variance of the pixels along the hidden weights "
        f"× {with_interval(aligned)}."
    )


def _finite(known: Seen, some: Sequence[Contrast], name: str) -> list[Contrast]:
    """Contrasts in both arms of which the trait is known: no ReLU unit is saturated."""

    def has(arm: str) -> bool:
        return all(math.isfinite(MEDIATORS[name](one)) for one in known[arm].values())

    return [contrast for contrast in some if has(contrast.above) and has(contrast.below)]


def associated(found: Association | None) -> str:
    """Correlations over arms, alone and with the others held fixed; empty if there are too few arms."""
    if found is None:
        return ""
    told = "; ".join(
        f"{name} alone {with_interval(found.alone[name])}, beside the others {with_interval(found.beside[name])}"
        f"{'' if _apart(found.beside[name]) else ' (open)'}"
        for name in found.alone
    )
    return (
        f"Over {found.arms} arms, correlation with the log-odds of robust accuracy: {told}. Together they explain "
        f"{100 * found.explained:.0f} % of its variance."
    )


def _apart(estimate: Estimate) -> bool:
    """Whether the interval lies off 0."""
    return estimate.low > 0 or estimate.high < 0


def _signed(estimate: Estimate) -> str:
    """A difference with its sign and interval."""
    if math.isnan(estimate.low):
        return f"{estimate.value:+.2f}"
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
