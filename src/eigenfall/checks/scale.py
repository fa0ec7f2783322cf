"""Multiplying the logits by a number changes no prediction, so it must not change the headline.

Logits are multiplied by 0.01, 100 and 1000 and the headline attacks run again, at the epsilon that halves the clean
successes and at twice that. Beside it stands what raw cross-entropy misses of the headline, which is where a large
scale shows.

Source: `docs/robustness.md` §4 and §5, j.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Scale:
    """The headline does not depend on the logits' scale.

    Attributes:
        images: FAIL if the headline moves by more than this many inputs.
        gap: WARN ("CE masked") if raw cross-entropy leaves more than this share of the inputs that the headline breaks.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "j"
    title: ClassVar[str] = "headline does not depend on the logits' scale"
    images: int = 1
    gap: float = 0.05

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge how far the headline moved, then the gap of raw cross-entropy."""
        limit = f"moved ≤ {self.images}; raw cross-entropy's gap ≤ {self.gap:.0%}"
        moved = evidence.measured.get("scale_moved")
        if moved is None:
            why = evidence.settings.get("halving", "nothing was measured")
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding=f"Not run: {why}.")
        if evidence.measured.get("trivial"):
            finding = "The model gives every input the same class: nothing to judge."
            return Verdict(self.letter, self.title, "NOT RUN", moved, limit, finding)
        if moved > self.images:
            factor = evidence.measured.get("scale_factor", 1.0)
            finding = f"Logits × {factor:g} move the headline by {moved:.0f} inputs."
            return Verdict(self.letter, self.title, "FAIL", moved, limit, finding)
        gap = evidence.measured.get("raw_ce_gap", 0.0)
        if gap > self.gap:
            finding = f"CE masked: raw cross-entropy leaves {gap:.1%} of inputs standing that the headline breaks."
            return Verdict(self.letter, self.title, "WARN", gap, limit, finding)
        finding = f"The headline moves by {moved:.0f} inputs at most; raw cross-entropy's gap is {gap:.1%}."
        return Verdict(self.letter, self.title, "PASS", moved, limit, finding)
