"""What the checks of a bundle need, gathered: curves, and numbers that no curve holds. A check runs no attack.

The checks' own attacks run on the first `images` inputs, at the epsilon that halves the clean successes (found by
bisection with the bundle's `search` attack) and at twice that.

Source: `docs/robustness.md` §4-5.
"""

import copy
import hashlib
import math
import platform
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import ascent, is_zero
from eigenfall.robustness.curves import only
from eigenfall.robustness.harness import attacking
from eigenfall.stages import consumed
from eigenfall.types import Evidence, GaussianNoise, RobustnessCurve, Split, Stage, Threat, Verdict

LOSSES = ("margin", "dlr", "ce_std", "ce")
SCALES = (0.01, 100.0, 1000.0)
ORDER = {
    "p1": "same answer twice",
    "p2": "answer does not depend on the batch",
    "p3": "outputs are logits, not probabilities",
    "p4": "margin has a gradient",
    "p5": "gradient agrees with secants",
    "p6": "surrogate gradients declared",
    "a": "unbounded attack breaks everything",
    "b": "accuracy falls with the budget",
    "c": "more steps and starts break no more",
    "d": "weaker attacks break nothing more",
    "e": "black-box attack breaks nothing more",
    "f": "transferred attack breaks nothing more",
    "g": "gradients do not vanish",
    "h": "worst case per input, with interval",
    "i": "threat model on record",
    "j": "headline does not depend on the logits' scale",
}
"""Every check in the order in which it is shown, with what it asks."""


@runtime_checkable
class Bundle(Protocol):
    """What is gathered for; see `presets`."""

    @property
    def attacks(self) -> Mapping[str, Any]:
        """By the name under which each is shown."""
        ...

    @property
    def headline(self) -> tuple[str, ...]:
        """Which of them make the headline."""
        ...

    @property
    def search(self) -> Any:
        """The attack that looks for the halving epsilon."""
        ...

    @property
    def checks(self) -> tuple[Any, ...]:
        """What judges it."""
        ...


Run = Callable[[nn.Module, Mapping[str, Any], Split, Threat, Sequence[float]], Generator[Stage, None, RobustnessCurve]]
"""Model, attacks, examples, threat and epsilons: seed, batches and blocks are settled."""


class Scaled(nn.Module):
    """A model whose logits are multiplied by a number: every prediction stays.

    Attributes:
        model: the model.
        factor: the number.
    """

    def __init__(self, model: nn.Module, factor: float):
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits times the factor."""
        return self.model(inputs) * self.factor


def judged(bundle: Bundle, evidence: Evidence) -> tuple[Verdict, ...]:
    """The verdict of every check in order; one that the bundle does not hold is NOT RUN."""
    held = {check.letter: check for check in bundle.checks}
    return tuple(
        held[letter](evidence)
        if letter in held
        else Verdict(letter, title, "NOT RUN", finding="This bundle does not hold the check.")
        for letter, title in ORDER.items()
    )


def headline_stands(verdicts: Sequence[Verdict]) -> bool:
    """Whether the headline may be printed: no check FAILs. Otherwise the FAIL stands in its place."""
    return all(found.verdict != "FAIL" for found in verdicts)


def gather(
    model: nn.Module,
    examples: Split,
    bundle: Bundle,
    threat: Threat,
    epsilons: Sequence[float],
    noise: Sequence[float] = (),
    *,
    seed: int = 0,
    batch_size: int = 256,
    block: int = 256,
    images: int = 256,
) -> Evidence:
    """As `gathering`, unwatched."""
    stages = gathering(
        model,
        examples,
        bundle,
        threat,
        epsilons,
        noise,
        seed=seed,
        batch_size=batch_size,
        block=block,
        images=images,
    )
    return consumed(stages)


def gathering(
    model: nn.Module,
    examples: Split,
    bundle: Bundle,
    threat: Threat,
    epsilons: Sequence[float],
    noise: Sequence[float] = (),
    *,
    seed: int = 0,
    batch_size: int = 256,
    block: int = 256,
    images: int = 256,
) -> Generator[Stage, None, Evidence]:
    """Run a bundle's attacks and measure what its checks judge; yields a `Stage` before each piece.

    Args:
        model: logits of inputs; left as it was found.
        examples: inputs inside the threat's bounds, and the class of each.
        bundle: attacks by name, which of them make the headline, and checks.
        threat: an Linf or L2 ball.
        epsilons: budgets of the curves, ascending.
        noise: standard deviations of the curve of repeated noise, ascending; empty: none.
        seed: of every draw.
        batch_size: largest number of inputs in one of the model's passes.
        block: how many inputs an attack is called on at once.
        images: how many inputs, the first ones, the checks' own attacks run on.
    """

    def run(
        subject: nn.Module, attacks: Mapping[str, Any], some: Split, where: Threat, budgets: Sequence[float]
    ) -> Generator[Stage, None, RobustnessCurve]:
        source = torch.Generator().manual_seed(seed)
        return attacking(subject, attacks, some, where, budgets, source, batch_size, block)

    some = Split(examples.inputs[:images], examples.targets[:images])
    measured: dict[str, float] = {}
    if bundle.checks:
        yield Stage("pre-flight", 0, 1)
        measured = _preflight(model, some, batch_size, seed)
        if math.isinf(measured["batch_difference"]):  # broken inputs leave the batch: it must run on one
            return Evidence({}, measured, {"halving": "the model does not take an input alone"})
    headline = {name: bundle.attacks[name] for name in bundle.headline}
    curves = {"headline": (yield from run(model, headline, examples, threat, epsilons))}
    curves |= {name: only(curves["headline"], name) for name in headline}
    for name, attack in bundle.attacks.items():
        if getattr(attack, "draws", 1) > 1:
            if noise:
                cloud = GaussianNoise(threat.bounds, threat.unit)
                curves[name] = yield from run(model, {name: attack}, examples, cloud, noise)
        elif name not in headline:
            curves[name] = yield from run(model, {name: attack}, examples, threat, epsilons)
    settings = _settings(model, examples, curves["headline"])
    if not bundle.checks:
        return Evidence(curves, measured, settings)
    found, notes = yield from _of_scale(model, some, bundle, headline, threat, run)
    return Evidence(curves, measured | found, settings | notes)


def _settings(model: nn.Module, examples: Split, curve: RobustnessCurve) -> dict[str, Any]:
    """The threat model on record (`docs/robustness.md` §1)."""
    try:
        own = version("eigenfall")
    except PackageNotFoundError:
        own = "not installed"
    return {
        "norm": curve.threat.norm,
        "unit": curve.threat.unit,
        "bounds": curve.threat.bounds if curve.threat.bounds is not None else "none",
        "epsilons": curve.epsilons,
        "knowledge": "white box: weights and gradients",
        "attacks": dict(curve.attacks),
        "reach": dict(curve.reach),
        "seed": curve.seed,
        "dtype": str(examples.inputs.dtype),
        "inputs": len(examples),
        "batch_size": curve.batch_size,
        "block": curve.block,
        "model": _digest(model),
        "versions": {
            "eigenfall": own,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights and buffers by name."""
    found = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) or 1.0


def _preflight(model: nn.Module, examples: Split, batch_size: int, seed: int, alone: int = 32) -> dict[str, float]:
    """Numbers behind p1-p4 and g (i), on the clean inputs; differences are shares of the largest logit."""
    device = device_of(model)
    with left_as_found(model, seed=seed):
        inputs = examples.inputs.detach().clone().to(device)[:batch_size]
        targets = examples.targets.clone().long().to(device)[:batch_size]
        with torch.no_grad():
            first, second = model(inputs), model(inputs)
            try:
                single = torch.cat([model(one) for one in inputs[:alone].split(1)])
                apart = float((single - first[:alone]).abs().max()) / _largest(first)
            except (RuntimeError, ValueError):
                apart = math.inf  # batch statistics of one input do not exist
        summed = (first >= 0).all(1) & ((first.sum(1) - 1).abs() <= 1e-3)
        answers = first.argmax(1)
        right = answers == targets
        found = {
            "images": float(len(examples)),
            "trivial": float(bool((answers == answers[0]).all())),
            "pass_difference": float((first - second).abs().max()) / _largest(first),
            "batch_difference": apart,
            "probabilities": float(summed.double().mean()),
        }
        for loss in LOSSES:
            zero = is_zero(ascent(model, inputs, targets, loss)[0])
            found[f"zero_gradients {loss}"] = float(zero[right].double().mean()) if right.any() else 0.0
            if loss == "margin":
                found["gradients"] = float((~zero).double().mean())
    return found


def _of_scale(
    model: nn.Module,
    examples: Split,
    bundle: Bundle,
    headline: Mapping[str, Any],
    threat: Threat,
    run: Run,
) -> Generator[Stage, None, tuple[dict[str, float], dict[str, Any]]]:
    """Numbers behind g (ii) and j, at the epsilon halving the clean successes and at twice that."""
    half = yield from _halving(model, examples, bundle.search, threat, run)
    if half is None:
        return {}, {"halving": "no input is classified correctly"}
    budgets = (half, 2 * half)
    plain = yield from _at("scale 1", run(model, headline, examples, threat, budgets))
    broken = plain.broken.any(0)
    found = {"halving_epsilon": half, "scale_moved": 0.0, "scale_factor": 1.0}
    for factor in SCALES:
        stages = run(Scaled(model, factor), headline, examples, threat, budgets)
        scaled = yield from _at(f"scale {factor:g}", stages)
        moved = int((scaled.broken.any(0).sum(1) - broken.sum(1)).abs().max())
        if moved > found["scale_moved"]:
            found |= {"scale_moved": float(moved), "scale_factor": factor}
    raw = {"ce": bundle.attacks["ce"]}
    masked = yield from _at("raw cross-entropy", run(model, raw, examples, threat, budgets))
    gaps = (broken.sum(1) - masked.broken[0].sum(1)) / len(examples)
    found["raw_ce_gap"] = float(gaps.max())
    try:
        twin = copy.deepcopy(model).double()
        precise = Split(examples.inputs.double(), examples.targets)  # all of them: the starts are the same
        again = yield from _at("float64", run(twin, headline, precise, threat, budgets))
        gained = again.broken.any(0) & again.clean_correct & ~broken
        return found | {"float64_gained": float(gained.sum(1).max())}, {}
    except (RuntimeError, TypeError) as reason:
        return found, {"float64": f"the model does not run in float64: {reason}"}


def _halving(
    model: nn.Module,
    examples: Split,
    attack: Any,
    threat: Threat,
    run: Run,
    times: int = 7,
) -> Generator[Stage, None, float | None]:
    """Epsilon at which half of the clean successes are left, by bisection on a log scale, to 6 %.

    Between half the range of the inputs, where an attack reaches one grey image for all, and a 1024th of it.
    """
    low, high = threat.bounds or (float(examples.inputs.min()), float(examples.inputs.max()))
    top = (high - low) / 2 * (math.sqrt(examples.inputs[0].numel()) if threat.norm == "L2" else 1.0)
    bottom = top / 1024
    for _ in range(times):
        middle = math.sqrt(bottom * top)
        curve = yield from _at("search", run(model, {"search": attack}, examples, threat, (middle,)))
        clean = int(curve.clean_correct.sum())
        if clean == 0:
            return None
        bottom, top = (bottom, middle) if int((~curve.broken[0, 0]).sum()) <= clean / 2 else (middle, top)
    return top


def _at(what: str, stages: Generator[Stage, None, RobustnessCurve]) -> Generator[Stage, None, RobustnessCurve]:
    """A curve's stages under a name of their own."""
    while True:
        try:
            stage = next(stages)
        except StopIteration as finished:
            return finished.value
        yield Stage(f"checks, {what}: {stage.what}", stage.done, stage.total)
