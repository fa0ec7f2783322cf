"""What every test shares: one thread, seeded generators, exact spectra."""

import pytest
import torch
import typecheck


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def types_looked_at():
    typecheck.afresh()


def pytest_collection_modifyitems(items):
    """What takes minutes in one piece begins first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
