"""Two passes over the same inputs give the same logits; a model that draws at random hides its gradient in the noise.

Source: `docs/robustness.md` §5, p1.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Determinism:
    """Same answer twice.

    Attributes:
        largest: FAIL above this difference between two passes, as a share of the largest logit.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "p1"
    title: ClassVar[str] = "same answer twice"
    largest: float = 1e-5

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge what was measured before any attack."""
        value = evidence.measured.get("pass_difference")
        limit = f"difference ≤ {self.largest:g} of the largest logit"
        if value is None:
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding="Nothing was measured.")
        if value <= self.largest:
            return Verdict(self.letter, self.title, "PASS", value, limit, "Two passes give the same logits.")
        finding = f"Two passes differ by {value:.2g} of the largest logit: the model is randomised. {told(evidence)}"
        return Verdict(self.letter, self.title, "FAIL", value, limit, finding)


def told(evidence: Evidence) -> str:
    """Accuracy over draws of a randomised model, in words."""
    name = "randomised_accuracy "
    shares = {float(key.removeprefix(name)): value for key, value in evidence.measured.items() if key.startswith(name)}
    if not shares:
        return "No attack of the bundle could average its gradients over draws."
    parts = [
        f"{100 * share:.1f} ± {100 * evidence.measured[f'randomised_spread {epsilon:g}']:.1f} % "
        + (f"at ε = {epsilon:g}" if epsilon else "clean")
        for epsilon, share in shares.items()
    ]
    draws = f"{evidence.measured['randomised_draws']:.0f}"
    return (
        f"With gradients averaged over {draws} draws its accuracy, mean ± s.d. over {draws} further draws, is "
        f"{', '.join(parts)}."
    )
