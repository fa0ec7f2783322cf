"""The reproduction of Nassar et al. 2020 on embedded digits with fourteen units a layer: real runs, a second each.

Every setting of a run is that of the arms of scale `small`, but for the sizes below.
"""

from dataclasses import replace

import pytest

from eigenfall import presets, records
from eigenfall.attacks.fgsm import FGSM
from eigenfall.attacks.noise import Noise
from eigenfall.datasets.digits import Digits
from eigenfall.papers.nassar2020 import runs
from eigenfall.papers.nassar2020.found import Found, gathered
from eigenfall.papers.nassar2020.sizes import SIZES
from eigenfall.sweep import execute_all

UNITS = 14
STOPS = (5, 10)
DEEP = (
    *("plain", "spectral, epoch basis", "spectral, step basis", "spectral, fresh basis", "whitened", "Jacobian"),
    *("whitened, last layer", "plain, 5 updates", "plain, 10 updates"),
    *("spectral 0.1", "Jacobian 0.001", "Jacobian, equal updates"),
)
SHALLOW = ("plain", "spectral, epoch basis")
ARMS = (*(f"deep {name}" for name in DEEP), *(f"shallow {name}" for name in SHALLOW))
"""Some of each kind; what is left out stands for runs that are missing."""

_TRAINING = replace(SIZES["quick", "deep"].training, learning_rate=3e-3, batch_size=100, epochs=None, steps=30)
_DEEP = replace(
    SIZES["small", "deep"],
    data=Digits(validation=0),
    network=replace(SIZES["quick", "deep"].network, widths=(UNITS,) * 3),
    training=_TRAINING,
    fresh=200,
    stops=STOPS,
    window=(2, UNITS - 1),
    jacobian=(50, 30),
    seeds=(0, 1),
    swept=(0, 1),
    epsilons=(0.02, 0.05),
    attacked=20,
    attacked_beside=20,
    smooth=8,
    draws=2,
)
_SHALLOW = replace(
    _DEEP, network=replace(SIZES["quick", "shallow"].network, widths=(UNITS,)), training=_TRAINING, stops=()
)
_WHOLE = presets.PRESETS["nassar2020_both"]
_READINGS = {
    name: replace(_WHOLE.readings[name], epsilons=(0.01, 0.05)) for name in ("published_fgsm", "published_pgd")
}
_BUNDLE = presets.Preset({"fgsm": FGSM(), "noise": Noise()}, ("fgsm",), readings=_READINGS)
"""A single step for the headline, no checks, and two budgets of what is published."""


def tiny_found(root, arms=ARMS, seeds=(0, 1), backwards=False) -> Found:
    """Records of these arms and seeds, made under a folder; backwards, where another process begins at the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, ("small", "deep"), _DEEP)
        patch.setitem(SIZES, ("small", "shallow"), _SHALLOW)
        patch.setitem(presets.PRESETS, "nassar2020_both", _BUNDLE)
        wanted = runs.runs("small", arms, seeds)
        assert {run.arm for run in wanted} == set(arms)
        events = [event for event in execute_all(wanted[::-1] if backwards else wanted, root) if event.error]
    events = [event for event in events if not event.error.startswith("Expected no record at")]  # made meanwhile
    assert not events, events
    return gathered(records.load_all(root), "small")


@pytest.fixture
def tiny_sizes(monkeypatch):
    """The sizes of these runs, for what reads sizes."""
    monkeypatch.setitem(SIZES, ("small", "deep"), _DEEP)
    monkeypatch.setitem(SIZES, ("small", "shallow"), _SHALLOW)
