"""What the checks of a bundle need, gathered: curves, and numbers that no curve holds. A check runs no attack.

The headline and what is shown beside it run on all inputs, at the epsilons asked for; a bundle's readings on all
inputs, at their own; the checks' own comparisons on the first `images` of them.

Source: `docs/robustness.md` §4-5.
"""

import hashlib
import math
import platform
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import nn

from eigenfall.robustness.comparisons import comparing, recovered, worse
from eigenfall.robustness.curves import only
from eigenfall.robustness.harness import attacking
from eigenfall.robustness.preflight import derivative, preflight, surrogates
from eigenfall.robustness.randomised import averaging
from eigenfall.robustness.readings import reading
from eigenfall.robustness.sound import need_finite_weights
from eigenfall.robustness.transfer import transferring
from eigenfall.robustness.trials import Bundle, Trial
from eigenfall.stages import consumed
from eigenfall.types import Evidence, GaussianNoise, RobustnessCurve, Split, Stage, Threat, Verdict

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

RANDOM = 1e-5
"""A model whose passes differ by more than this share of the largest logit draws at random."""


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
    twin: nn.Module | None = None,
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
        twin=twin,
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
    twin: nn.Module | None = None,
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
        twin: an undefended model of the same inputs and classes: comparisons run at its halving epsilon, too, and
            check f attacks from it.

    Raises:
        ValueError: for a weight that is not finite, and what `robustness` refuses.
    """

    def run(
        model: nn.Module,
        attacks: Mapping[str, Any],
        examples: Split,
        threat: Threat,
        epsilons: Sequence[float],
        surrogate: nn.Module | None = None,
    ) -> Generator[Stage, None, RobustnessCurve]:
        source = torch.Generator().manual_seed(seed)
        if surrogate is None:
            return attacking(model, attacks, examples, threat, epsilons, source, batch_size, block)
        return transferring(model, surrogate, attacks, examples, threat, epsilons, source, batch_size, block)

    for each in (model, twin) if twin is not None else (model,):
        need_finite_weights(each)
    some = Split(examples.inputs[:images], examples.targets[:images])
    measured: dict[str, float] = {}
    notes: dict[str, Any] = {}
    if bundle.checks:
        yield Stage("pre-flight", 0, 1)
        measured, notes = _before(model, some, bundle, threat, batch_size, seed)
        if math.isinf(measured["batch_difference"]):  # broken inputs leave the batch: it must run on one
            return Evidence({}, measured, notes | {"halving": "the model does not take an input alone"})
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
    curves |= yield from reading(model, bundle.readings, examples, threat, seed, batch_size, block)
    notes |= _settings(model, examples, curves["headline"])
    if not bundle.checks:
        return Evidence(curves, measured, notes)
    if measured["pass_difference"] > RANDOM:
        climbing = [name for name, attack in headline.items() if hasattr(attack, "stop_broken")][:1]
        first = {name: headline[name] for name in climbing}
        if first:
            measured |= yield from averaging(model, first, some, threat, epsilons, seed, batch_size)
    found, said = yield from comparing(Trial(model, some, bundle, threat, run, seed, batch_size, twin))
    if "recovered" in found:
        found |= worse(found, recovered(curves["headline"]))
    return Evidence(curves, measured | found, notes | said)


def _before(
    model: nn.Module, examples: Split, bundle: Bundle, threat: Threat, batch_size: int, seed: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """What is measured before any attack, and what stands where there is no number."""
    measured = preflight(model, examples, threat, batch_size, seed)
    if all(check.letter != "p6" for check in bundle.checks):
        return measured, {}
    notes: dict[str, Any] = {"surrogates": surrogates(model)}
    if measured["pass_difference"] > RANDOM:
        return measured, notes | {"derivative": "the model draws at random"}
    found, said = derivative(model, examples, threat, batch_size, seed)
    return measured | found, notes | said


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
