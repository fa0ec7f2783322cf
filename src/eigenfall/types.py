"""The nouns: frozen values with shapes. They hold no settings and read no files.

Axes are named as in `docs/notation.md`. Ranks count from 1 and a window includes both ends. Tensors
inside a noun are never changed after it is made.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.statistics import wilson

Bounds = tuple[float, float]
Row = Mapping[str, Any]
"""One number, as it goes to machines: `quantity`, `value`, `low`, `high`, `level`, and what it depends on."""


# ---------------------------------------------------------------------------------- data


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs with their targets.

    Attributes:
        inputs: `(inputs, ...)`, float32, inside the bounds of the examples.
        targets: class of each input, `(inputs,)`, int64.
    """

    inputs: Float[Tensor, "inputs ..."]
    targets: Shaped[Tensor, " inputs"]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Examples:
    """A data set in three splits. Code that selects anything is handed `train` and `validation` only.

    Attributes:
        name: the data set's name.
        train: what weights are fitted on.
        validation: what stopping and strengths are chosen on; may be empty.
        test: what is reported, and nothing else.
        classes: how many classes the targets count.
        bounds: lowest and highest value an input may take; `None` if there are none.
        unit: what one unit of an input is, "pixel" for images in [0, 1].
        scale: [0, 1] pixels per native unit for each test input, if the unit is not "pixel".
        digest: SHA-256 of the contents of all splits.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    bounds: Bounds | None = (0.0, 1.0)
    unit: str = "pixel"
    scale: Float[Tensor, " inputs"] | None = None
    digest: str = ""


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of units to stimuli: in memory, or yielded in chunks by a function that can be called again.

    Exactly one of `values` and `chunks` is given.

    Attributes:
        values: `(repeats, stimuli, units)`, NaN for a missing repeat.
        chunks: called without arguments, yields pieces `(repeats, some stimuli, units)`, or
            `(repeats, stimuli, some units)` if `chunked_over` is "units".
        chunked_over: the axis along which pieces are cut.
        sampled_over: what the second axis counts.
        name: what is shown in tables, for instance a layer or a file.
        understood: how a file was read, in words, for instance `600 stimuli × 82 units × 5-9 repeats`.
        dropped: what was left out on the way here, and how many.
        block: how many successive samples belong together, such as the places of one input, or a stretch of time;
            resampling keeps them together.
    """

    values: Float[Tensor, "repeats stimuli units"] | None = None
    chunks: Callable[[], Iterable[Tensor]] | None = None
    chunked_over: Literal["stimuli", "units"] = "stimuli"
    sampled_over: Literal["stimuli", "time"] = "stimuli"
    name: str = "responses"
    understood: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    block: int = 1

    def __post_init__(self) -> None:
        need(
            (self.values is None) != (self.chunks is None),
            expected="responses either in memory or in chunks",
            got="both" if self.values is not None else "neither",
            remedy="Give `values` or `chunks`, not both.",
        )

    def pieces(self) -> Iterator[Tensor]:
        """The responses as three-axis pieces: the whole, or chunk by chunk, each checked for its axes."""
        whole = () if self.values is None else (self.values,)
        for piece in whole if self.chunks is None else self.chunks():
            need(
                piece.ndim == 3,
                expected="responses as (repeats, stimuli, units)",
                got=f"shape {tuple(piece.shape)}",
                remedy="For one repeat, add a first axis of length 1.",
            )
            yield piece


# ------------------------------------------------------------------------------ spectrum


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval, NaN if there is none.
        high: upper end of the interval, NaN if there is none.
        level: nominal coverage of the interval.
        over: what was resampled, "stimuli", "seeds", "images", or "" without interval.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    level: float = 0.95
    over: str = ""

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, eq=False)
class Gram:
    """Second moments on the smaller side, centred over stimuli, float64.

    Attributes:
        matrix: `(side, side)`; units: XᵀX, stimuli: XXᵀ, of the centred responses X.
        side: which axis the matrix is over.
        stimuli: how many stimuli went in.
        units: how many units went in.
        repeats: how many repeats were averaged beforehand.
        name: carried over from the responses.
    """

    matrix: Float64[Tensor, "side side"]
    side: Literal["units", "stimuli"]
    stimuli: int
    units: int
    repeats: int = 1
    name: str = "responses"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues, largest first, and what they are of.

    Attributes:
        eigenvalues: `(ranks,)` float64, in squared response units.
        stimuli: how many stimuli they were estimated from.
        units: how many units.
        repeats: how many repeats.
        of: what matrix the eigenvalues belong to.
        target: what they estimate: "total sample", "signal sample", "signal population" or "held-out".
        estimator: the part that made them, in the grammar.
        centred: whether each unit's mean over stimuli was removed.
        name: layer or recording.
    """

    eigenvalues: Float64[Tensor, " ranks"]
    stimuli: int
    units: int
    repeats: int = 1
    of: Literal["covariance", "kernel", "weights", "jacobian"] = "covariance"
    target: Literal["total sample", "signal sample", "signal population", "held-out"] = "total sample"
    estimator: str = ""
    centred: bool = True
    name: str = "responses"

    @property
    def floor(self) -> float:
        """Below it an eigenvalue is rounding: max(stimuli, units) · 2⁻⁵² · λ₁."""
        if len(self.eigenvalues) == 0:
            return 0.0
        return max(self.stimuli, self.units) * 2.0**-52 * max(float(self.eigenvalues[0]), 0.0)

    @property
    def numerical_rank(self) -> int:
        """How many leading ranks pass the floor in absolute value; cross-validated ones may be negative."""
        above = (self.eigenvalues.abs() > self.floor).nonzero()
        return int(above[-1]) + 1 if len(above) else 0

    @property
    def participation_ratio(self) -> float:
        """(Σλ)²/Σλ²."""
        return float(self.eigenvalues.sum() ** 2 / self.eigenvalues.square().sum())

    @property
    def rank_at_90_percent(self) -> int:
        """First rank at which the cumulative variance reaches 90 %."""
        share = self.eigenvalues.cumsum(0) / self.eigenvalues.sum()
        return int((share < 0.9).sum()) + 1


@dataclass(frozen=True)
class SpectrumFit:
    """A fitted law, with everything its exponent depends on.

    Attributes:
        parameters: each with value and interval; `alpha` is the rank exponent in λₙ ∝ n^−alpha.
        asked: the window that was asked for, (first rank, last rank).
        used: the window that was used.
        left_out: ranks inside the window that are not positive.
        method: the part that made the fit, in the grammar.
        weights: how ranks were weighted.
        r2: squared correlation of log rank and log eigenvalue at 100 log-spaced ranks.
        misfit: weighted root mean square of the residuals of ln λ.
        target: target of the spectrum.
        estimator: estimator of the spectrum.
        stimuli: stimuli of the spectrum.
        units: units of the spectrum.
        notices: what a reader must know, in words.
        resampled: the window on which half-samples were fitted, where that made the interval.
    """

    parameters: Mapping[str, Estimate]
    asked: tuple[int, int]
    used: tuple[int, int]
    left_out: tuple[int, ...] = ()
    method: str = ""
    weights: str = "none"
    r2: float = math.nan
    misfit: float = math.nan
    target: str = "total sample"
    estimator: str = ""
    stimuli: int = 0
    units: int = 0
    notices: tuple[str, ...] = ()
    resampled: tuple[int, int] | None = None

    @property
    def alpha(self) -> float:
        """Exponent of the rank law λₙ ∝ n^−alpha."""
        return self.parameters["alpha"].value

    def __str__(self) -> str:
        first, last = self.used
        return f"α = {self.parameters['alpha']} over ranks {first}–{last}"


# ---------------------------------------------------------------------- models in training


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """All that a penalty may see of one pass.

    Attributes:
        inputs: `(batch, ...)`; requires gradients when there is a penalty.
        targets: `(batch,)`.
        outputs: logits `(batch, classes)`.
        hidden: each captured layer's output by module path, as the module returned it.
        parameters: the model's parameters by name.
    """

    inputs: Float[Tensor, "batch ..."]
    targets: Shaped[Tensor, " batch"]
    outputs: Float[Tensor, "batch ..."]
    hidden: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Penalty:
    """What a penalty adds to the loss.

    Attributes:
        total: scalar with gradient, strength included.
        per_layer: value per layer, before strength, detached numbers or tensors.
        logged: quantities to log.
        state: the state after this batch.
    """

    total: Float[Tensor, ""]
    per_layer: Mapping[str, Tensor] = field(default_factory=dict)
    logged: Mapping[str, Tensor] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True, eq=False)
class Reference:
    """The training rows, as a penalty may ask for them: it draws the indices, the loop makes the passes.

    Attributes:
        rows: how many training rows there are.
        passes: called with indices and a mode; yields `ForwardPass`es in chunks, without gradient. "train" uses
            batch statistics and restores the buffers; "eval" uses running ones.
    """

    rows: int
    passes: Callable[[Tensor, Literal["train", "eval"]], Iterator[ForwardPass]]

    def __call__(self, indices: Tensor, mode: Literal["train", "eval"] = "eval") -> Iterator[ForwardPass]:
        """Passes over the rows with these indices, chunk by chunk."""
        return self.passes(indices, mode)


@dataclass(frozen=True)
class Progress:
    """Where a loop stands; step and epoch count what is finished."""

    step: int
    steps: int
    epoch: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Step:
    """What a loop yields after each update: whoever watches training consumes these.

    Attributes:
        progress: where the loop stands.
        model: the model after the update. It is the loop's own: read it, or take a snapshot.
        values: `loss`, and what each penalty logs, as numbers.
        last_of_epoch: whether an epoch ends here.
        snapshot: everything from which the loop goes on bit-equal, as a flat mapping of tensors, numbers and text.
        last: whether this is the last step; the model then holds its final weights.
        states: each penalty's state by its name.
    """

    progress: Progress
    model: nn.Module
    values: Mapping[str, float]
    last_of_epoch: bool
    snapshot: Callable[[], Mapping[str, Any]]
    last: bool = False
    states: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a model is asked to do. Classification: logits `(batch, classes)` against a class each."""

    kind: Literal["classification"] = "classification"

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Mean cross-entropy."""
        return nn.functional.cross_entropy(outputs, targets)

    def correct(
        self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]
    ) -> Bool[Tensor, " batch"]:
        """Whether the target's logit is above every other; a tie is an error."""
        others = outputs.scatter(1, targets[:, None], -math.inf).amax(1)
        return outputs.gather(1, targets[:, None])[:, 0] > others


# --------------------------------------------------------------- smoothness and robustness


@dataclass(frozen=True, eq=False)
class Smoothness:
    """One value per input of a measure of how fast a layer changes.

    Attributes:
        quantity: for instance "jacobian_norm".
        layer: module path, or "outputs" for the logits.
        values: `(inputs,)` float64, in layer units per input unit.
        scale: root mean square of the layer's values about their mean over these inputs; values / scale do not
            change when the layer is multiplied by a number.
        method: the part that made it, in the grammar.
    """

    quantity: str
    layer: str
    values: Float64[Tensor, " inputs"]
    scale: float = math.nan
    method: str = ""


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


def _check_inputs(perturbed: Tensor, inputs: Tensor, bounds: Bounds | None, name: str) -> None:
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
            bounds[0] - 1e-6 <= low and high <= bounds[1] + 1e-6,
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
        """Refuse a proposal outside the ball (by over 1e-6, float64) or the bounds, of wrong shape, or not finite."""
        _check_inputs(perturbed, inputs, self.bounds, name)
        excess = self.size(perturbed, inputs) - epsilon
        worst = float(excess.max()) if len(excess) else 0.0
        need(
            worst <= 1e-6,
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
        _check_inputs(perturbed, inputs, self.bounds, name)


@dataclass(frozen=True, eq=False)
class Proposal:
    """What an attack proposes; the harness judges it.

    Attributes:
        inputs: perturbed inputs, shaped as the inputs.
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
            0 for a clean error, infinite if none did (right-censored at the largest epsilon).
        distances_l2: the same in L2.
        reach: smallest reach of each attack over the epsilons.
        passes: forward and backward passes per input that each attack's budget allows.
        seed: of the generator.
        batch_size: how the model's passes were split.
        block: how many inputs an attack was called on at once; draws depend on it.
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
    reach: Mapping[str, float] = field(default_factory=dict)
    passes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 0
    block: int = 0

    def worst(self, monotone: bool = True) -> Bool[Tensor, "epsilons inputs"]:
        """Broken by any attack; monotone: an input broken at a smaller epsilon stays broken above."""
        any_attack = self.broken.any(0)
        return any_attack.int().cummax(0).values.bool() if monotone else any_attack

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


# -------------------------------------------------------------------------------- results


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Everything measured about one model or one recording.

    Attributes:
        name: of the model or recording.
        spectra: by layer.
        fits: by layer.
        smoothness: by layer and quantity, `layer` or `layer/quantity`.
        curves: by name, "headline" among them.
        verdicts: of every check, in order.
        rows: every number, tidy.
        notices: what a reader must know, in words.
        margins: target's logit less the largest other, of each example, `(inputs,)`; positive: right, else wrong.
    """

    name: str
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)
    fits: Mapping[str, SpectrumFit] = field(default_factory=dict)
    smoothness: Mapping[str, Smoothness] = field(default_factory=dict)
    curves: Mapping[str, RobustnessCurve] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    rows: tuple[Row, ...] = ()
    notices: tuple[str, ...] = ()
    margins: Float64[Tensor, " inputs"] | None = None

    def __str__(self) -> str:
        lines = [self.name]
        for entry in self.rows:
            if entry["quantity"] == "clean_accuracy":
                lines.append(f"  clean accuracy {_percent(entry)}, {entry['n']} inputs")
        lines += [f"  {layer}: {fit}" for layer, fit in self.fits.items()]
        for layer, smoothness in self.smoothness.items():
            middle = float(smoothness.values.median())
            lines.append(f"  {layer}: median ‖J‖ {middle:.4g}, {len(smoothness.values)} inputs")
        for entry in self.rows:
            if entry["quantity"] == "robust_accuracy" and entry["attack"] == "headline":
                shown = "FAIL: see the checks" if entry.get("verdict") == "FAIL" else _percent(entry)
                lines.append(f"  worst case at ε = {entry['epsilon']:g} {entry['norm']}: {shown}")
        for verdict in ("FAIL", "WARN", "PASS", "NOT RUN"):
            named = [found.check for found in self.verdicts if found.verdict == verdict]
            if named:
                lines.append(f"  checks {verdict}: {' '.join(named)}")
        return "\n".join([*lines, *(f"  {notice}" for notice in self.notices)])

    __repr__ = __str__


def _percent(entry: Row) -> str:
    """A share with its interval, in percent."""
    ends = f" [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]" if "low" in entry else ""
    return f"{100 * entry['value']:.1f} %{ends}"


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run, as read from its folder.

    Attributes:
        path: the folder.
        run: the run's settings, plain values; parts are in the grammar with every field explicit.
        versions: of eigenfall, Python, torch, numpy, and the machine.
        measurement: everything measured.
        history: one row per logged training step.
        bibliography: BibTeX entries of the parts used.
        name: folder name: arm, seed and the run's hash.
    """

    path: Path
    run: Mapping[str, Any]
    versions: Mapping[str, str]
    measurement: Measurement
    history: tuple[Row, ...] = ()
    bibliography: str = ""

    @property
    def name(self) -> str:
        """Folder name: arm, seed and the run's hash."""
        return self.path.name
