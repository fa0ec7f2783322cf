"""The headline's attacks are done: 2.5 times the steps from five starts break nothing that is out of their reach.

They run on the survivors of the headline, at the epsilon that halves the clean successes and at twice that, with equal
steps and with steps that decay. What falls counts if the headline leaves it standing at 1.05 epsilon too, and at 1.2
epsilon for decaying steps: more effort shortens every distance by some percent, in honest nets as well, while what
hides its gradients leaves images standing far beyond.

Source: `docs/robustness.md` §5, c; Carlini et al. 2019, arXiv:1902.06705.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import counted
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Converged:
    """More steps and starts break no more.

    Attributes:
        share: FAIL if Wilson's 95 % lower limit of the share of such inputs exceeds this.
        warn: WARN from this many on.
        least: fewer inputs than this are not judged.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "c"
    title: ClassVar[str] = "more steps and starts break no more"
    share: float = 0.005
    warn: int = 2
    least: int = 200

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge by rule R how many did."""
        room = evidence.measured.get("converged_room", 1.0)
        where = f" even at {room:g} ε" if room > 1 else ""
        return counted(self, evidence, "converged", f"survive the headline{where} but fall to more steps and starts")
