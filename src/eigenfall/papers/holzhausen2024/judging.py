"""What every claim needs: an answer only where its arms are there, converged, and of a scale at which it is tested."""

from collections.abc import Callable, Sequence

from eigenfall.papers.holzhausen2024 import verdicts
from eigenfall.papers.holzhausen2024.found import Found, Number
from eigenfall.types import Answer, Claim, Judged

ORDERS = ("quick", "small", "paper")
NUMBERS = ("paper",)
NO_TARGET = "its target is not anchored, its basis half arbitrary and its weights never moved (§5.2)"


def told(claim: Claim, found: Found, arms: Sequence[str], answer: Callable[[], Answer]) -> Answer:
    """An answer, unless the claim is void, an arm is missing, unconverged or fails a check, or the scale is another."""
    if claim.void:
        return verdicts.void(claim)
    missing = [arm for arm in arms if not found.has(arm)]
    if missing:
        return verdicts.untested(f"no run of {', '.join(missing)}")
    unconverged = found.unconverged(*arms)
    if unconverged:
        return verdicts.untested(f"UNCONVERGED: {unconverged}")
    if failed := found.failed(*arms):
        return verdicts.untested(f"{failed}: what attacks find is no measure of robustness")
    made = answer()
    if found.scale not in claim.scales and made.verdict != "VOID":
        return Answer("NOT TESTED", made.number, f"{made.told}; tested at {', '.join(claim.scales)}", made.seeds)
    return made


def within(claim: Claim, found: Found, arm: str, number: Number) -> Answer:
    """A number of one arm against its band."""
    return told(claim, found, [arm], lambda: verdicts.band(claim, found.values(arm, number)))


def ordered(
    claim: Claim, found: Found, arms: Sequence[str], published: Number, corrected: Number, unit: str = ""
) -> Judged:
    """An order of arms, by a number under each semantics."""

    def answer(number: Number) -> Answer:
        return told(claim, found, arms, lambda: verdicts.order({arm: found.values(arm, number) for arm in arms}, unit))

    return Judged(claim, answer(published), answer(corrected))
