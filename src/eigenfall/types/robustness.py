"""Threats, what attacks propose, and what was judged of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from eigenfall.check import need
from eigenfall.statistics import wilson
from eigenfall.types.data import Bounds
from eigenfall.types.spectra import Estimate

Epsilon = float | Tensor


@runtime_checkable
class Threat(Protocol):
    """What a perturbation may be. `norm` names it in rows; `bounds` and `unit` are the inputs'."""

    @property
    def norm(self) -> str:
        """What a perturbation's size is measured in."""
        ...

    @property
    def bounds(self) -> Bounds | None:
        """Lowest and highest value of an input."""
        ...

    @property
    def unit(self) -> str:
        """What one unit of an input is."""
        ...

    def project(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon) -> Tensor:
        """Nearest perturbed inputs that the threat allows."""
        ...

    def check(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon, name: str) -> None:
        """Refuse perturbed inputs that the threat forbids."""
        ...

    def size(self, perturbed: Tensor, inputs: Tensor) -> Tensor:
        """How large each perturbation is, in the threat's own measure."""
        ...


def per_input(epsilon: Epsilon, inputs: Tensor) -> Epsilon:
    """An epsilon per input, shaped to broadcast over the inputs' own axes; a number stays a number."""
    if isinstance(epsilon, Tensor) and epsilon.ndim == 1:
        return epsilon.to(inputs).reshape(-1, *[1] * (inputs.ndim - 1))
    return epsilon


def _rounding(inputs: Tensor) -> float:
    """What a perturbation may exceed its ball and bounds by: 1e-6, times the largest input where that is above 1."""
    return 1e-6 * max(1.0, float(inputs.detach().abs().max())) if inputs.numel() else 1e-6


def _check_inputs(perturbed: Tensor, inputs: Tensor, bounds: Bounds | None, name: str, over: float) -> None:
    need(
        perturbed.shape == inputs.shape and perturbed.dtype == inputs.dtype,
        expected=f"perturbed inputs of shape {tuple(inputs.shape)} and type {inputs.dtype} from attack {name!r}",
        got=f"shape {tuple(perturbed.shape)} and type {perturbed.dtype}",
        remedy="The attack is faulty; nothing was measured with it.",
    )
    if not perturbed.numel():
        return
    low, high = torch.stack(perturbed.detach().aminmax()).tolist()  # a NaN shows in both
    need(
        math.isfinite(low) and math.isfinite(high),
        expected=f"finite perturbed inputs from attack {name!r}",
        got="NaN or infinity",
        remedy="The attack is faulty; nothing was measured with it.",
    )
    if bounds is not None:
        need(
            bounds[0] - over <= low and high <= bounds[1] + over,
            expected=f"perturbed inputs inside {bounds} from attack {name!r}",
            got=f"values from {low:.6g} to {high:.6g}",
            remedy="The attack is faulty; nothing was measured with it.",
        )


@dataclass(frozen=True)
class LpBall:
    """A threat: every perturbation inside a ball around the input, every input inside its bounds.

    Attributes:
        norm: "Linf" or "L2".
        bounds: lowest and highest value of an input, or `None`.
        unit: what one unit of an input is.
    """

    norm: Literal["Linf", "L2"] = "Linf"
    bounds: Bounds | None = (0.0, 1.0)
    unit: str = "pixel"

    def size(self, perturbed: Tensor, inputs: Tensor) -> Float64[Tensor, " inputs"]:
        """Norm of each perturbation, float64."""
        change = (perturbed.double() - inputs).flatten(1)
        return change.abs().amax(1) if self.norm == "Linf" else change.square().sum(1).sqrt()

    def project(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon) -> Tensor:
        """Nearest point of the ball, then of the box; epsilon is a number or one per input."""
        radius = per_input(epsilon, inputs)
        change = perturbed - inputs  # ours alone: the rest happens in place
        if self.norm == "Linf":
            # torch's types have clamp_ of two numbers and of two tensors, but not of what may be either
            change.clamp_(-radius, radius)  # pyright: ignore[reportCallIssue, reportArgumentType]
        else:
            length = change.flatten(1).norm(dim=1).clamp_min(1e-30).reshape(-1, *[1] * (inputs.ndim - 1))
            change.mul_((radius / length).clamp_max(1.0))
        moved = change.add_(inputs)
        return moved if self.bounds is None else moved.clamp_(*self.bounds)

    def check(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon, name: str) -> None:
        """Refuse a proposal outside the ball or the bounds, of wrong shape, or not finite.

        In float64, by over 1e-6; for inputs larger than 1 by over that share of the largest: what their own format
        rounds.
        """
        over = _rounding(inputs)
        _check_inputs(perturbed, inputs, self.bounds, name, over)
        excess = self.size(perturbed, inputs) - epsilon
        worst = float(excess.max()) if len(excess) else 0.0
        need(
            worst <= over,
            expected=f"perturbations of {self.norm} norm at most epsilon from attack {name!r}",
            got=f"one that is {worst:.3g} larger",
            remedy="The attack is faulty; nothing was measured with it.",
        )


@dataclass(frozen=True)
class GaussianNoise:
    """A threat that is no ball: independent normal noise of standard deviation epsilon on every input value.

    Attributes:
        bounds: noisy inputs are clipped to them; `None`: not clipped.
        unit: what one unit of an input is.
    """

    bounds: Bounds | None = (0.0, 1.0)
    unit: str = "pixel"
    norm: Literal["gaussian"] = "gaussian"

    def size(self, perturbed: Tensor, inputs: Tensor) -> Float64[Tensor, " inputs"]:
        """Root mean square of each perturbation, float64."""
        return (perturbed.double() - inputs.double()).flatten(1).square().mean(1).sqrt()

    def project(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon) -> Tensor:
        """Clipped to the bounds, if there are any."""
        return perturbed if self.bounds is None else perturbed.clamp(*self.bounds)

    def check(self, perturbed: Tensor, inputs: Tensor, epsilon: Epsilon, name: str) -> None:
        """Refuse wrong shapes, values out of bounds, and what is not finite."""
        _check_inputs(perturbed, inputs, self.bounds, name, _rounding(inputs))


@dataclass(frozen=True, eq=False)
class Proposal:
    """What an attack proposes; the harness judges it.

    Attributes:
        inputs: perturbed inputs, shaped as the inputs; of a minimal-norm attack the nearest that it found, or the
            input itself.
        zero_gradients: for each input, whether a gradient of the loss was exactly zero at some step, `(inputs,)`.
        passes: forward and backward passes per input that the attack's budget allows.
        reach: how many radii the steps can cover, step size · steps / epsilon; infinite where it does not apply.
    """

    inputs: Float[Tensor, "inputs ..."]
    zero_gradients: Bool[Tensor, " inputs"]
    passes: int
    reach: float = math.inf


@dataclass(frozen=True, eq=False)
class RobustnessCurve:
    """Right or wrong per attack, epsilon and input, under one threat.

    Attributes:
        threat: the ball, or the noise.
        attacks: each attack in the grammar, by the name under which it stands in the first axis of `broken`.
        epsilons: budgets, ascending, in the threat's unit.
        broken: whether fresh predictions on the verified proposal were wrong, `(attacks, epsilons, inputs)`; clean
            errors count as broken. For repeated noise: wrong in any draw.
        clean_correct: whether the clean input was classified correctly, `(inputs,)`.
        flip_probability: for repeated noise, the share of draws that were wrong, same axes; else `None`.
        zero_gradients: whether a gradient was exactly zero, `(attacks, epsilons, inputs)`.
        distances: smallest verified norm of a perturbation that broke the input, in the threat's norm, `(inputs,)`;
            0 for a clean error, infinite if none did (right-censored at the largest epsilon). One that only a
            minimal-norm attack found may be larger than the largest epsilon. `None` for noise, which is no ball.
        distances_l2: the same in L2.
        found_by: row of the attack that set each distance, `(inputs,)`; −1 for a clean error, or if none did.
        reach: smallest reach of each attack over the epsilons.
        passes: forward and backward passes per input that each attack's budget allows.
        seed: of the generator.
        batch_size: how the model's passes were split.
        block: how many inputs an attack was called on at once; draws depend on it.
        input_size: how many values an input has; 0: not known.
        scale: [0, 1] pixels per unit of the threat for each input, if that unit is not the pixel, `(inputs,)`.
    """

    threat: Any
    attacks: Mapping[str, str]
    epsilons: tuple[float, ...]
    broken: Bool[Tensor, "attacks epsilons inputs"]
    clean_correct: Bool[Tensor, " inputs"]
    flip_probability: Float64[Tensor, "attacks epsilons inputs"] | None = None
    zero_gradients: Bool[Tensor, "attacks epsilons inputs"] | None = None
    distances: Float64[Tensor, " inputs"] | None = None
    distances_l2: Float64[Tensor, " inputs"] | None = None
    found_by: Int64[Tensor, " inputs"] | None = None
    reach: Mapping[str, float] = field(default_factory=dict)
    passes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 0
    block: int = 0
    input_size: int = 0
    scale: Float[Tensor, " inputs"] | None = None

    def worst(self, monotone: bool = True) -> Bool[Tensor, "epsilons inputs"]:
        """Broken by any attack; monotone: also at every epsilon that a verified perturbation does not exceed.

        An input broken at a smaller epsilon then stays broken above, and "distance ≤ ε" and "broken at ε" agree.
        """
        any_attack = self.broken.any(0)
        if not monotone:
            return any_attack
        held = any_attack.int().cummax(0).values.bool()
        if self.distances is None:
            return held
        radii = torch.tensor(self.epsilons, dtype=torch.float64, device=self.distances.device)
        return held | (self.distances <= radii[:, None])

    def accuracy(self, monotone: bool = True) -> tuple[Estimate, ...]:
        """Worst-case accuracy at each epsilon, Wilson 95 % interval over inputs."""
        worst = self.worst(monotone)
        counts = (~worst).sum(1).tolist()
        return tuple(Estimate(*wilson(int(count), worst.shape[1]), over="images") for count in counts)

    def mean_accuracy(self) -> tuple[float, ...]:
        """For repeated noise: share of draws and inputs classified correctly, at each epsilon."""
        wrong = self.broken.double() if self.flip_probability is None else self.flip_probability
        return tuple((1 - wrong.amax(0).mean(1)).tolist())


@dataclass(frozen=True, eq=False)
class Evidence:
    """What checks judge; gathered by `robustness`, so that a check runs no attack.

    Attributes:
        curves: by name: "headline", each loss ("margin", "dlr", "ce_std", "ce"), and the checks' own.
        measured: single numbers by name.
        settings: the threat model in words and numbers.
    """

    curves: Mapping[str, RobustnessCurve]
    measured: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        check: short name, "p1" … or "a" ….
        title: what it asks, in a few words.
        verdict: PASS, WARN, FAIL or NOT RUN.
        value: the number.
        threshold: what it was held against.
        finding: one sentence.
    """

    check: str
    title: str
    verdict: Literal["PASS", "WARN", "FAIL", "NOT RUN"]
    value: float = math.nan
    threshold: str = ""
    finding: str = ""
