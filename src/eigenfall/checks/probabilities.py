"""Outputs are logits: a softmax inside the model flattens every loss that an attack climbs.

Source: `docs/robustness.md` §5, p3.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Probabilities:
    """Outputs are logits, not probabilities.

    Attributes:
        share: FAIL if at least this share of the inputs has outputs that are all ≥ 0 and sum to 1 ± 0.001.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "p3"
    title: ClassVar[str] = "outputs are logits, not probabilities"
    share: float = 1.0

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge what was measured before any attack."""
        value = evidence.measured.get("probabilities")
        limit = f"share of inputs with probabilities < {self.share:g}"
        if value is None:
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding="Nothing was measured.")
        if value < self.share:
            return Verdict(self.letter, self.title, "PASS", value, limit, "Outputs are not probabilities.")
        finding = "Outputs are ≥ 0 and sum to one: give the model without its softmax."
        return Verdict(self.letter, self.title, "FAIL", value, limit, finding)
