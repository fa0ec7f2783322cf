"""What every claim needs: an answer only where its arms are there, converged, and of a scale at which it is tested."""

from collections.abc import Callable, Sequence

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.found import Found, Number
from eigenfall.types import Answer, Claim, Judged

ORDERS = ("small", "paper")
"""Scales at which orders are tested: `quick` is of other images and has fewer seeds."""
NUMBERS = ("paper",)
NO_TARGET = "its target is not anchored, its basis half arbitrary and its weights never moved (§5.2)"


def told(
    claim: Claim, found: Found, arms: Sequence[str], answer: Callable[[], Answer], attacked: bool = True
) -> Answer:
    """An answer, unless the claim is void, an arm is missing or unconverged, or the scale is another.

    Args:
        claim: what the paper says.
        found: what the runs came to.
        arms: which the claim is about.
        answer: called if all is there.
        attacked: whether the number is one of robustness, which a check that FAILs takes away.
    """
    if claim.void:
        return verdicts.void(claim)
    missing = [arm for arm in arms if not found.has(arm)]
    if missing:
        return verdicts.untested(f"no run of {', '.join(missing)}")
    unconverged = found.unconverged(*arms)
    if unconverged:
        return verdicts.untested(f"UNCONVERGED: {unconverged}")
    if attacked and (failed := found.failed(*arms)):
        return verdicts.untested(f"{failed}: what attacks find is no measure of robustness")
    made = answer()
    if found.scale not in claim.scales:
        return Answer("NOT TESTED", made.number, f"{made.told}; tested at {', '.join(claim.scales)}", made.seeds)
    return made


def within(claim: Claim, found: Found, arm: str, number: Number, attacked: bool = True) -> Answer:
    """A number of one arm against its band; of a void claim it is recorded all the same."""
    if claim.void:
        values = found.values(arm, number)
        return verdicts.void(claim, verdicts.with_interval(verdicts.interval(values)) if values else "")
    return told(claim, found, [arm], lambda: verdicts.band(claim, found.values(arm, number)), attacked)


def ordered(
    claim: Claim,
    found: Found,
    arms: Sequence[str],
    published: Number,
    corrected: Number,
    unit: str = "",
    attacked: bool = True,
) -> Judged:
    """An order of arms, by a number under each semantics."""

    def answer(number: Number) -> Answer:
        def compared() -> Answer:
            return verdicts.order({arm: found.values(arm, number) for arm in arms}, unit)

        return told(claim, found, arms, compared, attacked)

    return Judged(claim, answer(published), answer(corrected))
