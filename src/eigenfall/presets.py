"""Named bundles: attacks, which of them make the headline, what is shown, and the checks that judge it.

`quick` is the default: PGD on three losses, FGSM and noise, and the checks that cost little beside them. `strong` adds
AutoPGD, away from the class and towards nine others, and every check. `nassar2020` is the attack of that study's
replication at small scale (published PGD and a margin PGD, the worst per input): a named one, without checks, so that
its numbers stand beside the tables.

Source: `docs/robustness.md` §3, `docs/papers/nassar2020.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eigenfall.attacks import fgsm, pgd
from eigenfall.attacks.apgd import APGD
from eigenfall.attacks.autoattack import AutoAttack
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.attacks.square import Square
from eigenfall.checks.batch_independence import BatchIndependence
from eigenfall.checks.blackbox import BlackBox
from eigenfall.checks.converged import Converged
from eigenfall.checks.determinism import Determinism
from eigenfall.checks.margin_gradient import MarginGradient
from eigenfall.checks.monotone import Monotone
from eigenfall.checks.order import Order
from eigenfall.checks.probabilities import Probabilities
from eigenfall.checks.scale import Scale
from eigenfall.checks.secant import Secant
from eigenfall.checks.surrogate import Surrogate
from eigenfall.checks.threat_model import ThreatModel
from eigenfall.checks.transfer import Transfer
from eigenfall.checks.unbounded import Unbounded
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
        blackbox: the attack of check e; none: e is not run.
        again: which of the headline's attacks the checks run again, scaled, unbounded or in float64; empty: all.
    """

    attacks: Mapping[str, Any]
    headline: tuple[str, ...]
    checks: tuple[Any, ...] = ()
    search: Any = field(default_factory=lambda: PGD(steps=20))
    blackbox: Any = None
    again: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the curves, the headline first."""
        return "headline", *self.attacks


HEADLINE = {loss: PGD(loss=loss, restarts=2) for loss in ("margin", "dlr", "ce_std")}
AUTO = {"apgd": APGD(restarts=5), "apgd_targeted": APGD(loss="dlr", targets=9)}
"""What `strong` adds to it: steps that find their own length, away from the class and towards each other one.

Five starts, since what a single one leaves of a net with max-pooling is a matter of luck (docs/robustness.md §3).
"""
BESIDE = {"ce": PGD(loss="ce", restarts=2, zero_step="stay"), "fgsm": FGSM(), "noise": Noise()}
"""What is shown beside the headline, and never part of it."""

QUICK = (
    Determinism(),
    BatchIndependence(),
    Probabilities(),
    MarginGradient(),
    Secant(),
    Surrogate(),
    Unbounded(),
    Monotone(),
    Order(),
    ZeroGradients(),
    WorstCase(),
    ThreatModel(),
    Scale(),
)
"""The checks whose attacks `quick` makes anyway, or nearly."""

EVERY = (*QUICK, Converged(), BlackBox(), Transfer())

PRESETS = {
    "quick": Preset(attacks={**HEADLINE, **BESIDE}, headline=tuple(HEADLINE), checks=QUICK),
    "strong": Preset(
        attacks={**HEADLINE, **AUTO, **BESIDE},
        headline=(*HEADLINE, *AUTO),
        checks=EVERY,
        blackbox=Square(queries=1000),
    ),
    "standard": Preset(
        attacks={**HEADLINE, **AUTO, "autoattack": AutoAttack(), **BESIDE},
        headline=(*HEADLINE, *AUTO, "autoattack"),
        checks=EVERY,
        blackbox=Square(queries=5000),
        again=(*HEADLINE, *AUTO),
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
