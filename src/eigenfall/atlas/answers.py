"""What goes with robustness over all methods, and what that comes to in plain words, generated from the numbers.

association   rank correlation of an outcome (smallest perturbation, worst case, noise) with α, the Jacobian's norm, the
              margin and clean accuracy, each with the others held, over all runs; a method with all its seeds is left
              out at a time
necessary     of a spectrum near 1/n: fails where a method further from it is more robust than every method near it
sufficient    fails where a method near it is less robust than plain training, and is open where one is not told apart

Both compare intervals over seeds, and are asked of three seeds or more.

A run whose checks FAIL, that is wrong on half of the images, or that lacks a number is left out, and told.
"""

import math
from collections.abc import Callable, Sequence

from eigenfall.associations import Association, associated
from eigenfall.atlas.points import ALPHA, CLEAN, DISTANCE, MARGIN, NOISE, SLOPE, WORST
from eigenfall.papers.verdicts import with_interval
from eigenfall.types import Atlas, AtlasPoint, Estimate

QUESTION = (
    "Over many ways of making a representation: what goes with robustness, the exponent of its spectrum, its "
    "smoothness, or its margin?"
)
PLAIN = "plain"
OUTCOMES = (DISTANCE, WORST, NOISE)
"""What robustness is measured by, the first of them in the answer."""
EXPONENT, FROM_ONE = "α", "|α − 1|"
EXPONENTS: dict[str, Callable[[float], float]] = {EXPONENT: float, FROM_ONE: lambda alpha: abs(alpha - 1)}
"""How α enters: as it is, or as its distance from 1/n."""
BESIDE = (SLOPE, MARGIN, CLEAN)
"""What else is looked at, and held."""
FEWEST = 6
"""Methods behind a correlation."""
HALF = 50.0
"""Clean accuracy, %, below which the median smallest perturbation is 0 whatever the method."""
NEAR = 0.15
"""An exponent within so much of 1 is 1/n."""
FEWEST_SEEDS = 3
"""Runs of each method behind a verdict on 1/n."""


# --------------------------------------------------------------------------------- what is compared


def why_not(point: AtlasPoint) -> str:
    """Why a run is left out of what is compared, in words; empty if it is not."""
    if point.failed:
        return f"checks {', '.join(point.failed)} FAIL"
    if not point.value(CLEAN) > HALF:
        return "wrong on half of the images or more"
    if not math.isfinite(point.value(ALPHA)):
        return "no exponent"
    if not all(math.isfinite(point.value(name)) for name in (*OUTCOMES, *BESIDE)):
        return "a number that is not finite"
    return ""


def compared(atlas: Atlas, architecture: str) -> list[AtlasPoint]:
    """The runs of an architecture that correlations are over."""
    return [point for point in atlas.points if point.architecture == architecture and not why_not(point)]


def left_out(atlas: Atlas, architecture: str) -> list[tuple[str, str]]:
    """Which methods are left out, in how many of their runs, and why."""
    told: list[tuple[str, str]] = []
    for method in atlas.methods(architecture):
        every = atlas.of(method, architecture)
        reasons = [why for point in every if (why := why_not(point))]
        if reasons:
            told.append((method, f"{len(reasons)} of {len(every)} runs: {'; '.join(dict.fromkeys(reasons))}"))
    return told


def associations(atlas: Atlas, architecture: str, outcome: str, exponent: str = EXPONENT) -> dict[str, Association]:
    """Of an outcome with the exponent, the Jacobian's norm, the margin and clean accuracy.

    Args:
        atlas: every run.
        architecture: whose runs.
        outcome: one of `OUTCOMES`.
        exponent: one of `EXPONENTS`.

    Returns:
        By name; empty for fewer than six methods, or a number that is the same of all.
    """
    points = compared(atlas, architecture)
    numbers = {exponent: [EXPONENTS[exponent](point.value(ALPHA)) for point in points]}
    numbers |= {name: [point.value(name) for point in points] for name in BESIDE}
    outcomes = [point.value(outcome) for point in points]
    methods = [point.method for point in points]
    varied = all(len(set(values)) > 1 for values in (outcomes, *numbers.values()))
    if len(set(methods)) < FEWEST or not varied:
        return {}
    return associated(outcomes, numbers, methods)


def with_ends(estimate: Estimate) -> str:
    """A number with its interval, minus signs true."""
    return with_interval(estimate).replace("-", "−")


def told_apart(estimate: Estimate) -> bool:
    """Whether an interval lies off 0."""
    return estimate.low > 0 or estimate.high < 0


# ------------------------------------------------------------------------------------------ in words


def answer(atlas: Atlas) -> str:
    """The verdict in a few sentences."""
    told = [
        sentence
        for architecture in atlas.architectures
        for sentence in (
            most_robust(atlas, architecture),
            what_goes_with_it(atlas, architecture),
            near_one(atlas, architecture),
        )
        if sentence
    ]
    return " ".join(told) or "Nothing is compared: it takes plain training and another method."


def findings(atlas: Atlas) -> list[str]:
    """What goes with each outcome, a sentence for each of each architecture."""
    told = []
    for architecture in atlas.architectures:
        for outcome in OUTCOMES:
            found = associations(atlas, architecture, outcome)
            if found:
                from_one = associations(atlas, architecture, outcome, FROM_ONE)
                some = next(iter(found.values()))
                parts = "; ".join(f"{name} {_both(one)}" for name, one in found.items())
                beside = f"; {FROM_ONE} in the place of α {_both(from_one[FROM_ONE])}" if from_one else ""
                told.append(
                    f"{_where(atlas, architecture)}{_capital(atlas.axes[outcome].heading)}, over {some.models} runs of "
                    f"{some.groups} methods, rank correlation with the others held, and alone: {parts}{beside}."
                )
    return told


def most_robust(atlas: Atlas, architecture: str) -> str:
    """Which method stands the largest perturbations, beside plain training."""
    by = _distances(atlas, architecture)
    if PLAIN not in by or len(by) < 2:
        return ""
    first = max(by, key=lambda method: by[method].value)
    equals = [method for method in by if method != first and _overlap(by[first], by[method])]
    told = f"{_where(atlas, architecture)}{_capital(first)} stands the largest perturbations of {len(by)} methods: "
    told += f"half of the images up to {with_ends(by[first])} (L∞, pixels; {_clean(atlas, first, architecture)})"
    if first != PLAIN:
        told += f", plain training up to {with_ends(by[PLAIN])} ({_clean(atlas, PLAIN, architecture)})"
    return f"{told}{f'; not told apart from it: {_listed(equals)}' if equals else ''}."


def what_goes_with_it(atlas: Atlas, architecture: str) -> str:
    """Which numbers go with the smallest perturbation when the others are held, and whether α does."""
    found = associations(atlas, architecture, DISTANCE)
    if not found:
        return ""
    apart = [f"{name} ({with_ends(one.partial)})" for name, one in found.items() if told_apart(one.partial)]
    still = [f"{name} ({with_ends(one.partial)})" for name, one in found.items() if not told_apart(one.partial)]
    some = next(iter(found.values()))
    told = f"Over {some.models} runs of {some.groups} methods, each number with the others held, that distance "
    told += f"goes with {_listed(apart)}" if apart else "goes with none of them beyond its interval"
    told += f"; open {'is' if len(still) == 1 else 'are'} {_listed(still)}" if still else ""
    alpha = found[EXPONENT].partial
    verdict = (
        f"a {'steeper' if alpha.value > 0 else 'flatter'} spectrum goes with robustness beside smoothness, margin and "
        "accuracy"
        if told_apart(alpha)
        else "whether α tells anything that smoothness, margin and accuracy do not is open"
    )
    return f"{told}: {verdict}."


def near_one(atlas: Atlas, architecture: str) -> str:
    """Whether a spectrum near 1/n is necessary, and whether it is sufficient."""
    by = _distances(atlas, architecture)
    alphas = {method: atlas.mean(method, architecture, ALPHA).value for method in by}
    near = [method for method in by if abs(alphas[method] - 1) <= NEAR]
    away = [method for method in by if abs(alphas[method] - 1) > NEAR]
    if PLAIN not in by:
        return ""
    fewest = min(len(atlas.of(method, architecture)) for method in by)
    if fewest < FEWEST_SEEDS:
        return f"Whether 1/n is necessary or sufficient is not judged by fewer than {FEWEST_SEEDS} seeds."
    if not near:
        return f"No method's α lies within {NEAR:g} of 1."
    told = f"Within {NEAR:g} of 1 lies α of {_listed([_alpha(method, alphas) for method in near])}; "
    best = max(near, key=lambda method: by[method].value)
    ahead = [method for method in away if _parts(by[method], by[best])]
    told += (
        f"{_listed([_alpha(method, alphas) for method in ahead])} {'stands' if len(ahead) == 1 else 'stand'} larger "
        "perturbations than all of these: 1/n is not necessary"
        if ahead
        else "no method away from it stands larger perturbations than all of these: 1/n is not shown to be unnecessary"
    )
    others = [method for method in near if method != PLAIN]
    if not others:
        return f"{told}."
    more = [method for method in others if _parts(by[method], by[PLAIN])]
    less = [method for method in others if _parts(by[PLAIN], by[method])]
    verdict = "not sufficient" if less else "not shown to be insufficient" if more == others else "open as sufficient"
    counts = f"{len(more)} more, {len(less)} less, {len(others) - len(more) - len(less)} not told apart"
    return f"{told}. Of the {len(others)} beside plain training, held against it: {counts}: 1/n is {verdict}."


# ---------------------------------------------------------------------------------- parts of sentences


def _distances(atlas: Atlas, architecture: str) -> dict[str, Estimate]:
    """The outcome of each method of which a run is compared; a method with a run that FAILs a check has none."""
    kept = {point.method for point in compared(atlas, architecture)}
    failed = {point.method for point in atlas.points if point.architecture == architecture and point.failed}
    return {
        method: atlas.mean(method, architecture, DISTANCE)
        for method in atlas.methods(architecture)
        if method in kept - failed
    }


def _overlap(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals are there, and not apart."""
    return one.low <= other.high and other.low <= one.high


def _parts(above: Estimate, below: Estimate) -> bool:
    """Whether an estimate lies above another beyond both intervals; one without an interval never does."""
    return above.low > below.high


def _alpha(method: str, alphas: dict[str, float]) -> str:
    return f"{method} ({_signed(alphas[method])})"


def _clean(atlas: Atlas, method: str, architecture: str) -> str:
    return f"{atlas.mean(method, architecture, CLEAN).value:.1f} % right when clean"


def _both(one: Association) -> str:
    """A correlation with the others held, and alone."""
    return f"{with_ends(one.partial)}{'' if told_apart(one.partial) else ' (open)'}, {_signed(one.raw.value)} alone"


def _signed(value: float) -> str:
    """Two decimals, with a true minus, and none before 0."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _where(atlas: Atlas, architecture: str) -> str:
    """The architecture, if there are several."""
    return f"{_capital(architecture)}: " if len(atlas.architectures) > 1 else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
