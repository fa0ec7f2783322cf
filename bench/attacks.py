"""PGD-40 through the harness against a bare torch loop and against foolbox: process CPU time, one thread.

    python bench/attacks.py

Prints a table, then a line per target, and exits 1 if one is missed.
"""

import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive

from eigenfall.attacks.pgd import PGD
from eigenfall.robustness import robustness
from eigenfall.types import LpBall, Split

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import foolbox

EPSILON, STEP, STEPS = 0.1, 0.01, 40
REPEATS = {"MLP 784-256-256-10": 60, "CNN 16-32-1000": 40}
IMAGES = {"MLP 784-256-256-10": 256, "CNN 16-32-1000": 16}
ATTACK = PGD(loss="ce", steps=STEPS, step_size=STEP, keep="last", stop_broken=False, zero_step="stay")


def models():
    torch.manual_seed(0)
    return {
        "MLP 784-256-256-10": nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        ).eval(),
        "CNN 16-32-1000": nn.Sequential(  # the paper's convolutional network for MNIST
            nn.Conv2d(1, 16, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 1000),
            nn.Tanh(),
            nn.Linear(1000, 10),
        ).eval(),
    }


def contenders(model, data):
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=STEP, random_start=False)
    seed = torch.Generator().manual_seed(0)
    return {
        "eigenfall": lambda: robustness(model, {"pgd": ATTACK}, data, LpBall(), (EPSILON,), seed).broken[0, 0],
        "bare loop": lambda: naive.attacked_by_pgd(model, data.inputs, data.targets, EPSILON, STEP, STEPS),
        "foolbox": lambda: theirs(wrapped, data.inputs, data.targets, epsilons=EPSILON)[2],
    }


def measured(calls, repeats):
    """Least CPU time of each call over alternating repeats, after one to warm up."""
    best = dict.fromkeys(calls, float("inf"))
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if repeat:
                best[name] = min(best[name], time.process_time() - start)
    return best


def main():
    torch.set_num_threads(1)
    found = {}
    for name, model in models().items():
        inputs = torch.rand(IMAGES[name], 1, 28, 28, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            data = Split(inputs, model(inputs).argmax(1))
        calls = contenders(model, data)
        ours, bare, theirs = (call() for call in calls.values())
        if not (torch.equal(ours, bare) and torch.equal(ours, theirs)):
            print(f"{name}: the three do not break the same inputs")
            sys.exit(1)
        found[name] = measured(calls, REPEATS[name])
    print(f"PGD-{STEPS}, milliseconds of CPU time")
    print(f"{'model, images':30}" + "".join(f"{name:>12}" for name in ("eigenfall", "bare loop", "foolbox")))
    for name, times in found.items():
        print(f"{name + ', ' + str(IMAGES[name]):30}" + "".join(f"{1000 * value:12.1f}" for value in times.values()))
    failed = False
    for name, times in found.items():
        for other, most in (("bare loop", 1.10), ("foolbox", 1.0)):
            ratio = times["eigenfall"] / times[other]
            failed |= ratio > most
            verdict = "PASS" if ratio <= most else "FAIL"
            print(f"{name.split()[0]} PGD-40 against {other} ratio {ratio:.2f} <= {most:.2f} {verdict}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
