"""Where means over seeds must lie at small scale: reference measurements by two independent implementations.

The paper prints no table of robustness. A mean over seeds outside its band is a defect of this package, not of the
paper. The worst case here is the attack named after those measurements: the published PGD (40 steps of .01 on raw
cross-entropy from the clean image) together with PGD on the margin (60 steps of max(ε/10, .002), from the clean
image and one random start). It is not the headline.

Source: spec `nassar2020` §13.12.
"""

from collections.abc import Callable
from dataclasses import dataclass

from eigenfall.papers.found import accuracy, alpha
from eigenfall.papers.nassar2020.found import Found, named
from eigenfall.types import Record

EPSILON = 0.05


@dataclass(frozen=True)
class Band:
    """Where a mean over seeds must lie.

    Attributes:
        arm: whose.
        name: what the number is, in words.
        number: of a record.
        low: lower end.
        high: upper end.
    """

    arm: str
    name: str
    number: Callable[[Record], float]
    low: float
    high: float


def _clean(arm: str, low: float, high: float) -> Band:
    return Band(arm, "clean accuracy", accuracy, low, high)


def _worst(arm: str, low: float, high: float) -> Band:
    return Band(arm, f"named worst case at ε = {EPSILON:g}", named(EPSILON), low, high)


def _alpha(arm: str, layer: int, low: float, high: float) -> Band:
    return Band(arm, f"α of hidden{layer}", alpha(f"hidden{layer}"), low, high)


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
"""Of the named worst case at the same ε, highest first."""


def whole(found: Found, arm: str) -> bool:
    """Whether every seed of the arm went into its mean."""
    fewest = 5 if arm.startswith("deep") else 3
    return len(found.seeds(arm)) >= fewest
