"""The Krotov-Hopfield step beside the product that no step can spare, and beside the textbook form in torch and NumPy.

    bare product:  V W̃ᵀ;   textbook:  currents, ranks, g, R^p gᵀV − s ∘ W as dense products, W and W̃ over all rows

Ours leaves out inputs that are zero throughout a batch, a third of MNIST's pixels; the others multiply by all.

MNIST size: batches of 100 real digits, 2 000 units, k = 7. CIFAR size: batches of 1 000 real photographs, 2 000 units,
k = 2. One process, one thread; the contestants take turns, a block of steps each, so that each finds the caches as it
left them, and the smallest of the blocks' processor times counts. All have the same weights after the first batches,
or the comparison is void.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import torch
from torch import Tensor

from eigenfall import parts
from eigenfall.rules.krotov import Krotov, State
from eigenfall.types import Progress

UNITS = 2000
SIZES = {"MNIST": ("mnist", "krotov@pnas_mnist", 100, 30), "CIFAR": ("cifar10", "krotov@holzhausen_cifar", 1000, 3)}
"""Data, rule, inputs in a batch, steps in a block."""
BARE, DENSE = 1.2, 1.8
SAME = 3
"""Batches after which all must have the same weights; much later, rounding has chosen other winners."""
AT = Progress(0, 1, 0, 1000)


def textbook(rule: Krotov, weights: Tensor, batch: Tensor, rate: float) -> None:
    """A step of p = 3 as most people would write it in torch; weights `(units, inputs)` are written into."""
    currents = batch @ (weights.sign() * weights.abs() ** (rule.p - 1)).T
    best = currents.topk(rule.k, dim=1).indices
    g = torch.zeros_like(currents)
    rows = torch.arange(len(batch))
    g[rows, best[:, 0]] = 1.0
    g[rows, best[:, rule.k - 1]] = -rule.delta
    change = g.T @ batch - (g * currents).sum(0)[:, None] * weights
    weights += rate * change / change.abs().max().clamp_min(rule.smallest)


def textbook_numpy(rule: Krotov, weights: np.ndarray, batch: np.ndarray, rate: float) -> None:
    """The same in NumPy, ranking by a full sort as the papers' program does."""
    currents = batch @ (np.sign(weights) * np.abs(weights) ** (rule.p - 1)).T
    order = np.argsort(currents, axis=1)
    g = np.zeros_like(currents)
    rows = np.arange(len(batch))
    g[rows, order[:, -1]] = 1.0
    g[rows, order[:, -rule.k]] = -rule.delta
    change = g.T @ batch - (g * currents).sum(0)[:, None] * weights
    weights += rate * change / max(np.abs(change).max(), rule.smallest)


def blocks(contestants: Mapping[str, Callable[[int], object]], steps: int, repeats: int) -> dict[str, float]:
    """Processor time of a step of each, in seconds: the smallest over blocks, which are run in turn."""
    best = dict.fromkeys(contestants, float("inf"))
    for repeat in range(repeats):
        for name, run in contestants.items():
            start = time.process_time()
            for step in range(steps):
                run(repeat * steps + step)
            best[name] = min(best[name], (time.process_time() - start) / steps)
    return best


def compared(size: str, repeats: int) -> bool:
    """One size: the table, and whether the targets are met."""
    data, text, count, steps = SIZES[size]
    rule = parts.read("rules", text)
    inputs = parts.read("datasets", data)().train.inputs[: 10 * count].flatten(1)
    if rule.scaling == "l3":
        inputs = inputs / inputs.pow(3).sum(1, keepdim=True).pow(1 / 3)
    batches = inputs.split(count)
    state = rule.start(inputs.shape[1], UNITS, [torch.Generator().manual_seed(0)])
    dense, plain = state.weights[0].clone(), state.weights[0].numpy().copy()
    fixed = state.effective[0].clone()
    held = State(state.weights, state.effective)
    rate = rule.rate(AT)
    contestants = {
        "bare product": lambda step: batches[step % len(batches)] @ fixed.T,
        "eigenfall": lambda step: rule(held, batches[step % len(batches)][None], AT, ()),
        "textbook, torch": lambda step: textbook(rule, dense, batches[step % len(batches)], rate),
        "textbook, NumPy": lambda step: textbook_numpy(rule, plain, batches[step % len(batches)].numpy(), rate),
    }
    for run in contestants.values():
        for step in range(SAME):
            run(step)
    far = max(float((held.weights[0] - other).abs().max()) for other in (dense, torch.from_numpy(plain)))
    if far > 1e-5:
        raise ValueError(f"Expected the same weights from all, got {far:.2g} apart. The comparison is void.")
    times = blocks(contestants, steps, repeats)
    ours = times["eigenfall"]
    print(f"{size}: batch {count}, {inputs.shape[1]} inputs, {UNITS} units, k = {rule.k}; weights {far:.1g} apart")
    for name, seconds in times.items():
        print(f"  {name:18} {1e3 * seconds:8.2f} ms   {seconds / ours:5.2f} of ours")
    bare, gain = ours / times["bare product"], times["textbook, torch"] / ours
    print(f"  ours / bare product {bare:.2f} (at most {BARE}); textbook / ours {gain:.2f} (at least {DENSE})")
    return bare <= BARE and gain >= DENSE


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = [compared(size, 10) for size in SIZES]
    sys.exit(not all(results))
