"""Where every input can be turned into the same grey, no model is right on more than one class: all must fall.

    Linf,   ε = (high − low) / 2,   or half the range of the inputs if they have no bounds

The headline attacks run at that epsilon: whatever is left standing, the attack has left. An accuracy above the share
of the largest class proves it, since one answer to one grey image is right for one class only.

Source: `docs/robustness.md` §5, a; Carlini et al. 2019, arXiv:1902.06705.
Differs from the source: the ball is Linf also when the threat is L2, since half the range then reaches every image.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import not_judged
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Unbounded:
    """Unbounded attack breaks everything.

    Attributes:
        share: FAIL if more than this share of the inputs is left standing.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "a"
    title: ClassVar[str] = "unbounded attack breaks everything"
    share: float = 0.02

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge the accuracy that is left, and say whether it proves that the attack failed."""
        limit = f"accuracy at half the inputs' range ≤ {self.share:.0%}"
        if (idle := not_judged(self, evidence, "unbounded", limit)) is not None:
            return idle
        left = evidence.measured["unbounded"]
        epsilon = evidence.measured.get("unbounded_epsilon")
        where = "" if epsilon is None else f" at Linf ε = {epsilon:.3g}"
        finding = f"{left:.1%} of the inputs are left standing{where}, where every input can become the same one"
        if left <= self.share:
            return Verdict(self.letter, self.title, "PASS", left, limit, f"{finding}.")
        largest = evidence.measured.get("largest_class", math.nan)
        proof = f": more than the largest class's {largest:.1%}, so the attack failed" if left > largest else ""
        return Verdict(self.letter, self.title, "FAIL", left, limit, f"{finding}{proof}.")
