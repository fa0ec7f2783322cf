"""Participation ratio without bias: read off the Gram matrix, and found from the responses, against NumPy.

One process, one thread; the contestants take turns, and the smallest of several processor times counts. What NumPy does
is the direct way: the covariance of every unit in one repeat with every unit in the other. `python bench/dimensions.py
2800 10000` runs the size of a large recording. The targets are loose, and nothing is decided by them.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive
import torch

from eigenfall.dimensions.participation import Participation
from eigenfall.grams import gram
from eigenfall.types import Responses

STIMULI, UNITS = 1000, 4000
REPEATS = 2
TARGETS = {"eigenfall, from the Gram": 20.0, "eigenfall, from the responses": 0.7}


def main(stimuli: int = STIMULI, units: int = UNITS) -> int:
    torch.set_num_threads(1)
    scale = torch.arange(1, units + 1, dtype=torch.float64) ** -0.5
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(1, stimuli, units, generator=generator, dtype=torch.float64) * scale
    values = signal + 0.02 * torch.randn(2, stimuli, units, generator=generator, dtype=torch.float64)
    responses, arrays = Responses(values=values), values.numpy()
    moments, part = gram(responses, side="stimuli"), Participation()

    def direct() -> float:
        above, below = naive.two_repeat_traces(*arrays)
        return above / below

    contestants = {
        "eigenfall, from the Gram": lambda: part(moments).value.value,
        "eigenfall, from the responses": lambda: part(responses).value.value,
        "NumPy, over units": direct,
    }
    best, found = dict.fromkeys(contestants, float("inf")), {}
    for _ in range(REPEATS):
        for name, run in contestants.items():
            start = time.process_time()
            found[name] = run()
            best[name] = min(best[name], time.process_time() - start)
    print(f"participation ratio, S = {stimuli}, N = {units}, two repeats: {found['NumPy, over units']:.6g}")
    failed = 0
    for name, seconds in best.items():
        ratio, target = best["NumPy, over units"] / seconds, TARGETS.get(name)
        off = abs(found[name] / found["NumPy, over units"] - 1)
        missed = target is not None and (ratio < target or off > 1e-8)
        failed += missed
        wanted = "" if target is None else f"  (at least {target:g}){'  MISSED' if missed else ''}"
        print(f"  {name:32} {seconds:8.3f} s  {ratio:8.1f} x  differs by {off:.1e}{wanted}")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
