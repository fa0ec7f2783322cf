"""What every test shares: one thread, seeded generators, exact spectra."""

import pytest
import torch
import typecheck
from short import short

from eigenfall.presets import PRESETS


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def types_looked_at():
    typecheck.afresh()


@pytest.fixture(scope="module")
def few_steps():
    """`quick` with five steps in each attack: for tests of what surrounds it, not of how far an attack climbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "quick", short(PRESETS["quick"], 5))
        yield


def pytest_collection_modifyitems(items):
    """What takes minutes in one piece begins first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
