"""Layers of local rules on MNIST beside their controls, all under one readout, and the table of docs/local-learning.md.

EIGENFALL_DATA=... .venv/bin/python docs/make_local.py [--seeds 1] [--epochs 20 60]      measures what is missing, draws

2 000 units, currents to the power 4.5 rectified, ridge regression whose strength is chosen on 5 000 validation images.
Images are in [0, 1] or have L3 norm 1. Controls: images of the training set as weights, and Gaussian weights. Each
layer is one file under runs/local; a second call goes on where the first was stopped. About ten minutes of processor
time.
"""

import argparse
import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from eigenfall import parts
from eigenfall.atomic import write_file
from eigenfall.convergence import Gates
from eigenfall.datasets.mnist import MNIST
from eigenfall.heads.repu import RePUHead
from eigenfall.learning import Learning, learn
from eigenfall.readout import fit_ridge, joined, scaled
from eigenfall.statistics import wilson

ROOT = Path(__file__).parents[1]
PAGE, RUNS = ROOT / "docs" / "local-learning.md", ROOT / "runs" / "local"
START, END = "<!-- table: docs/make_local.py -->", "<!-- end of table -->"
UNITS = 2000


def measured(scaling: Literal["pixel", "l3"], text: str, epochs: int, seed: int) -> dict:
    """One layer: gates, accuracy under the readout, processor time of its learning."""
    data, rule = MNIST(scaling=scaling)(), parts.read("rules", text)
    if hasattr(rule, "scaling"):
        rule = replace(rule, scaling=scaling)
    started = time.process_time()
    *_, last = learn(rule, data.train.inputs, Learning(UNITS, epochs, 100), (seed,))
    seconds = time.process_time() - started
    layer = rule.layer(last.state)
    head = scaled(layer, RePUHead(power=4.5), data.train.inputs)
    fitted, ridge = fit_ridge(layer, head, data.train, data.validation, data.classes)
    model = joined(layer, fitted)
    with torch.no_grad():
        answers = torch.cat([model(some).argmax(1) for some in data.test.inputs.split(2000)])
    found = {
        "scaling": scaling,
        "rule": text,
        "epochs": epochs,
        "seed": seed,
        "seconds": round(seconds, 1),
        "strength": ridge.strength,
    }
    found["right"], found["of"] = int((answers == data.test.targets).sum()), len(answers)
    if hasattr(rule, "radius"):
        judged = Gates()(last.state.weights[0], rule.p, rule.radius, data.train.inputs)
        found |= {"unconverged": judged.unconverged, "gates": str(judged)}
    return found


def table(found: list[dict]) -> str:
    """A line for each layer, in Markdown."""
    lines = ["| images | rule | epochs | seed | off norm | test accuracy, % | epochs a minute |", "|---" * 7 + "|"]
    for one in found:
        _, low, high, _ = wilson(one["right"], one["of"])
        off = f"{100 * one['unconverged']:.0f} %" if "unconverged" in one else "–"
        speed = f"{60 * one['epochs'] / one['seconds']:.0f}" if "unconverged" in one else "–"
        share = f"{100 * one['right'] / one['of']:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
        unit = "L3 norm 1" if one["scaling"] == "l3" else "[0, 1]"
        lines.append(f"| {unit} | {one['rule']} | {one['epochs']} | {one['seed']} | {off} | {share} | {speed} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every layer that is missing, and draw the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 60])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    layers = [("images", 1), ("random", 1), *(("krotov@pnas_mnist", epochs) for epochs in asked.epochs)]
    found = []
    for scaling, (text, epochs) in itertools.product(("l3", "pixel"), layers):
        for seed in range(asked.seeds):
            path = RUNS / f"{scaling}-{text.replace('@', '-')}-{epochs}-{seed}.json"
            if not path.is_file():
                line = measured(scaling, text, epochs, seed)
                write_file(path, (json.dumps(line, indent=1) + "\n").encode())
            found.append(json.loads(path.read_text()))
            print(found[-1], flush=True)
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(f"{before}{START}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
