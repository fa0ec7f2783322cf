"""`eigenfall attack`: accuracy under a bundle of attacks with the checks that judge it, or under attacks by name."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from eigenfall import parts
from eigenfall.check import need
from eigenfall.commands import screen
from eigenfall.commands.flags import Bundle, Parts, read_all
from eigenfall.commands.subjects import beside, run_of
from eigenfall.commands.summary import command_line, show_attacks
from eigenfall.commands.train import finish
from eigenfall.plans import Plan
from eigenfall.records import load
from eigenfall.report.page import write
from eigenfall.robustness import attacking, only
from eigenfall.rows import of_clean, of_curve, with_context
from eigenfall.runs import built
from eigenfall.settings import Run
from eigenfall.types import GaussianNoise, LpBall, Split


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
    twin: str = "",
    arm: str = "",
    preset: Bundle = "quick",
    attack: Parts = (),
    norm: Literal["Linf", "L2", "gaussian"] = "Linf",
    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3),
    noise: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5),
    images: int | None = 1000,
    batch_size: int = 256,
    seed: int = 0,
    device: str = "auto",
    output: Path = Path("runs"),
    json: str = "",
) -> None:
    """Accuracy of a model on test images under a bundle of attacks, the worst of them per image, with its checks.

    Keeps a record and writes a page. With --attack, the attacks that you name instead: no check, no record.

    Args:
        subject: package.module:factory, a folder of a finished run, or a saved model.
        data: data set, for instance cifar10 or file:path=images.npz; of a finished run: its own.
        weights: your model's weights, .safetensors or a state dict.
        trusted: .pt2 files are your own, so that loading them may run what is in them.
        twin: a model of the same inputs and classes without the subject's defence, as a subject is named; the presets
            strong and standard attack from it; without it from a net distilled on the subject's outputs.
        arm: name of the record; empty: the subject's.
        preset: bundle of attacks and checks.
        attack: an attack, see `eigenfall parts attacks`; may be given several times.
        norm: Linf or L2 balls; gaussian: noise of that standard deviation, with --attack noise.
        epsilons: budgets, in the inputs' unit.
        noise: standard deviations of the bundle's noise curve, in the inputs' unit.
        images: how many test images, the first ones; none: all.
        batch_size: largest number of inputs in one pass.
        seed: of random starts and noise.
        device: auto, cpu, cuda or mps.
        output: folder of the record and the page.
        json: write the same numbers as tidy rows to this file, `-` for standard output.
    """
    run = beside(run_of(subject, data, weights, trusted), twin, trusted)
    need(run.data is not None, expected="a model to attack", got="a recording", remedy="Name a model and --data.")
    need(
        norm != "gaussian" or bool(attack),
        expected="an Linf or L2 ball for a bundle of attacks",
        got="--norm gaussian",
        remedy="Add --attack noise, or leave --norm out: the bundle draws noise, too.",
    )
    plan = Plan(
        layers=None,
        smoothness_inputs=0,
        preset=preset,
        norm="L2" if norm == "L2" else "Linf",
        epsilons=tuple(sorted(set(epsilons))),
        noise=tuple(sorted(set(noise))),
        attacked_inputs=images,
        batch_size=batch_size,
        seed=seed,
    )
    if attack:
        _alone(replace(run, device=device), named(attack), norm, plan, json)
        return
    run = replace(run, arm=arm or run.arm, seed=seed, plan=plan, stimuli="test", device=device)
    (folder,) = finish([run], output, 1, json, f"Attacked {run.arm}")
    found = load(folder)
    page = write([found], output / f"{found.name}.html", f"The robustness of {run.arm}", command_line())
    screen.printing(json).print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)


def _alone(run: Run, attacks: dict[str, Any], norm: Literal["Linf", "L2", "gaussian"], plan: Plan, json: str) -> None:
    """Attacks that were named, and nothing beside them."""
    examples = run.data()
    model = built(run, examples)
    some = Split(examples.test.inputs[: plan.attacked_inputs], examples.test.targets[: plan.attacked_inputs])
    threat = (
        GaussianNoise(examples.bounds, examples.unit)
        if norm == "gaussian"
        else LpBall(norm, examples.bounds, examples.unit)
    )
    source = torch.Generator().manual_seed(plan.seed)
    curve = screen.watched(attacking(model, attacks, some, threat, plan.epsilons, source, batch_size=plan.batch_size))
    curves = {name: only(curve, name) for name in attacks} | ({"worst": curve} if len(attacks) > 1 else {})
    for name, each in curves.items():  # one draw has no mean of draws, nor has the worst of several attacks
        if getattr(attacks.get(name), "draws", 1) == 1:
            curves[name] = replace(each, flip_probability=None)
    rows = with_context(
        [of_clean(curve.clean_correct), *(entry for name, each in curves.items() for entry in of_curve(name, each))],
        {"arm": run.arm, "seed": plan.seed, "data": parts.spell(run.data)},
    )
    console = screen.printing(json)
    show_attacks(rows, run.arm, console)
    console.print("No check of gradient masking ran: --preset quick runs them.", style="dim")
    screen.emit(rows, json)
