"""Our APGD and our bundles beside AutoAttack's own, on three trained models, and the table of docs/robustness.md.

EIGENFALL_DATA=... .venv/bin/python docs/make_autoattack.py [--images 1000]      measures what is missing, then draws

MNIST, the first test images. AutoAttack is pyautoattack's, called as its documentation does. Single attacks are means
over three seeds, whole bundles are of the first. Each model is one file under runs/autoattack; a second call goes on
where the first was stopped. About half an hour on one core.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from torch import nn  # noqa: E402
from zoo import animals  # noqa: E402

from eigenfall.attacks.apgd import APGD  # noqa: E402
from eigenfall.presets import PRESETS  # noqa: E402
from eigenfall.robustness import robustness  # noqa: E402
from eigenfall.types import LpBall, Split  # noqa: E402

PAGE, RUNS = ROOT / "docs" / "robustness.md", ROOT / "runs" / "autoattack"
START, END = "<!-- table: docs/make_autoattack.py -->", "<!-- end of table -->"
MODELS = {"plain": 0.05, "BatchNorm CNN": 0.1, "adversarially trained": 0.15}
"""Epsilon of each."""
STEPS = {
    "apgd-ce": APGD(loss="ce"),
    "apgd-dlr": APGD(loss="dlr"),
    "apgd-t": APGD(loss="dlr", targets=9),
}
"""Ours, by the name of AutoAttack's."""
SEEDS = (0, 1, 2)
"""Of single attacks."""


def examined(name: str, images: int) -> dict:
    """Accuracy of one model, clean and under each attack, ours and theirs."""
    from pyautoattack import AutoAttack as Theirs
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    epsilon, of = MODELS[name], animals.data("mnist")
    model = nn.Sequential(nn.Flatten(), animals.ANIMALS[name].make("mnist", 0)).eval()
    data = Split(of.test.inputs[:images].reshape(-1, 1, 28, 28), of.test.targets[:images])

    def ours(attacks: dict, seed: int = 0) -> float:
        curve = robustness(model, attacks, data, LpBall(), (epsilon,), torch.Generator().manual_seed(seed))
        return float((~curve.worst()[0]).double().mean())

    def theirs(moved: torch.Tensor) -> float:
        with torch.no_grad():
            return float((model(moved).argmax(1) == data.targets).double().mean())

    def by_itself(attack: str, seed: int) -> float:
        quiet = {"n_restarts": 1, "n_iter": 100, "eot_iter": 1, "rho": 0.75, "verbose": False}
        given = {"norm": "Linf", "eps": epsilon, "seed": seed, "device": "cpu", **quiet}
        if attack == "apgd-t":
            made = APGDAttack_targeted(model, n_target_classes=9, **given)
        else:
            made = APGDAttack(model, loss=attack.removeprefix("apgd-"), **given)
        return theirs(made.perturb(data.inputs, data.targets))

    found = {"model": name, "epsilon": epsilon, "images": images, "clean": theirs(data.inputs)}
    for attack, part in STEPS.items():
        found[f"{attack}, ours"] = mean(ours({attack: part}, seed) for seed in SEEDS)
        found[f"{attack}, theirs"] = mean(by_itself(attack, seed) for seed in SEEDS)
    for bundle in ("quick", "strong"):
        preset = PRESETS[bundle]
        found[bundle] = ours({attack: preset.attacks[attack] for attack in preset.headline})
    equal = {attack: PRESETS["quick"].attacks[attack] for attack in PRESETS["quick"].headline}
    found["quick, decaying steps"] = ours({name: replace(attack, decay="cosine") for name, attack in equal.items()})
    whole = Theirs(model, version="standard", norm="Linf", eps=epsilon, seed=0, device="cpu")
    found["AutoAttack standard"] = theirs(whole.run_standard_evaluation(data.inputs, data.targets, batch_size=250)[0])
    return found


def table(found: list[dict]) -> str:
    """Accuracies in percent, in Markdown."""
    columns = [*STEPS, "quick", "quick, decaying steps", "strong", "AutoAttack standard"]
    lines = ["| model, ε, images | clean | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    for entry in found:
        cells = [
            f"{100 * entry[f'{name}, ours']:.1f}, {100 * entry[f'{name}, theirs']:.1f}"
            if name in STEPS
            else f"{100 * entry[name]:.1f}"
            for name in columns
        ]
        about = f"| {entry['model']}, {entry['epsilon']:g}, {entry['images']} | {100 * entry['clean']:.1f} | "
        lines.append(about + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure every model that is missing, and draw the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    RUNS.mkdir(parents=True, exist_ok=True)
    found = []
    for name in MODELS:
        path = RUNS / f"{name.lower().replace(' ', '-')}-{asked.images}.json"
        if not path.is_file():
            path.write_text(json.dumps(examined(name, asked.images), indent=1) + "\n")
        found.append(json.loads(path.read_text()))
        print(found[-1], flush=True)
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(f"{before}{START}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
