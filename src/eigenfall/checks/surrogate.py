"""A model whose backward pass is not the derivative of its forward pass says so.

Spiking units and straight-through rounding are trained with surrogate gradients, and attacks climb these. A model
declares them by an attribute `surrogate_gradients = True` on itself or any of its modules. Whether there are any is
measured, however they were built: in float64 the margin's gradient, autograd's, is held against difference quotients
over a millionth of the inputs' range, at points off every kink. They agree for all that is differentiable almost
everywhere, and for a flat model, whose gradient is rightly zero (p4).

Source: `docs/robustness.md` §5, p6; the straight-through estimator is Bengio, Léonard & Courville 2013,
arXiv:1308.3432.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Surrogate:
    """Surrogate gradients declared.

    Attributes:
        share: FAIL if the gradient is the derivative at less than this share of inputs and nothing is declared.
    """

    cite: ClassVar[str] = "bengio2013"
    letter: ClassVar[str] = "p6"
    title: ClassVar[str] = "surrogate gradients declared"
    share: float = 0.9

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge whether gradients are derivatives, or declared not to be."""
        limit = f"derivative at ≥ {self.share:.0%} of inputs, or declared"
        declared = evidence.settings.get("surrogates", ())
        value = evidence.measured.get("derivative", math.nan)
        if declared:
            finding = f"Surrogate gradients are declared by {', '.join(declared)}: attacks climb these."
            return Verdict(self.letter, self.title, "PASS", value, limit, finding)
        if math.isnan(value):
            why = evidence.settings.get("derivative", "nothing was measured")
            return Verdict(self.letter, self.title, "NOT RUN", value, limit, f"Not run: {why}.")
        finding = f"The gradient is the derivative at {value:.1%} of the inputs"
        if value >= self.share:
            return Verdict(self.letter, self.title, "PASS", value, limit, f"{finding}.")
        finding += ": set surrogate_gradients = True on the module whose backward pass is another function's."
        return Verdict(self.letter, self.title, "FAIL", value, limit, finding)
