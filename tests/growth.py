"""How much making a Gram adds to a fresh process's peak, and what its route states: a line of JSON.

python tests/growth.py memory|units|stimuli float64|mixed repeats stimuli units pieces memory_gb dtype groups
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from eigenfall import grams
from eigenfall.stages import consumed
from eigenfall.types import Responses


class Drawn(Sequence):
    """Normal pieces, each drawn when it is asked for; the first unit is constant."""

    def __init__(self, size: tuple[int, int, int], axis: int, count: int, dtype: torch.dtype):
        self.size, self.axis, self.count, self.dtype = size, axis, count, dtype

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        size, whole = list(self.size), self.size[self.axis]
        size[self.axis] = (index + 1) * whole // self.count - index * whole // self.count
        piece = torch.randn(size, generator=torch.Generator().manual_seed(index), dtype=self.dtype)
        if self.axis == 1 or index == 0:
            piece[:, :, 0] = 1
        return piece


def peak_gb() -> float:
    """Of this program alone: what `getrusage` says goes back to the process that started it, where that was larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024e-9 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    torch.set_num_threads(1)
    kind, precision, *numbers, memory, dtype, several = sys.argv[1:]
    repeats, stimuli, units, count = map(int, numbers)
    drawn = Drawn((repeats, stimuli, units), 2 if kind == "units" else 1, count, getattr(torch, dtype))
    if kind == "memory":
        responses = Responses(values=drawn[0])
    else:
        responses = Responses(chunks=lambda: drawn, chunked_over=kind, size=drawn.size)
    small = torch.ones(2, 3, 5)
    small[:, 1] = 2
    grams.gram(Responses(values=small), precision)  # loads what is loaded late
    groups = int(several)
    kept_apart, side = (grams.Groups(groups), "stimuli") if groups > 1 else (None, None)
    way, before = grams.route(responses, precision, float(memory), groups, side), peak_gb()
    found, *_ = consumed(grams.gramming(responses, precision, float(memory), side, kept_apart))
    grown = peak_gb() - before
    print(json.dumps({"grown": grown, "stated": way.peak_gb, "readings": way.readings, "rows": len(found.matrix)}))


if __name__ == "__main__":
    main()
