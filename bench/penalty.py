"""The spectral penalty's step, forward and backward, beside the published formula run as a loop and vectorised.

All three have the same basis and give the same number. One process, one thread; the contestants take turns, and the
smallest of several processor times counts. The next table is a whole training step with and without the penalty, for a
small network. The last ones are updates of the paper's three networks, without a penalty, with all ranks of each layer,
and with a subset of 100, and what one refresh costs beside them. Their inputs are random; times do not depend on it.

    python bench/penalty.py [TABLE ...] [repeats=N] [device=cuda]
                                            tables: penalty, small, shallow, deep, cnn; all without a name

On a GPU the clock on the wall counts instead of processor time, the device waited for, and `penalty` has widths up to
3600 too. The targets are of a CPU.

`cnn` has batches of 1000, not the paper's 6000. Plain update and penalty are proportional to the batch, a refresh is
not: beside the paper's batches it would count a sixth, so that it is taken after 300 updates here.
"""

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive
import torch
from torch import Tensor, nn

from eigenfall.architectures.cnn import PRESETS as CNNS
from eigenfall.architectures.mlp import PRESETS as MLPS
from eigenfall.layers import hidden_names
from eigenfall.passes import forward, reference_of
from eigenfall.penalties.spectral import PRESETS, Spectral, SpectralState
from eigenfall.training import Training, train
from eigenfall.types import Examples, ForwardPass, Split

ALPHA, TAU = 1.0, 10
DEVICE = "cpu"
TARGETS = (
    ("released loop", 1000, 1500, 3.0),
    ("released loop", 2000, 3500, 2.5),
    ("vectorised C-form", 1000, 1500, 1.7),
    ("vectorised C-form", 2000, 3500, 1.7),
)


def now() -> float:
    """Processor time, in seconds; on a GPU that of the wall, when the device is done."""
    if DEVICE == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(contestants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Smallest time of each; every repeat runs them all in turn."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(repeats):
        for name, run in contestants.items():
            start = now()
            run()
            best[name] = min(best[name], now() - start)
    return best


def steps(units: int, samples: int, repeats: int) -> dict[str, float]:
    """Time of one penalty step: value, and gradient at the hidden values."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.linalg.qr(torch.randn(units, units, generator=generator)).Q
    rows = torch.randn(samples, units, generator=generator) * torch.arange(1, units + 1) ** -0.5 @ mixing
    rows = rows.to(DEVICE)
    basis = naive.released_basis(rows)
    hidden = rows.clone().requires_grad_()
    state = SpectralState(basis={"hidden1": basis}, anchor={"hidden1": rows.new_tensor(1 / (TAU + 1))}, age=1)
    targets = torch.zeros(samples, dtype=torch.int64, device=DEVICE)
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
    """Time of 20 updates of the small-scale network, with refreshes where they fall due."""
    generator = torch.Generator().manual_seed(0)
    images, classes = torch.rand(3000, 784, generator=generator), torch.randint(10, (3000,), generator=generator)
    split = Split(images.to(DEVICE), classes.to(DEVICE))

    def fit(penalties: Mapping[str, Spectral]) -> Callable[[], None]:
        def run() -> None:
            torch.manual_seed(0)
            widths = (784, 200, 200, 200)
            model = nn.Sequential()
            for place in range(3):
                model.add_module(f"linear{place + 1}", nn.Linear(widths[place], widths[place + 1]))
                model.add_module(f"hidden{place + 1}", nn.Tanh())
            model.add_module("readout", nn.Linear(200, 10))
            model.to(DEVICE)
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


SUBSET, MOST = 100, 1.25
"""Ranks drawn in each layer, and how many plain updates one with the subset may cost, refreshes included."""
VIEWED = {
    "shallow": {"channels": {}},
    "deep": {"channels": {}},
    "cnn": {"flatten": {"view": "flatten"}, "project": {"view": "project"}},
}
PAPER = {
    "shallow": ("784-2000-10 with batch-norm", MLPS["nassar2020_shallow"], 3500, 200),
    "deep": ("784-1000-1000-1000-10", MLPS["nassar2020_deep"], 1500, 200),
    "cnn": ("16-32 channels, 1000-10", CNNS["nassar2020"], 1000, 300),
}
"""What it is, how it is built, the batch, and after how many updates a basis is renewed."""


def paper_updates(which: str, repeats: int) -> bool:
    """Print updates of one of the paper's networks; whether one with the subset, refreshes included, is cheap enough.

    An update is a forward pass, cross-entropy, the penalty, a backward pass, and Adam's step.
    """
    title, architecture, batch, period = PAPER[which]
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.rand(30_000, 1, 28, 28, generator=generator), torch.randint(10, (30_000,), generator=generator))
    empty = Split(split.inputs[:0], split.targets[:0])
    model = architecture(Examples("random", split, empty, empty, 10), generator).to(DEVICE)
    split = Split(split.inputs.to(DEVICE), split.targets.to(DEVICE))
    layers, optimiser = hidden_names(model), Training(amsgrad=True, learning_rate=1e-4).optimiser_of(model)
    reference = reference_of(model, split, layers, batch)
    rows = Split(split.inputs[:batch], split.targets[:batch])
    parts: dict[str, Spectral] = {}
    states: dict[str, SpectralState] = {}
    refresh: dict[str, float] = {}
    for how, settings in VIEWED[which].items():
        full = Spectral(refresh="every_k_steps", k_steps=period, fixed=False, order="identity", **settings)
        # a first basis from few rows, to have one that the refresh measures and replaces; most of its ranks are empty
        with warnings.catch_warnings(action="ignore"):
            first = replace(full, rows=100, last_rank="units").start(reference, generator)
        start = now()
        state = full.refreshed(first, reference, generator)
        refresh[how] = now() - start
        for name, part in (("all ranks", full), (f"subset of {SUBSET}", replace(full, subset=SUBSET))):
            parts[f"{how}, {name}"], states[f"{how}, {name}"] = part, state

    def update(name: str) -> Callable[[], None]:
        def run() -> None:
            seen = forward(model, rows.inputs, rows.targets, layers, requires_grad=False)
            loss = nn.functional.cross_entropy(seen.outputs, rows.targets)
            if name in parts:
                loss = loss + parts[name](seen, states[name], generator).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        return run

    model.train()
    times = timed({name: update(name) for name in ("no penalty", *parts)}, repeats)
    table(f"one update, {title}, B = {batch}, float32", times)
    plain, held = times["no penalty"], True
    for how in VIEWED[which]:
        renewing = refresh[how] / plain
        print(f"  one refresh, {how}: {refresh[how]:.1f} s, {renewing:.1f} plain updates")
        for name in ("all ranks", f"subset of {SUBSET}"):
            bare = times[f"{how}, {name}"] / plain
            ratio = bare + renewing / period
            allowed = f"if every {math.ceil(renewing / (MOST - bare))} or more" if bare < MOST else "never"
            print(f"    {name}, renewed every {period}: {ratio:.2f} plain updates; at most {MOST} {allowed}")
        held &= ratio <= MOST  # the subset's, which is last
        print(f"{which} {how} subset={SUBSET} ratio {ratio:.2f} <= {MOST} {'PASS' if ratio <= MOST else 'FAIL'}")
    return held


def table(title: str, times: Mapping[str, float]) -> None:
    first = next(iter(times.values()))
    print(title)
    for name, seconds in times.items():
        print(f"  {name:<24}{1000 * seconds:>10.1f} ms{seconds / first:>8.2f} x")


def main(wanted: list[str], repeats: int | None, device: str) -> int:
    """Print the tables that are wanted; 1 if a target is missed."""
    global DEVICE
    DEVICE = device
    torch.set_num_threads(1)
    failed = False
    if DEVICE != "cpu":
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if "penalty" in wanted:
        sizes = [(1000, 1500, 7), (2000, 3500, 4)] + [(2704, 6000, 3), (3600, 6000, 3)] * (DEVICE != "cpu")
        found = {(units, samples): steps(units, samples, repeats or usual) for units, samples, usual in sizes}
        for (units, samples), times in found.items():
            table(f"one penalty step, D = {units}, B = {samples}, float32", times)
        for name, units, samples, target in TARGETS:
            times = found[units, samples]
            ratio = times[name] / times["eigenfall, nassar2020"]
            failed |= ratio < target
            verdict = "PASS" if ratio >= target else "FAIL"
            print(f"penalty D={units} B={samples} against {name} ratio {ratio:.2f} >= {target} {verdict}")
    if "small" in wanted:
        table("20 updates with start, 784-200-200-200-10, B = 300", training_steps())
    for which in PAPER:
        if which in wanted:
            failed |= not paper_updates(which, repeats or 3)
    return int(failed)


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if "=" not in word]
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    tables = ["penalty", "small", *PAPER]
    if unknown := set(names) - set(tables):
        sys.exit(f"Expected tables among {', '.join(tables)}, got {', '.join(sorted(unknown))}.")
    sys.exit(main(names or tables, int(asked["repeats"]) if "repeats" in asked else None, asked.get("device", "cpu")))
