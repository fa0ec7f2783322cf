"""An attack with a larger budget may do all that it could with a smaller one: what is broken stays broken.

Counted are inputs that fall at one epsilon of the headline's curve and stand at a larger one, the worst case over
attacks but not over epsilons; and inputs that fall to a quarter of the steps and stand after all of them.

Source: `docs/robustness.md` §5, b; Carlini et al. 2019, arXiv:1902.06705.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import counted
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Monotone:
    """Accuracy falls with the budget.

    Attributes:
        share: FAIL if Wilson's 95 % lower limit of the share of such inputs exceeds this.
        warn: WARN from this many on.
        least: fewer inputs than this are not judged.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "b"
    title: ClassVar[str] = "accuracy falls with the budget"
    share: float = 0.005
    warn: int = 2
    least: int = 200

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge by rule R how many did."""
        return counted(self, evidence, "recovered", "fall to a smaller budget and recover at a larger one")
