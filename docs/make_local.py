"""Layers of local rules on MNIST beside their controls, each under four heads; the table of docs/local-learning.md.

EIGENFALL_DATA=... .venv/bin/python docs/make_local.py             measures what is missing, and draws
EIGENFALL_DATA=... .venv/bin/python docs/make_local.py --only krotov@pnas_mnist:1000      of one rule and length

2 000 units; images in [0, 1] or of L3 norm 1. Controls: images of the training set as weights, and Gaussian weights.
Heads, all on ReLU(I)^4.5: ridge regression whose strength is chosen on 5 000 validation images; the RePU head and two
tanh heads, m = 6, trained by Adam for 40 epochs. A layer's weights and what was found are two files under runs/local; a
second call goes on where the first was stopped. About an hour and a half of processor time, half of it for
1 000 epochs.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from eigenfall import parts
from eigenfall.atomic import write_file
from eigenfall.convergence import Gates
from eigenfall.datasets.mnist import MNIST
from eigenfall.heads.repu import RePUHead
from eigenfall.heads.tanh import TanhHead
from eigenfall.learning import Learning, learn
from eigenfall.optimisation import Training
from eigenfall.readout import fit_head, fit_ridge, joined, scaled
from eigenfall.rules._shared import linear
from eigenfall.types import Examples

ROOT = Path(__file__).parents[1]
PAGE, RUNS = ROOT / "docs" / "local-learning.md", ROOT / "runs" / "local"
START, END = "<!-- table: docs/make_local.py -->", "<!-- end of table -->"
UNITS = 2000
KROTOV = "krotov@pnas_mnist"
LAYERS = [
    ("l3", "images", 1, 3),
    ("l3", "random", 1, 1),
    ("l3", KROTOV, 20, 1),
    ("l3", KROTOV, 60, 3),
    ("l3", KROTOV, 1000, 1),
    ("pixel", "images", 1, 1),
    ("pixel", "random", 1, 1),
    ("pixel", KROTOV, 20, 1),
    ("pixel", KROTOV, 60, 1),
]
"""Scaling of the images, rule, epochs, seeds."""
HEADS = {
    "ridge": None,
    "RePU, cross-entropy": RePUHead(power=4.5),
    "tanh, β = .1": TanhHead(beta=0.1),
    "tanh, β = 1": TanhHead(beta=1.0),
}
TRAINING = Training(learning_rate=1e-3, schedule=((20, 3e-4), (30, 1e-4)), batch_size=100, epochs=40)


def learnt(data: Examples, scaling: str, text: str, epochs: int, seed: int, stem: Path) -> tuple[nn.Module, dict]:
    """A layer and its gates, learnt unless its files are there."""
    rule = parts.read("rules", text)
    if hasattr(rule, "scaling"):
        rule = replace(rule, scaling=scaling)
    kept, told = stem.with_suffix(".safetensors"), stem.with_suffix(".json")
    if not kept.is_file():
        started = time.process_time()
        *_, last = learn(rule, data.train.inputs, Learning(UNITS, epochs, 100), (seed,))
        found: dict = {"seconds": round(time.process_time() - started, 1), "wrong": {}}
        layer = rule.layer(last.state)
        if hasattr(rule, "radius"):
            judged = Gates()(last.state.weights[0], rule.p, rule.radius, data.train.inputs)
            found |= {"unconverged": judged.unconverged, "gates": str(judged)}
        write_file(told, (json.dumps(found) + "\n").encode())
        write_file(kept, save({"map": layer.weight.detach().contiguous()}))
    return linear(load(kept.read_bytes())["map"]), json.loads(told.read_text())


def wrong(data: Examples, layer: nn.Module, name: str) -> list[int]:
    """Test images that the layer gets wrong under a head."""
    head = HEADS[name]
    if head is None:
        ridge = scaled(layer, RePUHead(power=4.5), data.train.inputs)
        fitted, _ = fit_ridge(layer, ridge, data.train, data.validation, data.classes)
    else:
        *_, last = fit_head(layer, head, data.train, data.validation, data.classes, TRAINING)
        fitted = last.model
    model = joined(layer, fitted)
    with torch.no_grad():
        answers = torch.cat([model(some).argmax(1) for some in data.test.inputs.split(2000)])
    return (answers != data.test.targets).nonzero().flatten().tolist()


def measure(scaling: str, text: str, epochs: int, seeds: int) -> None:
    """What is missing of one line of the table."""
    data = MNIST(scaling=scaling)()
    for seed in range(seeds):
        stem = stem_of(scaling, text, epochs, seed)
        layer, found = learnt(data, scaling, text, epochs, seed, stem)
        for name in HEADS:
            if name not in found["wrong"]:
                found["wrong"][name] = wrong(data, layer.requires_grad_(False), name)
                write_file(stem.with_suffix(".json"), (json.dumps(found) + "\n").encode())
            print(stem.name, name, len(found["wrong"][name]), "of 10000 wrong", flush=True)


def stem_of(scaling: str, text: str, epochs: int, seed: int) -> Path:
    """Where a layer is kept, without the ending."""
    return RUNS / f"{scaling}-{text.replace('@', '-')}-{epochs}-{seed}"


def right(scaling: str, text: str, epochs: int, seeds: int, name: str) -> Tensor:
    """How often each test image was right, a mean over seeds."""
    shares = torch.ones(seeds, 10_000)
    for seed in range(seeds):
        found = json.loads(stem_of(scaling, text, epochs, seed).with_suffix(".json").read_text())
        shares[seed, found["wrong"][name]] = 0
    return shares.mean(0)


def cell(line: Sequence, name: str) -> str:
    """Accuracy in percent, and the difference from training images under the same head, with its interval."""
    ours = 100 * right(*line, name)
    control = next(other for other in LAYERS if other[:2] == (line[0], "images"))
    apart = ours - 100 * right(*control, name)
    if line == control:
        return f"{ours.mean():.2f}"
    half = 1.96 * float(apart.std()) / len(apart) ** 0.5
    return f"{ours.mean():.2f}, {apart.mean():+.2f} ± {half:.2f}"


def table() -> str:
    """A line for each layer that has been measured, in Markdown."""
    lines = [
        f"| images | rule | epochs | seeds | off norm | {' | '.join(HEADS)} | epochs a minute |",
        "|---" * (6 + len(HEADS)) + "|",
    ]
    for line in LAYERS:
        scaling, text, epochs, seeds = line
        found = [
            json.loads(path.read_text())
            for seed in range(seeds)
            if (path := stem_of(scaling, text, epochs, seed).with_suffix(".json")).is_file()
        ]
        if len(found) < seeds or any(set(one["wrong"]) < set(HEADS) for one in found):
            continue
        off, speed = "–", "–"
        if "unconverged" in found[0]:
            off = f"{100 * np.mean([one['unconverged'] for one in found]):.0f} %"
            speed = f"{60 * epochs / np.mean([one['seconds'] for one in found]):.0f}"
        unit = "L3 norm 1" if scaling == "l3" else "[0, 1]"
        cells = " | ".join(cell(line, name) for name in HEADS)
        lines.append(f"| {unit} | {text} | {epochs} | {seeds} | {off} | {cells} | {speed} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every layer that is missing, and draw the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="RULE:EPOCHS", help="of this rule and length alone, nothing drawn")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for line in LAYERS:
        if asked.only in (None, f"{line[1]}:{line[2]}"):
            measure(*line)
    if asked.only is None:
        before, _, rest = PAGE.read_text().partition(START)
        PAGE.write_text(f"{before}{START}\n\n{table()}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
