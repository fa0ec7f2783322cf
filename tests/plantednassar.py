"""Records with planted numbers for the claims of Nassar et al. 2020: real nouns, nothing trained."""

from pathlib import Path

import torch

from eigenfall.papers.nassar2020.found import gathered
from eigenfall.papers.nassar2020.runs import arms
from eigenfall.types import Estimate, LpBall, Measurement, Record, RobustnessCurve, Smoothness, SpectrumFit, Verdict

IMAGES = 1000
EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2)


def curve(clean, accuracies, epsilons=EPSILONS):
    """A curve of one attack with these accuracies at .02, .05 and .1, of a thousand images."""
    accuracies = (accuracies[0], *accuracies, accuracies[-1])
    right = torch.arange(IMAGES) < round(clean * IMAGES)
    broken = torch.stack([torch.arange(IMAGES) >= round(accuracy * IMAGES) for accuracy in accuracies])[None]
    return RobustnessCurve(LpBall("Linf", (0.0, 1.0), "pixel"), {"pgd": "pgd"}, epsilons, broken, right)


def record(arm, seed, clean=0.95, robust=(0.7, 0.3, 0.1), alphas=(1.0,), n90=50.0, slope=1.0, margin=1.0, **more):
    """A record of an arm: `failed` a letter of a check, `validation` an accuracy, `published` accuracies."""
    fits = {
        f"hidden{layer}": SpectrumFit({"alpha": Estimate(alpha)}, (11, 199), (11, 199))
        for layer, alpha in enumerate(alphas, start=1)
    }
    rows = [{"quantity": "clean_accuracy", "value": clean}]
    rows += [{"quantity": "rank_at_90_percent", "layer": layer, "value": n90} for layer in fits]
    curves = {"headline": curve(clean, robust), "published_pgd": curve(clean, more.get("published", robust))}
    curves["named"] = curve(clean, more.get("named", robust))
    letters = more.get("failed", "")
    verdicts = tuple(Verdict(letter, "planted", "FAIL") for letter in letters)
    measurement = Measurement(
        name=arm, fits=fits, curves=curves, rows=tuple(rows), verdicts=verdicts,
        smoothness={"outputs": Smoothness("jacobian_norm", "outputs", torch.full((3,), slope).double())},
        margins=torch.full((3,), margin).double(),
    )  # fmt: skip
    history = ({"step": 1, "validation_accuracy": more.get("validation", clean)},)
    return Record(Path(f"{arm}-{seed}"), {"arm": arm, "seed": seed}, {}, measurement, history)


def planted(numbers, scale="small", seeds=3):
    """Records of arms: of each, settings of `record`, of which a function is called with the seed."""
    known = {arm.name for arm in arms(scale)}
    assert set(numbers) <= known, set(numbers) - known
    return gathered(
        [
            record(arm, seed, **{name: value(seed) if callable(value) else value for name, value in held.items()})
            for arm, held in numbers.items()
            for seed in range(seeds)
        ],
        scale,
    )
