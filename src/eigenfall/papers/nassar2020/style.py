"""What all figures share: a look per arm, names without the network, what is told of failed checks.

An arm has one look in every figure, whichever network it trains: colour and mark together are its own. What is often
drawn together differs in colour.
"""

from collections.abc import Iterable, Sequence

from eigenfall.figures.style import Series, series
from eigenfall.papers.found import Found
from eigenfall.papers.nassar2020.runs import DECAY_SWEEP, JACOBIAN_SWEEP, SPECTRAL_SWEEP

TAU = 10
"""Of every spectral penalty of the arms: ranks that it leaves free."""
STOPPED, SPECTRAL, JACOBIAN, DECAY = "plain, stopped early", "spectral sweep", "Jacobian sweep", "weight decay sweep"

PLACES: dict[str, int] = {
    "plain": 0,
    "spectral, epoch basis": 1,
    "spectral, step basis": 2,
    "whitened": 3,
    "last layer, step basis": 4,
    "whitened, last layer": 5,
    "last layer, fresh basis": 7,
    "Jacobian": 9,
    "spectral, fresh basis": 10,
    "plain, no batch-norm": 12,
    "spectral, epoch basis, no batch-norm": 13,
    "last layer, epoch basis": 14,
    "adversarial": 15,
    "Jacobian, equal updates": 17,
    STOPPED: 18,
    SPECTRAL: 20,
    JACOBIAN: 21,
    DECAY: 22,
    "plain, ReLU": 24,
    "spectral, epoch basis, ReLU": 25,
    "spectral, fresh basis, ReLU": 28,
    **{f"spectral {strength:g}": place for strength, place in zip(SPECTRAL_SWEEP, (19, 27, 29))},
    **{f"Jacobian {strength:g}": place for strength, place in zip(JACOBIAN_SWEEP, (33, 34, 31))},
    **{f"decay {strength:g}": place for strength, place in zip(DECAY_SWEEP, (23, 8, 35))},
}
"""Place of each in the order that gives it its look: of 36, each its own."""


def bare(arm: str) -> str:
    """An arm's name without its network."""
    return arm.partition(" ")[2]


def looks(names: Iterable[str]) -> dict[str, Series]:
    """The look of each arm, or sweep, by its name without the network."""
    return {name: series(PLACES.get(name, len(PLACES))) for name in names}


def stamp_of(found: Found, arms: Sequence[str]) -> str:
    """What is written across a figure of arms a check of whose headline failed; empty if none did."""
    off = [arm for arm in arms if found.failed(arm)]
    return f"CHECKS FAIL: {', '.join(off[:2])}{' and others' if len(off) > 2 else ''}" if off else ""
