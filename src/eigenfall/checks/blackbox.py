"""An attack that sees no gradient breaks nothing that gradients leave standing; else the gradients mislead.

The bundle's black-box attack runs on the survivors of the headline, at the epsilon that halves the clean successes and
at twice that.

Source: `docs/robustness.md` §5, e; the symptom is that of Athalye, Carlini & Wagner 2018, arXiv:1802.00420.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from eigenfall.checks import counted
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class BlackBox:
    """Black-box attack breaks nothing more.

    Attributes:
        share: FAIL if Wilson's 95 % lower limit of the share of such inputs exceeds this.
        warn: WARN from this many on.
        least: fewer inputs than this are not judged.
        queries: with a smaller budget of queries per input there is no PASS.
    """

    cite: ClassVar[str] = "athalye2018"
    letter: ClassVar[str] = "e"
    title: ClassVar[str] = "black-box attack breaks nothing more"
    share: float = 0.005
    warn: int = 2
    least: int = 200
    queries: int = 1000

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge by rule R how many did."""
        found = counted(self, evidence, "blackbox", "survive the headline but fall to a black-box attack")
        asked = int(evidence.measured.get("blackbox_queries", 0))
        if found.verdict != "PASS" or asked >= self.queries:
            return found
        finding = f"Not judged: {asked} queries an input are fewer than {self.queries}."
        return replace(found, verdict="NOT RUN", finding=finding)
