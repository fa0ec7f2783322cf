"""An input has the same logits alone as in a batch; otherwise its neighbours leak into predictions and gradients.

Source: `docs/robustness.md` §5, p2.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class BatchIndependence:
    """Answer does not depend on the batch.

    Attributes:
        largest: FAIL above this difference, as a share of the largest logit.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "p2"
    title: ClassVar[str] = "answer does not depend on the batch"
    largest: float = 1e-4

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge what was measured before any attack."""
        value = evidence.measured.get("batch_difference")
        limit = f"difference ≤ {self.largest:g} of the largest logit"
        if value is None:
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding="Nothing was measured.")
        drawn = evidence.measured.get("pass_difference", 0.0)
        if drawn > self.largest and not math.isinf(value):
            finding = "Not run: two passes over the same batch differ as well (p1)."
            return Verdict(self.letter, self.title, "NOT RUN", value, limit, finding)
        if value <= self.largest:
            return Verdict(self.letter, self.title, "PASS", value, limit, "Inputs alone and in a batch agree.")
        finding = f"An input alone and in a batch differ by {value:.2g} of the largest logit: freeze batch statistics."
        return Verdict(self.letter, self.title, "FAIL", value, limit, finding)
