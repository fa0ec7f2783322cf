"""Parts that kill the process that uses them; another process must be able to import them."""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from eigenfall import runs
from eigenfall.types import ForwardPass, Penalty, Reference


@dataclass(frozen=True)
class Fatal:
    """A penalty of nothing that counts its calls, of all processes together, and kills a worker at some of them.

    Attributes:
        calls: file that grows by a byte with each call.
        kills: calls at which a process that another one started is killed.
    """

    reads_inputs: ClassVar[bool] = False
    calls: Path
    kills: tuple[int, ...] = ()

    def start(self, reference: Reference, generator: torch.Generator) -> None:
        if multiprocessing.parent_process() is not None:
            runs.CHECKPOINT_SECONDS = -1.0  # after every step

    def __call__(self, forward_pass: ForwardPass, state: None, generator: torch.Generator) -> Penalty:
        with self.calls.open("ab") as file:
            file.write(b".")
        if multiprocessing.parent_process() is not None and self.calls.stat().st_size in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        nothing = torch.stack([parameter.sum() for parameter in forward_pass.parameters.values()]).sum() * 0
        return Penalty(nothing, {}, {}, None)

    def refreshed(self, state: None, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True)
class Faulty:
    """A data set whose code has a fault."""

    cite: ClassVar[str] = ""

    def __call__(self):
        return {}["digits"]
