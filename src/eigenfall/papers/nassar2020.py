"""Nassar, Sokol, Chung, Harris & Park 2020, On 1/n neural representation and robustness: arms at small scale.

The paper prints no table of robustness. The bands are those of reference measurements at small scale, means over
seeds, made with two independent implementations; a mean over seeds outside its band is a defect of this package, not
of the paper. The worst case here is the named attack of those measurements: the published PGD (40 steps of .01 on
raw cross-entropy from the clean image) together with PGD on the margin (60 steps of max(ε/10, .002), from the clean
image and one random start). It is not the headline of `eigenfall measure`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eigenfall.architectures.mlp import MLP
from eigenfall.architectures.mlp import PRESETS as NETWORKS
from eigenfall.datasets.digits import Digits
from eigenfall.datasets.mnist import PRESETS as MNIST
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.penalties.jacobian import PRESETS as JACOBIAN
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import PRESETS as SPECTRAL
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.settings import Run
from eigenfall.training import Training
from eigenfall.types import Row

STRENGTH = 5.0

DEEP = Training(optimiser="adam", amsgrad=True, learning_rate=3e-4, batch_size=300, epochs=60, last_batch="keep")
SHALLOW = replace(DEEP, learning_rate=1e-3, batch_size=600)

EPOCH_BASIS = replace(SPECTRAL["nassar2020"], strength=STRENGTH)
STEP_BASIS = replace(EPOCH_BASIS, refresh="every_k_steps", k_steps=1, rows=4000, replacement=True, fixed=False)


@dataclass(frozen=True)
class Arm:
    """One way of training, and its seeds."""

    name: str
    network: str
    penalties: tuple[Any, ...]
    training: Training
    seeds: tuple[int, ...]


SMALL = (
    Arm("deep plain", "nassar2020_deep_small", (), DEEP, (0, 1, 2, 3, 4)),
    Arm("deep spectral, epoch basis", "nassar2020_deep_small", (EPOCH_BASIS,), DEEP, (0, 1, 2, 3, 4)),
    Arm("deep spectral, step basis", "nassar2020_deep_small", (STEP_BASIS,), DEEP, (0, 1, 2, 3, 4)),
    Arm(
        "deep Jacobian",
        "nassar2020_deep_small",
        (JACOBIAN["nassar2020"],),
        replace(DEEP, batch_size=100, epochs=40),
        (0, 1, 2, 3, 4),
    ),
    Arm("shallow plain", "nassar2020_shallow_small", (), SHALLOW, (0, 1, 2)),
    Arm("shallow spectral, epoch basis", "nassar2020_shallow_small", (EPOCH_BASIS,), SHALLOW, (0, 1, 2)),
)

# Unweighted, over ranks 11 … D − 1 whatever the numerical rank, on the covariance of all 20 000 training rows.
WINDOWS = {
    "nassar2020_deep_small": LeastSquares(11, 199, "none", clip=False),
    "nassar2020_shallow_small": LeastSquares(11, 399, "none", clip=False),
}


def small_runs(arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of the small scale on MNIST, of all arms and seeds or of those named; slow ones first."""
    order = sorted(SMALL, key=lambda arm: not arm.penalties)
    return [
        Run(
            verb="train",
            arm=arm.name,
            seed=seed,
            data=MNIST["nassar2020_small"],
            architecture=NETWORKS[arm.network],
            penalties=arm.penalties,
            training=arm.training,
            plan=Plan(
                fits=(WINDOWS[arm.network],),
                preset="nassar2020",
                epsilons=(0.02, 0.05, 0.1),
                noise=(0.3,),
                attacked_inputs=1000,
                seed=seed,
            ),
        )
        for arm in order
        if not arms or arm.name in arms
        for seed in arm.seeds
        if not seeds or seed in seeds
    ]


def seeds_of(arm: str) -> int:
    """How many seeds an arm's mean is over."""
    return next(len(each.seeds) for each in SMALL if each.name == arm)


@dataclass(frozen=True)
class Band:
    """Where a mean over seeds must lie.

    Attributes:
        arm: whose.
        says: what a row must say to be the number.
        low: lower end.
        high: upper end.
    """

    arm: str
    says: tuple[tuple[str, Any], ...]
    low: float
    high: float

    def of(self, rows: Sequence[Row]) -> Row | None:
        """The row that the band is about, if it is there."""
        found = [row for row in rows if row.get("arm") == self.arm and all(row.get(k) == v for k, v in self.says)]
        return found[0] if found else None

    @property
    def name(self) -> str:
        """What the number is, in words."""
        told = dict(self.says)
        return " ".join(str(told[key]) for key in ("quantity", "layer", "epsilon") if key in told)


def _clean(arm: str, low: float, high: float) -> Band:
    return Band(arm, (("quantity", "clean_accuracy"),), low, high)


def _worst(arm: str, low: float, high: float) -> Band:
    return Band(arm, (("quantity", "robust_accuracy"), ("attack", "headline"), ("epsilon", 0.05)), low, high)


def _alpha(arm: str, layer: int, low: float, high: float) -> Band:
    return Band(arm, (("quantity", "alpha"), ("layer", f"hidden{layer}")), low, high)


BANDS = (
    _clean("deep plain", 0.955, 0.975),
    _worst("deep plain", 0.11, 0.21),
    _clean("deep spectral, epoch basis", 0.89, 0.93),
    _worst("deep spectral, epoch basis", 0.08, 0.25),
    _alpha("deep spectral, epoch basis", 1, 1.1, 1.7),
    _alpha("deep spectral, epoch basis", 2, 1.5, 2.3),
    _alpha("deep spectral, epoch basis", 3, 1.7, 2.5),
    _clean("deep spectral, step basis", 0.91, 0.95),
    _worst("deep spectral, step basis", 0.20, 0.36),
    *(_alpha("deep spectral, step basis", layer, 0.95, 1.15) for layer in (1, 2, 3)),
    _clean("deep Jacobian", 0.965, 0.985),
    _worst("deep Jacobian", 0.86, 0.94),
    _worst("shallow plain", 0.04, 0.12),
    _worst("shallow spectral, epoch basis", 0.22, 0.36),
    _alpha("shallow spectral, epoch basis", 1, 1.0, 1.1),
)
ORDER = ("deep Jacobian", "deep spectral, step basis", "deep plain")


def demo_runs(seeds: int = 3) -> list[Run]:
    """Three arms on the embedded digits in under two minutes: plain, spectral penalty, Jacobian penalty."""
    arms = {
        "plain": (),
        "spectral": (Spectral(strength=STRENGTH),),
        "jacobian": (JacobianNorm(strength=0.01),),
    }
    return [
        Run(
            verb="train",
            arm=arm,
            seed=seed,
            data=Digits(),
            architecture=MLP(widths=(64, 64, 64)),
            penalties=penalties,
            training=Training(
                optimiser="adam",
                amsgrad=True,
                learning_rate=1e-3,
                batch_size=128,
                epochs=None,
                steps=1500,
                last_batch="drop",
            ),
            plan=Plan(
                epsilons=(0.02, 0.05, 0.1, 0.15, 0.2), noise=(0.1, 0.2, 0.3, 0.5), attacked_inputs=None, seed=seed
            ),
        )
        for seed in range(seeds)
        for arm, penalties in sorted(arms.items(), key=lambda entry: entry[0] != "spectral")
    ]
