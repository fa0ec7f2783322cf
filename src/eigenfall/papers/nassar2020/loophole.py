"""The loophole: a penalty on a basis that is seldom renewed is satisfied while the true spectrum stays steep.

    R along the basis   = R(diag VᵀCV): what the loss sees
    R of the spectrum   = R(eigenvalues of C) = R along the basis + s_R

Variances along a stale basis are majorised by the true eigenvalues (Schur 1923), so they fall more slowly. Training
lowers the penalty either way: by a flatter code, or by a code turned off V, whose own spectrum need not change. How far
it turns grows with the learning rate and with the updates between two refreshes.

Arms beside those of `runs`, each like its epoch basis but for one thing: the learning rate; or the updates from one
refresh to the next, up to all of them.

Source: spec `nassar2020` §3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from eigenfall.papers.nassar2020 import runs as of_paper
from eigenfall.papers.nassar2020.sizes import SIZES, Scale
from eigenfall.settings import Run

EPOCH = "deep spectral, epoch basis"
LAST = "deep last layer, epoch basis"
STEP = "deep spectral, step basis"
FRESH = "deep spectral, fresh basis"
NEVER = "deep spectral, first basis"
SLOW = "deep spectral, epoch basis, low rate"
FAST = "deep spectral, epoch basis, high rate"

PERIODS: dict[Scale, tuple[int, ...]] = {"quick": (200, 1000), "small": (10, 670), "paper": (400,)}
"""Updates from one refresh to the next, beside those of an epoch: 10 at quick, 67 at small, 37 at paper."""


def every(updates: int) -> str:
    """Name of the arm whose basis is renewed after so many updates."""
    return f"deep spectral, basis of {updates} updates"


def runs(scale: Scale, seeds: Sequence[int] = ()) -> list[Run]:
    """Runs of the arms that only the loophole needs, seed by seed; measured as all others are."""
    base = of_paper.runs(scale, (EPOCH,), seeds or SIZES[scale, "deep"].swept)
    return [run for epoch_basis in base for run in _beside(epoch_basis, scale)]


def _beside(run: Run, scale: Scale) -> Iterator[Run]:
    """The arms of one seed, from the run of the epoch basis."""
    training = run.training
    updates = training.steps_for(getattr(run.data, "train", None) or 1297)
    for name, period in {NEVER: updates, **{every(period): period for period in PERIODS[scale]}}.items():
        seldom = replace(of_paper.EPOCH_BASIS, refresh="every_k_steps", k_steps=period)
        yield replace(run, arm=name, penalties=(seldom,))
    if scale == "small":
        yield replace(run, arm=SLOW, training=replace(training, learning_rate=1e-4, epochs=150))
    if scale == "paper":
        yield replace(run, arm=FAST, training=replace(training, learning_rate=1e-3))
