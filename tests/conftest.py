"""What every test shares: one thread, seeded generators, exact spectra."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
