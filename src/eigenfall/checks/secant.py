"""The margin's gradient foretells what the margin does a short way off; a shattered or saturated model's does not.

    vₖ ∈ {−1, 1}^d at random, k = 1 … 20,   h = ε/4:
    correlation over k of  ∇m(x)·vₖ  with  (m(x + h vₖ) − m(x − h vₖ)) / 2h,   median over inputs

ε halves the clean successes; L2: h is the length of the step. An input whose slopes, or whose differences, are all
alike has correlation 0. x is the input moved inside its bounds by h, so that no pass leaves them.

Source: `docs/robustness.md` §5, p5.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import not_judged
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Secant:
    """Gradient agrees with secants.

    Attributes:
        least: WARN if the median correlation is below this.
    """

    cite: ClassVar[str] = "athalye2018"
    letter: ClassVar[str] = "p5"
    title: ClassVar[str] = "gradient agrees with secants"
    least: float = 0.6

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge the median correlation."""
        limit = f"median correlation ≥ {self.least:g}"
        if (idle := not_judged(self, evidence, "secant", limit)) is not None:
            return idle
        value = evidence.measured["secant"]
        finding = f"Slopes and differences over a quarter of ε correlate by {value:.2f} (median over inputs)"
        if value >= self.least:
            return Verdict(self.letter, self.title, "PASS", value, limit, f"{finding}.")
        return Verdict(
            self.letter, self.title, "WARN", value, limit, f"{finding}: gradients say little about the ball."
        )
