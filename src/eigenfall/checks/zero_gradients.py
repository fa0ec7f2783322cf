"""Gradients of the attacks' losses do not vanish, and float64 breaks nothing that float32 could not.

(i) the share of correctly classified clean inputs whose gradient is exactly zero, for each loss; (ii) by rule R, the
survivors of the headline that fall to the same attacks in float64.

Source: `docs/robustness.md` §5, g; the symptom is that of Athalye, Carlini & Wagner 2018, arXiv:1802.00420.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.checks import rule_r
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class ZeroGradients:
    """Gradients do not vanish.

    Attributes:
        share: more than this share of zero gradients is a FAIL for a loss of the headline, a WARN for raw
            cross-entropy ("CE masked").
        gained: FAIL if Wilson's lower limit of the share that only float64 breaks exceeds this.
    """

    cite: ClassVar[str] = "athalye2018"
    letter: ClassVar[str] = "g"
    title: ClassVar[str] = "gradients do not vanish"
    share: float = 0.01
    gained: float = 0.005

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge zero gradients, then float64; the worse of the two stands, with its number."""
        measured, limit = evidence.measured, f"zero gradients ≤ {self.share:g} of inputs; float64: rule R"
        found = {key.removeprefix("zero_gradients "): value for key, value in measured.items() if "zero_grad" in key}
        if not found:
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding="Nothing was measured.")
        if measured.get("trivial"):
            finding = "The model gives every input the same class: nothing to judge."
            return Verdict(self.letter, self.title, "NOT RUN", threshold=limit, finding=finding)
        raw = found.pop("ce", 0.0)
        worst = max(found, key=lambda loss: found[loss])
        if found[worst] > self.share:
            finding = f"{found[worst]:.1%} of correctly classified inputs have gradient zero under {worst}."
            return Verdict(self.letter, self.title, "FAIL", found[worst], limit, finding)
        count, images = int(measured.get("float64_gained", 0)), int(measured.get("images", 0))
        double = rule_r(count, images, self.gained) if "float64_gained" in measured else "NOT RUN"
        told = f"float64 breaks {count} of {images} more" if double != "NOT RUN" else self._not_run(evidence, images)
        if double == "FAIL":
            finding = f"In float64 {count} of {images} inputs fall that survive in float32: its gradients underflow."
            return Verdict(self.letter, self.title, "FAIL", count / images, limit, finding)
        if raw > self.share:
            finding = f"CE masked: {raw:.1%} of inputs have gradient zero under raw cross-entropy; {told}."
            return Verdict(self.letter, self.title, "WARN", raw, limit, finding)
        finding = f"At most {found[worst]:.1%} of gradients are zero; {told}."
        if double == "WARN":
            return Verdict(self.letter, self.title, "WARN", count / images, limit, finding)
        return Verdict(self.letter, self.title, "PASS", max(found[worst], raw), limit, finding)

    @staticmethod
    def _not_run(evidence: Evidence, images: int) -> str:
        if "float64_gained" in evidence.measured:
            return f"float64 not judged: {images} inputs are fewer than 200"
        return f"float64 not run: {evidence.settings.get('float64', 'no input is classified correctly')}"
