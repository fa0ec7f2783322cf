"""Jacobians of the logits beside a plain step and beside vmap(jacrev): process CPU time, one thread.

    python bench/smoothness.py

A step is forward and backward of the cross-entropy, batch 128. One projection and the exact penalty go on to the
weights (½ mean ‖J‖²_F added to the loss); reports need no weights: exact ‖J‖_F by a loop over outputs, by batched
autograd (is_grads_batched), by vmap(jacrev), and ‖J‖₂, log-volume and first-order distance by the parts. All
contestants take turns and the least of several times counts; ratios, not seconds, are held against the targets.

Prints a table, then a line per target, and exits 1 if one is missed.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.smoothness.distance import Distance
from eigenfall.smoothness.frobenius import Frobenius
from eigenfall.smoothness.logvolume import LogVolume
from eigenfall.smoothness.spectralnorm import SpectralNorm
from eigenfall.types import ForwardPass

BATCH, CLASSES = 128, 10
REPEATS = {"MLP 784-256-256-10": 20, "CNN 16-32-1000": 4}
TARGETS = (("penalty, one projection", 2.7), ("report, exact", 12.0))
SLACK = 1.2


def models() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "MLP 784-256-256-10": nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, CLASSES)
        ),
        "CNN 16-32-1000": nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 1000),
            nn.Tanh(),
            nn.Linear(1000, CLASSES),
        ),
    }


def contestants(model: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Callable[[], Tensor | None]]:
    seed = torch.Generator().manual_seed(0)

    def step(penalty: JacobianNorm | None) -> None:
        at = inputs.clone().requires_grad_(penalty is not None)
        outputs = model(at)
        loss = nn.functional.cross_entropy(outputs, targets)
        if penalty is not None:
            loss = loss + penalty(ForwardPass(at, targets, outputs, {}, {}), None, seed).total
        loss.backward()
        model.zero_grad()

    def batched() -> Tensor:
        at = inputs.clone().requires_grad_()
        outputs = model(at)
        basis = torch.eye(CLASSES)[:, None].expand(-1, len(inputs), -1)
        (rows,) = torch.autograd.grad(outputs, at, basis, is_grads_batched=True)
        return rows.double().square().flatten(2).sum((0, 2)).sqrt()

    weights = {name: value.detach() for name, value in model.named_parameters()}

    def functional() -> Tensor:
        rows = vmap(jacrev(lambda x: functional_call(model, weights, (x[None],))[0]))(inputs)
        return rows.double().square().flatten(1).sum(1).sqrt()

    def closed() -> Tensor:
        """Product of masked weights; for a perceptron of ReLUs."""
        h, product = inputs.flatten(1), None
        for layer in (module for module in model if isinstance(module, nn.Linear)):
            weight = layer.weight.detach()
            product = weight.expand(len(h), -1, -1) if product is None else weight @ product
            h = layer(h).detach()
            if weight.shape[0] != CLASSES:
                product, h = product * (h > 0)[:, :, None], h.relu()
        return product.double().square().sum((1, 2)).sqrt()

    def part(made) -> Callable[[], Tensor]:
        return lambda: made(model, inputs, "outputs", seed).values

    found: dict[str, Callable[[], Tensor | None]] = {
        "plain step": lambda: step(None),
        "penalty, one projection": lambda: step(JacobianNorm()),
        "penalty, exact": lambda: step(JacobianNorm(projections=None)),
        "report, exact": part(Frobenius(projections=None)),
        "report, batched autograd": batched,
        "report, vmap(jacrev)": functional,
        "spectral norm": part(SpectralNorm()),
        "log-volume": part(LogVolume()),
        "distance": part(Distance()),
    }
    if isinstance(model[0], nn.Flatten):
        found["report, closed form"] = closed
    return found


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


def main() -> None:
    torch.set_num_threads(1)
    failed = False
    for name, model in models().items():
        inputs = torch.rand(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(1))
        targets = torch.randint(CLASSES, (BATCH,), generator=torch.Generator().manual_seed(2))
        calls = contestants(model, inputs, targets)
        exact = calls["report, exact"]()
        for other in ("report, batched autograd", "report, vmap(jacrev)", "report, closed form"):
            if other in calls and not torch.allclose(calls[other](), exact, rtol=1e-5):
                print(f"{name}: {other} does not give the exact norm")
                sys.exit(1)
        times = measured(calls, REPEATS[name])
        print(f"{name}, batch {BATCH}: a plain step takes {1000 * times['plain step']:.1f} ms of CPU time")
        for call, value in times.items():
            print(f"    {call:26} {value / times['plain step']:8.2f} plain steps")
        if name.startswith("MLP"):
            for call, most in TARGETS:
                ratio = times[call] / times["plain step"]
                failed |= ratio > most * SLACK
                print(f"{call}: {ratio:.2f} <= {most} (+20 %) {'PASS' if ratio <= most * SLACK else 'FAIL'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
