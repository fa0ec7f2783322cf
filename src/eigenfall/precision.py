"""Products of 32-bit floats that keep all 24 bits: on recent GPUs convolutions keep 11 (TF32) unless told not to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

_T = TypeVar("_T")
_ROUNDED = ("tf32", "bf16")


def _operations() -> list[Any]:
    """Each operation whose precision torch sets by itself; none before torch 2.9, which has switches only."""
    owners = (torch.backends.cudnn, torch.backends.cuda, torch.backends.mkldnn)
    found = [getattr(owner, name, None) for owner in owners for name in ("conv", "rnn", "matmul")]
    return [operation for operation in found if hasattr(operation, "fp32_precision")]


def _told(ask: Callable[[], _T]) -> _T | None:
    """An answer of the older switches; None where operations were set one by one, so that they have none."""
    try:
        return ask()
    except RuntimeError:
        return None


def _switch() -> bool | None:
    return _told(lambda: torch.backends.cudnn.allow_tf32)


def _products() -> str | None:
    return _told(torch.get_float32_matmul_precision)


@contextmanager
def whole_floats() -> Iterator[None]:
    """Inside, convolutions and matrix products of 32-bit floats round none of their factors; as before on exit.

    With TF32, which torch allows convolutions by default, a factor is off by up to 2⁻¹¹ of itself. Where the size of a
    batch decides how a product is found, logits may then depend on an image's neighbours.
    """
    switch, products = _switch(), _products()
    before = [(operation, operation.fp32_precision) for operation in _operations()]
    try:
        if switch:
            torch.backends.cudnn.allow_tf32 = False
        if products not in ("highest", None):
            torch.set_float32_matmul_precision("highest")
        for operation, _ in before:
            if operation.fp32_precision in _ROUNDED:
                operation.fp32_precision = "ieee"
        yield
    finally:
        if products is not None and _products() != products:
            torch.set_float32_matmul_precision(products)
        if switch is not None and _switch() is not switch:
            torch.backends.cudnn.allow_tf32 = switch
        for operation, precision in before:
            if operation.fp32_precision != precision:
                operation.fp32_precision = precision
