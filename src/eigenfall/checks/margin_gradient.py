"""The margin has a gradient at the inputs: where there is none, no gradient attack says anything.

Source: `docs/robustness.md` §5, p4.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class MarginGradient:
    """Margin has a gradient.

    Attributes:
        share: FAIL if no more than this share of the inputs has a gradient that is not exactly zero.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "p4"
    title: ClassVar[str] = "margin has a gradient"
    share: float = 0.0

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge what was measured before any attack."""
        value = evidence.measured.get("gradients")
        limit = f"share of inputs with a gradient > {self.share:g}"
        if value is None:
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding="Nothing was measured.")
        if evidence.measured.get("trivial"):
            finding = "The model gives every input the same class: nothing to judge."
            return Verdict(self.letter, self.title, "NOT RUN", value, limit, finding)
        if value > self.share:
            finding = f"{value:.1%} of the inputs have a gradient."
            return Verdict(self.letter, self.title, "PASS", value, limit, finding)
        finding = (
            "The gradient is absent or exactly zero at every input: gradient attacks say nothing about this model."
        )
        return Verdict(self.letter, self.title, "FAIL", value, limit, finding)
