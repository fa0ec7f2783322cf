"""Parts of kind checks: a file is a part. What several share, rule R, stands here."""

import math
from typing import ClassVar, Literal, Protocol, runtime_checkable

from eigenfall.statistics import wilson
from eigenfall.types import Evidence, Verdict


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


@runtime_checkable
class Check(Protocol):
    """A part of this kind."""

    letter: ClassVar[str]
    title: ClassVar[str]


@runtime_checkable
class Counting(Check, Protocol):
    """A check that judges a count by rule R, with settings of its own."""

    @property
    def share(self) -> float:
        """FAIL if Wilson's 95 % lower limit exceeds this."""
        ...

    @property
    def warn(self) -> int:
        """WARN from this many on."""
        ...

    @property
    def least(self) -> int:
        """Fewer inputs are not judged."""
        ...


def not_judged(check: Check, evidence: Evidence, name: str, limit: str) -> Verdict | None:
    """NOT RUN, if the named number was not measured or the model is trivial; else nothing."""
    if name not in evidence.measured:
        why = evidence.settings.get(name, evidence.settings.get("halving", "nothing was measured"))
        return Verdict(check.letter, check.title, "NOT RUN", threshold=limit, finding=f"Not run: {why}.")
    if evidence.measured.get("trivial"):
        finding = "The model gives every input the same class: nothing to judge."
        return Verdict(check.letter, check.title, "NOT RUN", evidence.measured[name], limit, finding)
    return None


def counted(check: Counting, evidence: Evidence, name: str, what: str, by: str = "") -> Verdict:
    """The verdict of rule R on a count.

    Args:
        check: whose letter, title and thresholds hold.
        evidence: `measured` holds the count under `name`, of how many inputs under `name_of` (else `images`), and the
            epsilon where it was found under `name_epsilon`.
        name: of the count.
        what: what these inputs did, as in "3 of 256 inputs" + what.
        by: what stands at the end of a PASS, such as how it was found.
    """
    limit = f"Wilson's lower limit ≤ {check.share:.1%} of inputs; WARN from {check.warn}"
    if (idle := not_judged(check, evidence, name, limit)) is not None:
        return idle
    measured = evidence.measured
    count, inputs = int(measured[name]), int(measured.get(f"{name}_of", measured.get("images", 0)))
    share = count / inputs if inputs else math.nan
    verdict = rule_r(count, inputs, check.share, check.warn, check.least)
    if verdict == "NOT RUN":
        finding = f"Not judged: {inputs} inputs are fewer than {check.least}; {count} of them {what}."
        return Verdict(check.letter, check.title, "NOT RUN", share, limit, finding)
    epsilon = measured.get(f"{name}_epsilon")
    where = f" at ε = {epsilon:.3g}" if epsilon is not None and count else ""
    finding = f"{count} of {inputs} inputs {what}{where}{by}."
    return Verdict(check.letter, check.title, verdict, share, limit, finding)
