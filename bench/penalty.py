"""The spectral penalty's step, forward and backward, beside the published formula run as a loop and vectorised.

All three have the same basis and give the same number. One process, one thread; the contestants take turns, and the
smallest of several processor times counts. The last table is a whole training step with and without the penalty.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive
import torch
from torch import Tensor, nn

from eigenfall.penalties.spectral import PRESETS, Spectral, SpectralState
from eigenfall.training import Training, train
from eigenfall.types import ForwardPass, Split

ALPHA, TAU = 1.0, 10
TARGETS = (
    ("released loop", 1000, 1500, 3.0),
    ("released loop", 2000, 3500, 2.5),
    ("vectorised C-form", 1000, 1500, 1.7),
    ("vectorised C-form", 2000, 3500, 1.7),
)


def timed(contestants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Smallest processor time of each, in seconds; every repeat runs them all in turn."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def steps(units: int, samples: int, repeats: int) -> dict[str, float]:
    """Processor time of one penalty step: value, and gradient at the hidden values."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.linalg.qr(torch.randn(units, units, generator=generator)).Q
    rows = torch.randn(samples, units, generator=generator) * torch.arange(1, units + 1) ** -0.5 @ mixing
    basis = naive.released_basis(rows)
    hidden = rows.clone().requires_grad_()
    state = SpectralState(basis={"hidden1": basis}, anchor={"hidden1": rows.new_tensor(1 / (TAU + 1))}, age=1)
    targets = torch.zeros(samples, dtype=torch.int64)
    forward_pass = ForwardPass(rows, targets, rows, {"hidden1": hidden}, {})
    values: dict[str, float] = {}

    def backward(name: str, total: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            hidden.grad = None
            value = total()
            value.backward()
            values[name] = float(value.detach())

        return run

    found = timed(
        {
            "eigenfall, nassar2020": backward(
                "eigenfall", lambda: PRESETS["nassar2020"](forward_pass, state, generator).total
            ),
            "eigenfall, default": backward("default", lambda: Spectral()(forward_pass, state, generator).total),
            "vectorised C-form": backward("C", lambda: naive.vectorised_excess(hidden, basis, ALPHA, TAU)),
            "released loop": backward("loop", lambda: naive.released_excess(hidden, basis, ALPHA, TAU)),
        },
        repeats,
    )
    for name in ("C", "loop"):
        if abs(values[name] - values["eigenfall"]) > 1e-4 * abs(values["loop"]):
            raise ValueError(f"Expected the same penalty from all, got {values}. The comparison is void.")
    return found


def training_steps() -> dict[str, float]:
    """Processor time of 20 updates of the small-scale network, with refreshes where they fall due."""
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.rand(3000, 784, generator=generator), torch.randint(10, (3000,), generator=generator))

    def fit(penalties: Mapping[str, Spectral]) -> Callable[[], None]:
        def run() -> None:
            torch.manual_seed(0)
            widths = (784, 200, 200, 200)
            model = nn.Sequential()
            for place in range(3):
                model.add_module(f"linear{place + 1}", nn.Linear(widths[place], widths[place + 1]))
                model.add_module(f"hidden{place + 1}", nn.Tanh())
            model.add_module("readout", nn.Linear(200, 10))
            settings = Training(batch_size=300, epochs=None, steps=20)
            for _ in train(model, split, Split(split.inputs[:0], split.targets[:0]), penalties, settings, seed=0):
                pass

        return run

    return timed(
        {
            "no penalty": fit({}),
            "nassar2020": fit({"spectral": PRESETS["nassar2020"]}),
            "default (auto)": fit({"spectral": Spectral()}),
            "every step": fit({"spectral": Spectral(refresh="every_k_steps", k_steps=1)}),
        },
        2,
    )


def table(title: str, times: Mapping[str, float]) -> None:
    first = next(iter(times.values()))
    print(title)
    for name, seconds in times.items():
        print(f"  {name:<24}{1000 * seconds:>10.1f} ms{seconds / first:>8.2f} x")


def main() -> int:
    torch.set_num_threads(1)
    found = {
        (units, samples): steps(units, samples, repeats)
        for units, samples, repeats in ((1000, 1500, 7), (2000, 3500, 4))
    }
    for (units, samples), times in found.items():
        table(f"one penalty step, D = {units}, B = {samples}, float32", times)
    table("20 updates with start, 784-200-200-200-10, B = 300", training_steps())
    failed = False
    for name, units, samples, target in TARGETS:
        times = found[units, samples]
        ratio = times[name] / times["eigenfall, nassar2020"]
        held = ratio >= target
        failed |= not held
        print(
            f"penalty D={units} B={samples} against {name} ratio {ratio:.2f} >= {target} {'PASS' if held else 'FAIL'}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
