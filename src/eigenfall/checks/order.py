"""One step (FGSM) and noise in the same ball break nothing that many steps leave standing.

They run on the survivors of the headline, at the epsilon that halves the clean successes and at twice that.

Source: `docs/robustness.md` §5, d; the symptom is that of Athalye, Carlini & Wagner 2018, arXiv:1802.00420.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import counted
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Order:
    """Weaker attacks break nothing more.

    Attributes:
        share: FAIL if Wilson's 95 % lower limit of the share of such inputs exceeds this.
        warn: WARN from this many on.
        least: fewer inputs than this are not judged.
    """

    cite: ClassVar[str] = "athalye2018"
    letter: ClassVar[str] = "d"
    title: ClassVar[str] = "weaker attacks break nothing more"
    share: float = 0.005
    warn: int = 2
    least: int = 200

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge by rule R how many did."""
        return counted(self, evidence, "order", "survive the headline but fall to one step or noise")
