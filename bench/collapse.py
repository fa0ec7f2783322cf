"""Why the reproduction at 100 units does not take the published punishment: where each setting ends on CIFAR-10.

EIGENFALL_DATA=... .venv/bin/python bench/collapse.py          about four minutes on one free core

10 000 images of L3 norm 1, 100 units, batches of 100, rank 2 punished, ε falls linearly to 0. No test image is looked
at: gates alone decide.
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace

import torch

from eigenfall.convergence import Gates
from eigenfall.datasets.cifar10 import CIFAR10
from eigenfall.learning import Learning, learn
from eigenfall.rules.krotov import PRESETS

SETTINGS = ((0.02, 0.4, 100), (0.01, 0.4, 200), (0.005, 0.4, 200), (0.01, 0.3, 200), (0.01, 0.2, 200), (0.01, 0.1, 200))
"""Rate, punishment, epochs."""


def main() -> None:
    torch.set_num_threads(1)
    inputs = CIFAR10(train=10_000, validation=1000, order_seed=0, scaling="l3")().train.inputs
    print("rate  delta  epochs  off norm  nearly all negative  never win  converged  seconds")
    for rate, delta, epochs in SETTINGS:
        rule = replace(PRESETS["holzhausen_cifar"], learning_rate=rate, delta=delta)
        start = time.perf_counter()
        *_, step = learn(rule, inputs, Learning(100, epochs, 100, "drop"))
        found = Gates()(step.state.weights[0], rule.p, rule.radius, inputs)
        shares = (found.off, found.negative, found.dead)
        told = "  ".join("–" if one is None else f"{100 * float(one.double().mean()):.0f} %" for one in shares)
        print(
            f"{rate:g}  {delta:g}  {epochs}  {told}  {found.converged}  {time.perf_counter() - start:.0f}", flush=True
        )


if __name__ == "__main__":
    main()
