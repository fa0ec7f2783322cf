"""`eigenfall attack`: accuracy under the attacks that you name."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from eigenfall import parts
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.flags import Parts, read_all
from eigenfall.commands.subjects import run_of
from eigenfall.robustness import attacking, only
from eigenfall.rows import of_clean, of_curve, with_context
from eigenfall.runs import built
from eigenfall.types import GaussianNoise, LpBall, Split

DEFAULT = ("pgd:loss=margin,restarts=2", "pgd:loss=dlr,restarts=2", "pgd:loss=ce_std,restarts=2")
SHOWN = {"robust_accuracy": "", "noise_accuracy": ", mean of draws", "worst_draw_accuracy": ", worst of draws"}


def named(texts: tuple[str, ...]) -> dict[str, Any]:
    """Attacks by the shortest names that tell them apart: the part's, or the text that was given."""
    found = read_all("attacks", texts)
    short = [parts.name_of(part) for part in found]
    return {name if short.count(name) == 1 else text: part for name, text, part in zip(short, texts, found)}


def attack(
    subject: Annotated[str, tyro.conf.Positional],
    /,
    data: str = "",
    weights: Path | None = None,
    trusted: bool = False,
    attack: Parts = (),
    norm: Literal["Linf", "L2", "gaussian"] = "Linf",
    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3),
    images: int | None = 1000,
    batch_size: int = 256,
    seed: int = 0,
    device: str = "auto",
    json: str = "",
) -> None:
    """Accuracy of a model on test images under each attack, and under the worst of them per image.

    Args:
        subject: package.module:factory, a folder of a finished run, or a saved model.
        data: data set, for instance cifar10 or file:path=images.npz; of a finished run: its own.
        weights: your model's weights, .safetensors or a state dict.
        trusted: a .pt2 file is your own, so that loading it may run what is in it.
        attack: an attack, see `eigenfall parts attacks`; may be given several times; by default PGD on three losses.
        norm: Linf or L2 balls; gaussian: noise of that standard deviation, for the attack `noise`.
        epsilons: budgets, in the inputs' unit.
        images: how many test images, the first ones; none: all.
        batch_size: largest number of inputs in one pass.
        seed: of random starts and noise.
        device: auto, cpu, cuda or mps.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    run = run_of(subject, data, weights, trusted)
    run = replace(run, device=device)
    need(run.data is not None, expected="a model to attack", got="a recording", remedy="Name a model and --data.")
    attacks = named(attack or DEFAULT)
    examples = run.data()
    model = built(run, examples)
    some = Split(examples.test.inputs[:images], examples.test.targets[:images])
    threat = (
        GaussianNoise(examples.bounds, examples.unit)
        if norm == "gaussian"
        else LpBall(norm, examples.bounds, examples.unit)
    )
    budgets = tuple(sorted(set(epsilons)))
    curve = screen.watched(
        attacking(model, attacks, some, threat, budgets, torch.Generator().manual_seed(seed), batch_size=batch_size)
    )
    curves = {name: only(curve, name) for name in attacks} | ({"worst": curve} if len(attacks) > 1 else {})
    rows = with_context(
        [of_clean(curve.clean_correct), *(entry for name, each in curves.items() for entry in of_curve(name, each))],
        {"arm": run.arm, "seed": seed, "data": parts.spell(run.data)},
    )
    console = screen.printing(json)
    lines = [
        (f"{name}{says}", *map(screen.percent, here))
        for name in curves
        for quantity, says in SHOWN.items()
        if (here := [entry for entry in rows if entry.get("attack") == name and entry["quantity"] == quantity])
    ]
    clean = screen.percent(next(entry for entry in rows if entry["quantity"] == "clean_accuracy"))
    title = f"{run.arm}: clean accuracy {clean}, {len(some)} test images, {norm}, {examples.unit}"
    screen.table(title, ("attack", *(f"ε = {epsilon:g}" for epsilon in budgets)), lines, console)
    console.print("No check of gradient masking ran: `eigenfall measure` runs them.", style="dim")
    screen.emit(rows, json)
