"""The threat model is on record, and the headline's attacks can cross the ball.

Source: `docs/robustness.md` §1, §3 and §5, i.
"""

from dataclasses import dataclass
from typing import ClassVar

from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class ThreatModel:
    """The threat model is on record.

    Attributes:
        recorded: what the record must hold.
        reach: how many radii the steps of each of the headline's attacks must be able to cover.
    """

    cite: ClassVar[str] = "carlini2019"
    letter: ClassVar[str] = "i"
    title: ClassVar[str] = "threat model on record"
    recorded: tuple[str, ...] = (
        "norm",
        "unit",
        "bounds",
        "epsilons",
        "knowledge",
        "attacks",
        "seed",
        "dtype",
        "inputs",
        "batch_size",
        "block",
        "model",
        "versions",
    )
    reach: float = 2.0

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge the settings; a FAIL names what is missing, or the attack that cannot cross the ball."""
        limit = f"{len(self.recorded)} entries, reach ≥ {self.reach:g}"
        missing = [name for name in self.recorded if evidence.settings.get(name) in (None, "", (), {})]
        held = float(len(self.recorded) - len(missing))
        if missing:
            finding = f"Not on record: {', '.join(missing)}."
            return Verdict(self.letter, self.title, "FAIL", held, limit, finding)
        curve = evidence.curves.get("headline")
        short = {} if curve is None else {name: reach for name, reach in curve.reach.items() if reach < self.reach}
        if short:
            told = ", ".join(f"{name} {reach:.2g}" for name, reach in short.items())
            finding = f"Steps cover too few radii: {told}. Give more steps or longer ones."
            return Verdict(self.letter, self.title, "FAIL", held, limit, finding)
        settings = evidence.settings
        finding = f"{settings['norm']}, {settings['unit']} units, {settings['knowledge']}, {settings['inputs']} inputs."
        return Verdict(self.letter, self.title, "PASS", held, limit, finding)
