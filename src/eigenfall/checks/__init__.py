"""Parts of kind checks: a file is a part. What several share, rule R, stands here."""

from typing import Literal

from eigenfall.statistics import wilson


def rule_r(
    fallen: int, inputs: int, share: float = 0.005, warn: int = 2, least: int = 200
) -> Literal["PASS", "WARN", "FAIL", "NOT RUN"]:
    """Rule R of `docs/robustness.md` §5: inputs that survive the headline but fall to the comparison.

    Args:
        fallen: how many.
        inputs: of how many.
        share: FAIL if Wilson's 95 % lower limit of fallen / inputs exceeds this.
        warn: WARN from this many on.
        least: with fewer inputs nothing can be said.
    """
    if inputs < least:
        return "NOT RUN"
    if wilson(fallen, inputs)[1] > share:
        return "FAIL"
    return "WARN" if fallen >= warn else "PASS"
