"""What is measured of a model before any attack: the numbers behind p1-p6 and g (i).

Source: `docs/robustness.md` §5.
"""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched, ascent, is_zero, margin
from eigenfall.stages import seeded
from eigenfall.types import Split, Threat

LOSSES = ("margin", "dlr", "ce_std", "ce")
DIRECTIONS = 20
HOPS = (1e-6, 1e-9)
"""Steps of the difference quotients in float64, as shares of the inputs' range."""


def span(examples: Split, threat: Threat) -> tuple[float, float]:
    """Lowest and highest value of an input: the bounds, else those of the examples."""
    if threat.bounds is not None:
        return threat.bounds
    return float(examples.inputs.min()), float(examples.inputs.max())


def preflight(
    model: nn.Module, examples: Split, threat: Threat, batch_size: int, seed: int, alone: int = 32
) -> dict[str, float]:
    """Numbers behind p1-p4 and g (i), on one batch of clean inputs; differences are shares of the largest logit.

    A model is trivial if it gives one class to all of them, and to as many inputs of uniform noise.
    """
    device = device_of(model)
    with left_as_found(model, seed=seed):
        inputs = examples.inputs.detach().clone().to(device)[:batch_size]
        targets = examples.targets.clone().long().to(device)[:batch_size]
        low, high = span(examples, threat)
        noise = low + (high - low) * torch.rand(inputs.shape, generator=seeded(seed)).to(inputs)
        with torch.no_grad():
            first, second = model(inputs), model(inputs)
            try:
                single = torch.cat([model(one) for one in inputs[:alone].split(1)])
                apart = float((single - first[:alone]).abs().max()) / _largest(first)
            except (RuntimeError, ValueError):
                apart = math.inf  # batch statistics of one input do not exist
            elsewhere = model(noise).argmax(1)
        summed = (first >= 0).all(1) & ((first.sum(1) - 1).abs() <= 1e-3)
        answers = first.argmax(1)
        right = answers == targets
        found = {
            "images": float(len(examples)),
            "largest_class": float(examples.targets.unique(return_counts=True)[1].max()) / len(examples),
            "trivial": float(bool((torch.cat((answers, elsewhere)) == answers[0]).all())),
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


def surrogates(model: nn.Module) -> tuple[str, ...]:
    """Modules that declare a surrogate gradient by an attribute `surrogate_gradients`."""
    named = model.named_modules()
    return tuple(name or "the model" for name, module in named if getattr(module, "surrogate_gradients", False))


def derivative(
    model: nn.Module,
    examples: Split,
    threat: Threat,
    batch_size: int,
    seed: int,
    directions: int = 4,
    images: int = 64,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Share of inputs at which autograd's gradient of the margin is its derivative, in float64 (p6).

    At each input, moved off kinks by noise of a thousandth of the range, along random signs v:

        ‖∇m·v − δ(h)‖ ≤ 0.01 · the larger of the two,   δ(h) = (m(x + hv) − m(x − hv)) / 2h,   norm over directions,

    give or take rounding, 100 ulp of the largest logit over h. A step counts only if δ(h) and δ(2h) agree to 5 %. The
    gradient is right where it is so at one of two steps: the longer one crosses kinks, of which max-pooling has one for
    each pair of nearly equal values. It is wrong where both steps count and both say so; elsewhere, as in a model that
    computes in float32 inside, nothing can be said.

    Returns:
        The share, or nothing and why.
    """
    low, high = span(examples, threat)
    reach = (high - low) or 1.0
    source = seeded(seed)
    try:
        twin = copy.deepcopy(model).double()
        with left_as_found(twin, seed=seed):
            device = device_of(twin)
            inputs = examples.inputs[:images].detach().to(device).double()
            targets = examples.targets[:images].long().to(device)
            jitter = (torch.rand(inputs.shape, generator=source, dtype=torch.float64).to(inputs) - 0.5) * 1e-3 * reach
            at = inputs.clamp(low + 1e-3 * reach, high - 1e-3 * reach) + jitter
            batched = Batched(twin, batch_size)
            gradient, outputs, _ = ascent(batched, at, targets, "margin")
            if outputs.dtype != torch.float64:
                return {}, {"derivative": f"in float64 the model answers in {outputs.dtype}"}
            signs = [_signs(at, source) for _ in range(directions)]
            slopes = torch.stack([-(gradient * along).flatten(1).sum(1) for along in signs])
            near, far = (
                torch.stack(
                    [
                        torch.stack([_quotient(batched, at, targets, along, times * hop * reach) for along in signs])
                        for hop in HOPS
                    ]
                )
                for times in (1, 2)
            )
    except (RuntimeError, TypeError) as reason:
        return {}, {"derivative": f"the model does not run in float64: {reason}"}
    slope, one, two = slopes.norm(dim=0), near.norm(dim=1), far.norm(dim=1)  # of the quotients, by step and input
    ulp = 100 * torch.finfo(torch.float64).eps * outputs.abs().amax(1) * math.sqrt(directions)
    rounding = torch.stack([ulp / (hop * reach) for hop in HOPS])
    settled = (near - far).norm(dim=1) <= 0.05 * one.maximum(two) + rounding
    agree = (slopes - near).norm(dim=1) <= 0.01 * slope.maximum(one) + rounding
    right = (settled & agree).any(0)
    said = right | settled.all(0)
    if int(said.sum()) * 2 < len(said):
        return {}, {"derivative": "difference quotients do not settle in float64"}
    return {"derivative": float(right[said].double().mean())}, {}


def secant(
    model: nn.Module, examples: Split, threat: Threat, epsilon: float, batch_size: int, seed: int, images: int = 128
) -> float:
    """Median over inputs of the correlation, over random signs, of slopes with differences over h = ε/4 (p5)."""
    source, device = seeded(seed), device_of(model)
    with left_as_found(model, seed=seed):
        inputs = examples.inputs[:images].detach().clone().to(device)
        targets = examples.targets[:images].long().to(device)
        step = epsilon / 4 / (math.sqrt(inputs[0].numel()) if threat.norm == "L2" else 1.0)
        if threat.bounds is not None:
            low, high = threat.bounds
            step = min(step, (high - low) / 2)
            inputs = inputs.clamp(low + step, high - step)
        batched = Batched(model, batch_size)
        gradient = ascent(batched, inputs, targets, "margin")[0].double()
        slopes, quotients = [], []
        for _ in range(DIRECTIONS):
            signs = _signs(inputs, source)
            slopes.append(-(gradient * signs).flatten(1).sum(1))
            quotients.append(_quotient(batched, inputs, targets, signs, step))
    return float(_correlation(torch.stack(slopes), torch.stack(quotients)).median())


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) or 1.0


def _signs(like: Tensor, source: torch.Generator) -> Tensor:
    """Independent signs, shaped as the inputs."""
    return (2 * torch.randint(2, like.shape, generator=source) - 1).to(like)


def _quotient(model: nn.Module, at: Tensor, targets: Tensor, signs: Tensor, step: float) -> Float64[Tensor, " inputs"]:
    """Central difference of the margin."""
    with torch.no_grad():
        ahead, behind = (margin(model(at + side * step * signs), targets).double() for side in (1, -1))
    return (ahead - behind) / (2 * step)


def _correlation(
    first: Float64[Tensor, "directions inputs"], second: Float64[Tensor, "directions inputs"]
) -> Float64[Tensor, " inputs"]:
    """Pearson's, over directions; 0 where one of the two does not vary."""
    first, second = first - first.mean(0), second - second.mean(0)
    scale = first.norm(dim=0) * second.norm(dim=0)
    return (first * second).sum(0) / torch.where(scale > 0, scale, torch.ones_like(scale))
