"""Named bundles: attacks, which of them make the headline, what is shown, and the checks that judge it.

`quick` is the default. `nassar2020` is the attack of that study's replication at small scale (published PGD and a
margin PGD, the worst per input): a named one, without checks, so that its numbers stand beside the tables.

Source: `docs/robustness.md` §3, `docs/papers/nassar2020.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eigenfall.attacks import fgsm, pgd
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.checks.batch_independence import BatchIndependence
from eigenfall.checks.determinism import Determinism
from eigenfall.checks.margin_gradient import MarginGradient
from eigenfall.checks.probabilities import Probabilities
from eigenfall.checks.scale import Scale
from eigenfall.checks.threat_model import ThreatModel
from eigenfall.checks.worst_case import WorstCase
from eigenfall.checks.zero_gradients import ZeroGradients


@dataclass(frozen=True)
class Preset:
    """A bundle of parts.

    Attributes:
        attacks: by the name under which each is shown.
        headline: which of them make the headline: the worst case per input over these.
        checks: what judges it.
        search: the attack that looks for the epsilon halving the clean successes.
    """

    attacks: Mapping[str, Any]
    headline: tuple[str, ...]
    checks: tuple[Any, ...] = ()
    search: Any = field(default_factory=lambda: PGD(steps=20))

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the curves, the headline first."""
        return "headline", *self.attacks


PRESETS = {
    "quick": Preset(
        attacks={
            "margin": PGD(loss="margin", restarts=2),
            "dlr": PGD(loss="dlr", restarts=2),
            "ce_std": PGD(loss="ce_std", restarts=2),
            "ce": PGD(loss="ce", restarts=2, zero_step="stay"),
            "fgsm": FGSM(),
            "noise": Noise(),
        },
        headline=("margin", "dlr", "ce_std"),
        checks=(
            Determinism(),
            BatchIndependence(),
            Probabilities(),
            MarginGradient(),
            ZeroGradients(),
            WorstCase(),
            ThreatModel(),
            Scale(),
        ),
    ),
    "nassar2020": Preset(
        attacks={
            "published": pgd.PRESETS["nassar2020"],
            "margin": pgd.PRESETS["nassar2020_margin"],
            "fgsm": fgsm.PRESETS["nassar2020"],
            "noise": Noise(),
        },
        headline=("published", "margin"),
    ),
}
