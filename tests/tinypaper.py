"""The reproduction of Holzhausen et al. 2024 on embedded digits with a dozen units: real runs, seconds each.

Every setting of a run is that of the arms of scale `small`, but for the sizes below. Layers learn so briefly that KH
does not pass its gates.
"""

from dataclasses import replace

import pytest

from eigenfall import presets, records
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.fmn import FMN
from eigenfall.datasets.digits import Digits
from eigenfall.learning import Learning
from eigenfall.optimisation import Training
from eigenfall.papers.holzhausen2024 import runs
from eigenfall.papers.holzhausen2024.found import Found, gathered
from eigenfall.papers.holzhausen2024.sizes import SIZES
from eigenfall.robustness import log_grid
from eigenfall.sweep import execute_all

UNITS = 12
ATTACKED = 12
ARMS = (
    *("KH", "KH pruned", "BP", "L2", "JReg", "SpecReg", "Init", "raw"),
    *("L2 0.01", "Jacobian 0.1", "dropout", "random", "MNIST relu", "MNIST relu, spectral"),
)
"""Some of each kind; what is left out stands for runs that are missing."""

_LEARNING = Learning(units=UNITS, epochs=4, batch_size=50, last_batch="drop")
_TRAINING = Training(learning_rate=0.01, batch_size=100, epochs=8)
TINY = replace(
    SIZES["small", "main"],
    data=Digits(scaling="l3"),
    units=UNITS,
    rule=replace(SIZES["quick", "main"].rule, learning_rate=0.05),
    learning=_LEARNING,
    other=_LEARNING,
    head=replace(_TRAINING, epochs=12),
    training=_TRAINING,
    spectral=_TRAINING,
    window=(2, 10),
    noise_window=(2, 10),
    epsilons=(0.01, 0.05),
    attacked=ATTACKED,
    smooth=8,
    probe=200,
    bundle="tiny",
)


def _bundle(published: bool) -> presets.Preset:
    """The readings, on coarse grids and by a short search; a single step for the headline, and no checks."""
    whole = presets.read_as_holzhausen2024(log_grid(0.005, 1.0, 8), log_grid(0.01, 8.0, 8), published)
    short = {
        name: replace(reading, attacks={"fmn": FMN(steps=10)}) if name.startswith("minimal") else reading
        for name, reading in whole.readings.items()
    }
    return presets.Preset({"fgsm": FGSM()}, ("fgsm",), readings=short)


def tiny_found(root, arms=ARMS, seeds=(0, 1), backwards=False) -> Found:
    """Records of these arms and seeds, made under a folder; backwards, where another process begins at the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, ("small", "main"), TINY)
        patch.setitem(SIZES, ("small", "spectral"), TINY)
        for name, published in (("tiny", True), ("tiny_corrected", False)):
            patch.setitem(presets.PRESETS, name, _bundle(published))
        wanted = runs.runs("small", arms, seeds)
        events = [event for event in execute_all(wanted[::-1] if backwards else wanted, root) if event.error]
    events = [event for event in events if not event.error.startswith("Expected no record at")]  # made meanwhile
    assert not events, events
    return gathered(records.load_all(root), "small")
