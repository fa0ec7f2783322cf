"""Named bundles: attacks, which of them make the headline, what is shown, and the checks that judge it.

`quick` is the default: PGD on three losses, FGSM and noise, and the checks that cost little beside them. `strong` adds
AutoPGD, away from the class and towards nine others, and every check. `nassar2020` is the attack of that study's
replication at small scale (published PGD and a margin PGD, the worst per input): a named one, without checks, so that
its numbers stand beside the tables. `nassar2020_both` is `quick` with that attack, and the study's own two, beside
it. `holzhausen2024` is `quick` with readings beside it: that study's three, slips included, and two of the smallest
perturbations. `atlas` is `quick` with one reading beside it, the smallest Linf perturbation of each image.

Source: `docs/robustness.md` §3, `docs/papers/nassar2020.md`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eigenfall.attacks import fgsm, noise, pgd
from eigenfall.attacks.apgd import APGD
from eigenfall.attacks.autoattack import AutoAttack
from eigenfall.attacks.bisection import Bisection
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.fmn import FMN
from eigenfall.attacks.noise import Noise
from eigenfall.attacks.pgd import PGD
from eigenfall.attacks.square import Square
from eigenfall.check import need
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
from eigenfall.robustness import Reading, log_grid


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
        readings: further curves by name, with norms, budgets and bounds of their own; neither headline nor checks see
            them.
    """

    attacks: Mapping[str, Any]
    headline: tuple[str, ...]
    checks: tuple[Any, ...] = ()
    search: Any = field(default_factory=lambda: PGD(steps=20))
    blackbox: Any = None
    again: tuple[str, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shared = sorted({*self.attacks, "headline"} & self.readings.keys())
        need(
            not shared,
            expected="readings with names of their own",
            got=f"{', '.join(shared)} for a curve as well",
            remedy="Name them after who reads, such as published_pgd.",
        )

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

SEARCHES = {"bisection": Bisection(), "fmn": FMN(), "fmn_from_input": FMN(start="input")}
"""What looks for the smallest perturbation; fmn starts from what DeepFool finds."""
REPEATED = log_grid(0.01, 2.0, 14)
"""Deviations at which noise is drawn again and again, in L3 units."""
NOISE_END = 10 ** math.log(2.5)
"""Where the published grid of noise ends, 8.25: a natural logarithm where 10 ** log10(2.5) was meant."""


def read_as_holzhausen2024(signs: tuple[float, ...], deviations: tuple[float, ...], published: bool = True) -> Preset:
    """`quick` with the readings of Holzhausen et al. 2024 beside it, and what corrects them.

    published_random, published_fgsm, published_pgd: as released. Noise is not clipped, one draw at each epsilon, so
    that its first flip falls as the grid grows denser: only the published grid gives the published distance.
    repeated_random: the same noise, drawn 20 times: at which deviation half of the draws flip does not depend on how
    dense the grid is.
    minimal_linf, minimal_l2: the smallest perturbation that any of three searches finds for each image, since on units
    of a high power none is always near it (docs/robustness.md §3).

    Args:
        signs: budgets of FGSM and PGD, and of minimal_linf.
        deviations: standard deviations of the noise.
        published: off, only what corrects them.
    """
    as_released = {
        "published_random": Reading({"noise": noise.PRESETS["holzhausen2024"]}, deviations, "gaussian", clipped=False),
        "published_fgsm": Reading({"fgsm": fgsm.PRESETS["holzhausen2024"]}, signs),
        "published_pgd": Reading({"pgd": pgd.PRESETS["holzhausen2024"]}, signs),
    }
    readings = (as_released if published else {}) | {
        "repeated_random": Reading({"noise": Noise(draws=20)}, REPEATED, "gaussian", clipped=False),
        "minimal_linf": Reading(SEARCHES, signs),
        "minimal_l2": Reading(SEARCHES, log_grid(1e-4, 4.0, 100), "L2"),
    }
    return replace(PRESETS["quick"], readings=readings)


def read_as_nassar2020(signs: tuple[float, ...], named: tuple[float, ...]) -> Preset:
    """`quick` with the readings of Nassar et al. 2020 beside it.

    published_fgsm, published_pgd: as released, on raw cross-entropy from the clean image; 40 steps of .01 whatever the
    budget, so that PGD cannot leave a ball of .4. named: the worst per image of that PGD and of one on the margin, the
    attack of the reference measurements at small scale (docs/papers/nassar2020.md).

    Args:
        signs: budgets of the published ones.
        named: budgets of the named one.
    """
    published = pgd.PRESETS["nassar2020"]
    readings = {
        "published_fgsm": Reading({"fgsm": fgsm.PRESETS["nassar2020"]}, signs),
        "published_pgd": Reading({"pgd": published}, signs),
        "named": Reading({"published": published, "margin": pgd.PRESETS["nassar2020_margin"]}, named),
    }
    return replace(PRESETS["quick"], readings=readings)


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

_GRIDS = {
    "holzhausen2024": (log_grid(1e-6, 10**-1.5, 400), log_grid(1e-6, NOISE_END, 400)),
    "holzhausen2024_small": (log_grid(1e-4, 10**-1.5, 223), log_grid(1e-3, NOISE_END, 227)),
    "holzhausen2024_quick": (log_grid(1e-3, 0.2, 53), log_grid(1e-3, NOISE_END, 88)),
}
"""Budgets of sign attacks and deviations of noise. `_small` is as dense as published, and begins where images begin to
flip; `_quick` is coarser, for MNIST."""
for _name, (_signs, _deviations) in _GRIDS.items():
    PRESETS[_name] = read_as_holzhausen2024(_signs, _deviations)
    PRESETS[f"{_name}_corrected"] = read_as_holzhausen2024(_signs, _deviations, published=False)
PRESETS["atlas"] = replace(
    PRESETS["quick"],
    readings={
        "minimal_linf": Reading(
            {"bisection": Bisection(PGD(steps=20)), "fmn": FMN()}, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
        )
    },
)
PRESETS["nassar2020_both"] = read_as_nassar2020(
    (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4), (0.02, 0.05, 0.1)
)
