"""Generators of `Stage`: long work that says how far it is, and can go on from the pieces that it has finished.

Whatever draws progress, or keeps the pieces, consumes them; the work itself knows of neither.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from eigenfall.types import Stage

Result = TypeVar("Result")
Working = Generator[Stage, None, Result]
"""Long work; it returns its value."""


def consumed(stages: Generator[Stage, None, Result]) -> Result:
    """The value of a generator of stages, unwatched."""
    while True:
        try:
            next(stages)
        except StopIteration as finished:
            return finished.value


def under(name: str, stages: Generator[Stage, None, Result], said: str = "") -> Working[Result]:
    """The same stages, the pieces that they make named under a name of their own, `name/piece`.

    Args:
        name: what the pieces are named under.
        stages: the work.
        said: put before what each stage says.
    """
    while True:
        try:
            stage = next(stages)
        except StopIteration as finished:
            return finished.value
        made = {f"{name}/{piece}": tensor for piece, tensor in stage.made.items()}
        yield replace(stage, what=f"{said}{stage.what}", made=made)


def kept_under(name: str, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The kept pieces of this name, under the names that their own work gave them."""
    before = f"{name}/"
    return {piece.removeprefix(before): tensor for piece, tensor in kept.items() if piece.startswith(before)}


def seeds(generator: torch.Generator | None, count: int) -> Sequence[int]:
    """A seed for each of several pieces, so that each can be made without the others."""
    return torch.randint(2**62, (count,), generator=generator).tolist()


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU with this seed."""
    return torch.Generator().manual_seed(seed)
