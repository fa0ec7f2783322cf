"""Attacks beside those of other libraries, on the same model, data and budget: process CPU time, one thread.

    EIGENFALL_DATA=... python bench/attacks.py

PGD-40 through the harness against the attack alone, a bare torch loop and foolbox; adapters against what they wrap,
called as its own documentation does; `strong`'s APGD against the whole of AutoAttack, on a perceptron trained on MNIST.
All contestants of a section take turns and the least of several times counts.

Prints tables, then a line per target (20 % of slack), and exits 1 if one is missed.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import naive
from zoo import animals

from eigenfall.attacks.autoattack import AutoAttack
from eigenfall.attacks.foolbox import Foolbox
from eigenfall.attacks.pgd import PGD
from eigenfall.layers import left_as_found
from eigenfall.presets import AUTO, PRESETS
from eigenfall.robustness import robustness
from eigenfall.types import LpBall, Split

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import foolbox
    from pyautoattack import AutoAttack as Theirs
    from pyautoattack.autopgd_base import APGDAttack

SLACK = 1.2
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


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def measured(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least CPU time of each call over alternating repeats, after one to warm up."""
    best = dict.fromkeys(calls, float("inf"))
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if repeat:
                best[name] = min(best[name], time.process_time() - start)
    return best


def shown(title: str, times: Mapping[str, float]) -> None:
    print(title)
    for name, value in times.items():
        print(f"    {name:34} {1000 * value:10.1f} ms")


def held(what: str, ratio: float, most: float) -> bool:
    """Print a target; whether it is met."""
    met = ratio <= most * SLACK
    print(f"    {what}: {ratio:.2f} <= {most:.2f} (+20 %) {'PASS' if met else 'FAIL'}")
    return met


Calls = dict[str, Callable[[], torch.Tensor]]


def climbing(model: nn.Module, data: Split) -> Calls:
    """PGD-40 of the harness, of the attack alone, of a bare loop and of foolbox: the same steps."""
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=STEP, random_start=False)

    def alone() -> torch.Tensor:
        with left_as_found(model):
            return ATTACK(model, data.inputs, data.targets, LpBall(), EPSILON, seeded()).inputs

    return {
        "eigenfall": lambda: robustness(model, {"pgd": ATTACK}, data, LpBall(), (EPSILON,), seeded()).broken[0, 0],
        "eigenfall, the attack alone": alone,
        "bare loop": lambda: naive.attacked_by_pgd(model, data.inputs, data.targets, EPSILON, STEP, STEPS),
        "foolbox": lambda: theirs(wrapped, data.inputs, data.targets, epsilons=EPSILON)[2],
    }


def adapted(model: nn.Module, data: Split, epsilon: float = 1e-4) -> Calls:
    """Foolbox and pyautoattack by themselves and through adapters; nothing breaks, so that all make as many passes."""
    climb = foolbox.attacks.LinfPGD(steps=STEPS, random_start=False)
    part, auto = Foolbox("PGD", (f"steps={STEPS}", "random_start=false")), AutoAttack(("apgd-ce",), steps=STEPS)

    def theirs() -> torch.Tensor:
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        found = climb(wrapped, data.inputs, data.targets, epsilons=epsilon)[1]
        model.zero_grad()
        return found

    def apgd() -> torch.Tensor:
        attack = APGDAttack(model, n_iter=STEPS, eps=epsilon, device="cpu", seed=0, verbose=False)
        return attack.perturb(data.inputs, data.targets)

    return {
        "foolbox PGD-40": theirs,
        "foolbox PGD-40, adapter": lambda: part(model, data.inputs, data.targets, LpBall(), epsilon, seeded()).inputs,
        "pyautoattack APGD-CE-40": apgd,
        "pyautoattack APGD-CE-40, adapter": lambda: (
            auto(model, data.inputs, data.targets, LpBall(), epsilon, seeded()).inputs
        ),
    }


def beside(name: str, model: nn.Module) -> bool:
    """PGD and adapters on one model."""
    inputs = torch.rand(IMAGES[name], 1, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        data = Split(inputs, model(inputs).argmax(1))
    calls = climbing(model, data)
    found = [calls[each]() for each in ("eigenfall", "bare loop", "foolbox")]
    if not (torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])):
        print(f"{name}: the three do not break the same inputs")
        sys.exit(1)
    times = measured(calls, REPEATS[name])
    shown(f"PGD-{STEPS}, {name}, {len(data)} images", times)
    met = held("PGD-40 against the bare loop", times["eigenfall"] / times["bare loop"], 1.10)
    met &= held("verified and judged", times["eigenfall"] / times["eigenfall, the attack alone"], 1.05)
    met &= held("PGD-40 against foolbox", times["eigenfall"] / times["foolbox"], 1.0)
    times = measured(adapted(model, data), max(3, REPEATS[name] // 4))
    shown(f"Adapters, {name}, {len(data)} images", times)
    for each, most in (("foolbox PGD-40", 0.70), ("pyautoattack APGD-CE-40", 1.15)):
        met &= held(f"{each}, adapter against direct", times[f"{each}, adapter"] / times[each], most)
    return met


def strong() -> bool:
    """What `strong` adds to `quick`, beside AutoAttack's standard, on a net that is trained."""
    model, of = animals.twin("mnist", 0), animals.data("mnist")
    some, _ = animals.right(model, of, 128)
    epsilon = 0.05
    data = Split(some.inputs.reshape(-1, 1, 28, 28), some.targets)
    model = nn.Sequential(nn.Flatten(), model).eval()

    def whole() -> torch.Tensor:
        attack = Theirs(model, norm="Linf", eps=epsilon, version="standard", device="cpu", seed=0)
        moved, _ = attack.run_standard_evaluation(data.inputs, data.targets, batch_size=len(data))
        with torch.no_grad():
            return model(moved).argmax(1) != data.targets

    def ours(attacks: Mapping[str, object]) -> torch.Tensor:
        return robustness(model, attacks, data, LpBall(), (epsilon,), seeded()).worst()[0]

    quick = {name: PRESETS["quick"].attacks[name] for name in PRESETS["quick"].headline}
    calls: Calls = {
        "PGD-40": lambda: ours({"margin": PGD()}),
        "the headline of quick": lambda: ours(quick),
        "the APGD of strong": lambda: ours(AUTO),
        "AutoAttack, standard": whole,
    }
    broken = {name: int(call().sum()) for name, call in calls.items()}
    times = measured(calls, 2)
    shown(f"Bundles, trained MLP, 128 images, ε = {epsilon}", times)
    print("    broken: " + ", ".join(f"{name} {count}" for name, count in broken.items()))
    return held(
        "the APGD of strong against AutoAttack", times["the APGD of strong"] / times["AutoAttack, standard"], 0.25
    )


def main() -> None:
    torch.set_num_threads(1)
    sys.exit(not all([*(beside(name, model) for name, model in models().items()), strong()]))


if __name__ == "__main__":
    main()
