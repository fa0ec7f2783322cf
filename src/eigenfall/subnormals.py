"""Numbers too small for all their digits, below 1e-38 in single precision: taken for zero, or kept.

Weights that decay come there, and a processor takes far longer over each of them (`bench/subnormals.py`). Where they
are zero, so are gradients as small, and an attack that follows their sign stays: whoever measures again does the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def zeroed() -> bool:
    """Whether they are taken for zero in this thread."""
    return not torch.tensor(1e-40).mul(1).item()


@contextmanager
def zeroing(wanted: bool = True) -> Iterator[None]:
    """Take them for zero, or keep them; afterwards as before."""
    before = zeroed()
    torch.set_flush_denormal(wanted)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
