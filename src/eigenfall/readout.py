"""A head on a layer that is held fixed: the layer's responses are computed once, and the head is trained on them.

    currents I = layer(x), once per input;   then the one gradient loop over (I, t), or over (ReLU(I / s)ⁿ, t)

It gives the weights that training the joined model with a fixed layer gives, to rounding: batches, order and draws are
the same. What is held is rows × units values: for 60 000 inputs and 2 000 units in float32, 480 MB. Above a budget
nothing is held, and the responses are computed anew in each batch.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.blocks import RePU
from eigenfall.blocks import joined as joined
from eigenfall.check import need
from eigenfall.layers import device_of, left_as_found
from eigenfall.optimisation import Training
from eigenfall.passes import REFERENCE_BATCH
from eigenfall.ridge import STRENGTHS, Ridge, ridge_readout
from eigenfall.training import train as trained
from eigenfall.types import Split, Step, Task

BUDGET = 2**31
"""How many bytes of responses are held: 2 GB, four times what MNIST needs at 2 000 units."""

FIXED = (RePU, nn.Identity)
"""Activations without parameters, statistics or draws: they too are computed once."""


def fit_head(
    layer: nn.Module,
    head: Any,
    train: Split,
    validation: Split,
    classes: int,
    settings: Training,
    seed: int = 0,
    start: Mapping[str, Any] | None = None,
    budget: int = BUDGET,
) -> Generator[Step, None, nn.Sequential]:
    """Train a head on a fixed layer, on the device where that lies.

    Args:
        layer: inputs `(batch, inputs)` to currents `(batch, units)`, with no parameter that requires gradients; in
            eval mode throughout.
        head: a part of kind heads.
        train: what the readout is fitted on, inputs `(inputs, ...)`.
        validation: what early stopping looks at; may be empty without `patience`.
        classes: how many logits.
        settings: optimiser, learning rate, batches, length.
        seed: of the readout's weights and of the batches.
        start: a snapshot to go on from, made under the same budget.
        budget: bytes of responses to hold at most; more are computed anew in each batch.

    Yields:
        A `Step` after each update; its model is the head alone: `joined(layer, step.model)` is the whole.

    Returns:
        The head as a module; also where a snapshot of a run that was finished leaves nothing to do.

    Raises:
        ValueError: if the layer would be trained, or batches be attacked, which only the joined model can be, or the
            snapshot is of another model.
        Diverged: if a loss or gradient is not finite.
    """
    learnt = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    need(
        not learnt,
        expected="a layer that is held fixed",
        got=f"parameters that require gradients: {', '.join(learnt)}",
        remedy="Call layer.requires_grad_(False).",
    )
    need(
        settings.adversarial is None,
        expected="training on inputs as they are",
        got="adversarial training, whose attack moves inputs and not responses",
        remedy="Train joined(layer, head) by eigenfall.training.train.",
    )
    head = scaled(layer, head, train.inputs)
    first = _responses(layer, train.inputs[:1])
    made = head(first.shape[1], classes, torch.Generator().manual_seed(seed)).to(first)
    held = (len(train) + len(validation)) * first.shape[1] * first.element_size()
    if held > budget:
        model: nn.Sequential = joined(_Evaluating(layer), made)
    elif isinstance(made.hidden1, FIXED):
        model = nn.Sequential(OrderedDict(hidden1=nn.Identity(), readout=made.readout))
        below = nn.Sequential(layer, made.hidden1)
        train, validation = _responded(below, train), _responded(below, validation)
    else:
        model = made
        train, validation = _responded(layer, train), _responded(layer, validation)
    begun = {name for name in start or {} if name.startswith("model/")}
    need(
        start is None or begun == {f"model/{name}" for name in model.state_dict()},
        expected="a snapshot of this head, made under the same budget",
        got=f"one of {', '.join(sorted(begun)) or 'no model'}",
        remedy="Go on with the settings and the budget that the run began with, or begin anew.",
    )
    for step in trained(model, train, validation, {}, settings, seed=seed, task=Task(objective=head), start=start):
        yield replace(step, model=made)
    return made


def fit_ridge(
    layer: nn.Module,
    head: Any,
    train: Split,
    validation: Split,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[nn.Sequential, Ridge]:
    """A head's readout by ridge regression instead of its own loss: in closed form, and with nothing held per input.

    Args:
        layer: inputs `(batch, inputs)` to currents `(batch, units)`.
        head: a part of kind heads, for its activation; one that learns statistics in training knows none here.
        train: what the readout is fitted on.
        validation: what the strength is chosen on; if empty, each training input is left out in turn.
        classes: how many logits.
        strengths: to choose among, relative to the mean eigenvalue of the responses' scatter.

    Returns:
        The head as a module whose readout is the ridge's, on the layer's device, and the ridge.

    Raises:
        ValueError: if the head's activation has statistics of its own, or the responses cannot be fitted.
    """
    units = _responses(layer, train.inputs[:1]).shape[1]
    hidden = head(units, classes, torch.Generator().manual_seed(0)).hidden1
    need(
        isinstance(hidden, FIXED),
        expected="a head whose activation is fixed",
        got=f"a {type(hidden).__name__}",
        remedy="Ridge regression centres the units itself; use linear without standardise.",
    )
    whole = nn.Sequential(layer, hidden)

    def chunks(split: Split) -> Iterable[tuple[Tensor, Tensor]]:
        for inputs, targets in zip(split.inputs.split(REFERENCE_BATCH), split.targets.split(REFERENCE_BATCH)):
            yield _responses(whole, inputs), targets

    found = ridge_readout(
        lambda: chunks(train), classes, strengths, (lambda: chunks(validation)) if len(validation) else None
    )
    return nn.Sequential(OrderedDict(hidden1=hidden, readout=found.readout().to(device_of(layer)))), found


def scaled(layer: nn.Module, head: Any, inputs: Float[Tensor, "inputs ..."]) -> Any:
    """A head with its scale: its own, or, if that is none, the one that makes responses of these inputs of size 1."""
    if getattr(head, "scale", 1.0) is not None:
        return head
    return replace(head, scale=unit_scale(layer, head.power, inputs))


def unit_scale(layer: nn.Module, power: float, inputs: Float[Tensor, "inputs ..."]) -> float:
    """What to divide a layer's currents by so that the root mean square of their rectified powers is 1.

    Args:
        layer: inputs `(batch, inputs)` to currents `(batch, units)`.
        power: of the activation.
        inputs: those of the training split.

    Returns:
        (mean over inputs and units of ReLU(I)^2n)^(1/2n): `replace(head, scale=unit_scale(...))`. In the currents'
        unit; the largest currents decide, the more so the higher the power.

    Raises:
        ValueError: if there are no inputs, or no current is positive.
    """
    total, count = 0.0, 0
    for chunk in inputs.split(REFERENCE_BATCH):
        positive = _responses(layer, chunk).relu()
        positive = positive.cpu() if positive.device.type == "mps" else positive  # which knows no float64
        total += float(sum((row.double() ** (2 * power)).sum() for row in positive.split(256)))
        count += positive.numel()
    need(
        total > 0,
        expected="a layer with a positive current for some input",
        got=f"none among {count} currents",
        remedy="Look at the layer's gates: it may have collapsed.",
    )
    return (total / count) ** (1 / (2 * power))


class _Evaluating(nn.Module):
    """A fixed layer that stays in eval mode, and whose gradients nobody needs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        return _responses(self.layer, inputs)


def _responses(layer: nn.Module, inputs: Tensor) -> Float[Tensor, "inputs units"]:
    """The layer's responses to a few inputs, in eval mode, without gradient, on its device."""
    with left_as_found(layer, frozen=False), torch.no_grad():
        return layer(inputs.to(device_of(layer)).flatten(1))


def _responded(layer: nn.Module, split: Split) -> Split:
    """A split whose inputs are the layer's responses: held whole, made a few thousand at a time."""
    chunks = split.inputs.split(REFERENCE_BATCH)
    first = _responses(layer, chunks[0])
    found = first.new_empty(len(split), first.shape[1])
    found[: len(first)] = first
    for place, chunk in enumerate(chunks[1:], start=1):
        found[place * REFERENCE_BATCH :][: len(chunk)] = _responses(layer, chunk)
    return Split(found, split.targets)
