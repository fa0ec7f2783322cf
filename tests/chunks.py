"""Streams that another process can read: what a worker unpickles must be importable there."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class Cut(Sequence):
    """Pieces of an array along an axis; a function that returns them too."""

    values: torch.Tensor
    width: int
    axis: int

    def __call__(self) -> "Cut":
        return self

    def __len__(self) -> int:
        return -(-self.values.shape[self.axis] // self.width)

    def __getitem__(self, index: int) -> torch.Tensor:
        start = index * self.width
        return self.values.narrow(self.axis, start, min(self.width, self.values.shape[self.axis] - start))


@dataclass(frozen=True, eq=False)
class Late(Cut):
    """The earlier a piece, the longer it takes."""

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.2 / (index + 1))
        return super().__getitem__(index)


@dataclass(frozen=True, eq=False)
class Unreadable(Cut):
    """A piece that this error comes instead of."""

    error: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 2:
            raise self.error
        return super().__getitem__(index)


@dataclass(frozen=True, eq=False)
class Deadly(Cut):
    """A piece that takes the process which asks for it down, the first time."""

    once: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 2 and not self.once.exists():
            self.once.touch()
            os._exit(1)
        return super().__getitem__(index)


@dataclass(frozen=True, eq=False)
class Uneven(Cut):
    """Later pieces lack a stimulus, or a unit if pieces are cut along the stimuli."""

    def __getitem__(self, index: int) -> torch.Tensor:
        piece = super().__getitem__(index)
        return piece.narrow(3 - self.axis, 1, piece.shape[3 - self.axis] - 1) if index > 5 else piece
