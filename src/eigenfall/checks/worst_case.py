"""The headline is a worst case per input over attacks, stands beside the clean accuracy, and has an interval.

Source: `docs/robustness.md` §5, h.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class WorstCase:
    """The headline is a worst case per input.

    Attributes:
        losses: what the headline's attacks must climb, between them.
        starts: how many starts each of them must have.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "h"
    title: ClassVar[str] = "worst case per input, with interval"
    losses: tuple[str, ...] = ("margin", "dlr", "ce_std")
    starts: int = 2

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge the headline's curve; a FAIL names everything that is missing."""
        limit = f"{', '.join(self.losses)}, each from {self.starts} starts"
        curve = evidence.curves.get("headline")
        if curve is None:
            return Verdict(self.letter, self.title, "FAIL", 0.0, limit, "There is no headline curve.")
        inputs = curve.broken.shape[2]
        settings = [
            {name: value for name, _, value in (piece.partition("=") for piece in text.partition(":")[2].split(","))}
            for text in curve.attacks.values()
        ]
        missing = [
            f"{loss} from {self.starts} starts"
            for loss in self.losses
            if not any(one.get("loss") == loss and int(one.get("restarts", 1)) >= self.starts for one in settings)
        ]
        if len(curve.clean_correct) != inputs:
            missing.append("clean accuracy on the same inputs")
        elif not bool(curve.broken.any(0)[:, ~curve.clean_correct].all()):
            missing.append("clean errors among the broken")
        if any(math.isnan(found.low) or math.isnan(found.high) for found in curve.accuracy()):
            missing.append("an interval")
        if missing:
            finding = f"The headline lacks: {'; '.join(missing)}."
            return Verdict(self.letter, self.title, "FAIL", float(inputs), limit, finding)
        finding = f"Worst case over {len(curve.attacks)} attacks on each of {inputs} inputs, Wilson 95 % intervals."
        return Verdict(self.letter, self.title, "PASS", float(inputs), limit, finding)
