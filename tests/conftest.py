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
