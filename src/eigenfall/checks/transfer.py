"""Examples made on another model break nothing that the model's own gradients leave standing.

The headline's PGD climbs on an undefended twin, if one is given, else on a net distilled on the model's outputs; the
model judges what comes out. Only survivors of the headline count, at the epsilon that halves the clean successes and at
twice that.

Source: `docs/robustness.md` §5, f; Papernot et al. 2017, doi:10.1145/3052973.3053009, for the substitute.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from eigenfall.checks import counted
from eigenfall.types import Evidence, Verdict


@dataclass(frozen=True)
class Transfer:
    """Transferred attack breaks nothing more.

    Attributes:
        share: FAIL if Wilson's 95 % lower limit of the share of such inputs exceeds this.
        warn: WARN from this many on.
        least: fewer inputs than this are not judged.
        agreement: if the distilled net gives fewer of the inputs the model's class, there is no PASS.
    """

    cite: ClassVar[str] = "papernot2017"
    letter: ClassVar[str] = "f"
    title: ClassVar[str] = "transferred attack breaks nothing more"
    share: float = 0.005
    warn: int = 2
    least: int = 200
    agreement: float = 0.8

    def __call__(self, evidence: Evidence) -> Verdict:
        """Judge by rule R how many did, and say where the examples came from."""
        source = evidence.settings.get("transferred", "another model")
        found = counted(self, evidence, "transfer", f"survive the headline but fall to examples made on {source}")
        agreed = evidence.measured.get("transfer_agreement", 1.0)
        if found.verdict != "PASS" or agreed >= self.agreement:
            return found
        finding = f"Not judged: {source} gives only {agreed:.0%} of the inputs the model's class."
        return replace(found, verdict="NOT RUN", finding=finding)
