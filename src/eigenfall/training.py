"""The one gradient loop: batches, loss, penalties, update; a generator of `Step`.

    loss = task loss + Σ penalties,   one optimiser step per batch,   each penalty's state goes in and comes out

Whatever watches training consumes the steps. A step's snapshot holds everything from which the loop goes on
bit-equal. The loop is handed the training and the validation split, never the test split.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall import processes
from eigenfall.adversarial import accuracies, perturbed
from eigenfall.check import need
from eigenfall.deferred import Deferred, renamed
from eigenfall.layers import device_of, left_as_found, seed_torch
from eigenfall.optimisation import Training
from eigenfall.passes import REFERENCE_BATCH, captured_by, forward, reference_of
from eigenfall.snapshots import Place, go_on, snapshot
from eigenfall.types import Progress, Split, Step, Task

MOST_SEEDS = 2**63 - 1


class Diverged(ValueError):
    """A loss or a gradient was not finite; the model holds the last weights that gave a finite one."""


# ------------------------------------------------------------------------------ the loop


def train(
    model: nn.Module,
    train: Split,
    validation: Split,
    penalties: Mapping[str, Any],
    settings: Training,
    seed: int = 0,
    layers: Sequence[str] = (),
    task: Task = Task(),  # noqa: B008
    start: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Fit the model in place, on the device where it lies.

    Args:
        model: changed in place; after the last step it holds the final, or with `patience` the best, weights.
        train: what the weights are fitted on.
        validation: what early stopping looks at; may be empty without `patience`.
        penalties: parts of kind penalties by name.
        settings: optimiser, batches, length.
        seed: of batches, penalties and dropout.
        layers: layers that a penalty without names is about; empty: hidden1, hidden2, ….
        task: gives the loss and what is correct; a head's own loss is `Task(objective=head)`.
        start: a snapshot to go on from.

    Yields:
        A `Step` after each update.

    Raises:
        Diverged: if a loss or gradient is not finite.
        ValueError: if there are no rows, or early stopping has no validation split.
    """
    need(len(train) > 0, expected="training rows", got="none", remedy="Use fewer rows for validation.")
    need(
        processes.count() == 1 or not penalties,
        expected="one process to train under penalties in this loop",
        got=f"a group of {processes.count()}",
        remedy="Write the loop as docs/several-processes.md shows.",
    )
    settings.need_validation(validation)
    device = device_of(model)
    train, validation = (Split(part.inputs.to(device), part.targets.to(device)) for part in (train, validation))
    asked = {name: captured_by(model, {name: penalty}, layers) for name, penalty in penalties.items()}
    layers = tuple(dict.fromkeys(layer for some in asked.values() for layer in some))
    requires_grad = any(getattr(penalty, "reads_inputs", True) for penalty in penalties.values())
    references = {name: reference_of(model, train, some, settings.batch_size) for name, some in asked.items()}
    optimiser = settings.optimiser_of(model)
    drawing = ("batches", *penalties, *(("adversarial",) if settings.adversarial else ()))
    generators = {name: _seeded(seed, place) for place, name in enumerate(drawing)}
    states = {name: penalty.start(references[name], generators[name]) for name, penalty in penalties.items()}
    at = Place(order=torch.empty(0, dtype=torch.int64))
    if start is not None:
        at, states = go_on(start, model, optimiser, generators, states)
        need(
            len(at.order) in (0, len(train)),
            expected=f"a snapshot of training on {len(train)} rows",
            got=f"one on {len(at.order)}",
            remedy="Go on with the data that the run began with, or begin anew.",
        )
    size, steps, batches = settings.batch_size, settings.steps_for(len(train)), settings.batches_in(len(train))
    good, parameters = _Kept(model), dict(model.named_parameters())

    while at.step < steps and not at.stopped:
        if at.step % batches == 0:
            at = replace(at, order=torch.randperm(len(train), generator=generators["batches"]))
        epoch, place = divmod(at.step, batches)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate_at(epoch)
        rows = at.order[place * size : (place + 1) * size].to(device)
        model.train()  # whoever watches may have left it in eval mode
        inputs, targets = train.inputs.index_select(0, rows), train.targets.index_select(0, rows)
        if settings.adversarial:
            inputs = perturbed(settings.adversarial, model, inputs, targets, generators["adversarial"])
        with torch.random.fork_rng():  # dropout: the same at each step of the same seed
            seed_torch((seed * 1_000_003 + at.step) % MOST_SEEDS)
            forward_pass = forward(model, inputs, targets, layers, requires_grad, parameters)
        loss = task.loss(forward_pass.outputs, forward_pass.targets)
        numbers: dict[str, Any] = {"task_loss": loss.detach()}
        for name, penalty in penalties.items():
            seen = replace(forward_pass, hidden={layer: forward_pass.hidden[layer] for layer in asked[name]})
            value = penalty(seen, states[name], generators[name])
            loss, states[name] = loss + value.total, value.state
            numbers |= renamed(value.per_layer, f"{name}/") | renamed(value.logged, f"{name}/")
        optimiser.zero_grad()  # whoever watches may have left gradients
        loss.backward()
        norm = _norm(parameter.grad for parameter in parameters.values() if parameter.grad is not None)
        _need_finite({"loss": loss.detach(), "gradient norm": norm}, model, good, at.step + 1)
        good.keep()
        optimiser.step()
        optimiser.zero_grad()  # passes between updates then have no gradients to copy and put back
        last_of_epoch = place == batches - 1
        at = replace(at, step=at.step + 1)
        numbers = {"loss": loss.detach(), "gradient_norm": norm, **numbers}
        if settings.schedule or settings.decay:
            numbers["learning_rate"] = torch.tensor(settings.rate_at(epoch), dtype=torch.float64)
        if last_of_epoch and len(validation):
            at, found = _validated(at, model, validation, settings, task)
            numbers |= found
        last = at.stopped or at.step == steps
        for name, penalty in penalties.items():
            if not last and due(states[name], last_of_epoch):  # after the last update, only the basis in use tells
                states[name] = penalty.refreshed(states[name], references[name], generators[name])
        if settings.adversarial and (last_of_epoch or last):
            numbers |= accuracies(settings.adversarial, model, train.inputs[rows], targets)
        if last:
            _need_finite({"norm of the weights": _norm(model.parameters())}, model, good, at.step)
        if last and at.best is not None:
            model.load_state_dict(at.best)
        yield Step(
            progress=Progress(at.step, steps, at.step // batches, math.ceil(steps / batches)),
            model=model,
            values=Deferred({name: partial(_number, found) for name, found in numbers.items()}),
            last_of_epoch=last_of_epoch,
            snapshot=lambda: snapshot(at, model, optimiser, generators, states),  # noqa: B023
            last=last,
            states=dict(states),
        )


def due(state: Any, last_of_epoch: bool) -> bool:
    """Whether a penalty's state asks for a refresh."""
    when = getattr(state, "due", "no")
    return when == "now" or (when == "epoch" and last_of_epoch)


# ------------------------------------------------------------------------ what may go wrong


class _Kept:
    """A copy of the weights and buffers that last gave a finite loss."""

    def __init__(self, model: nn.Module) -> None:
        self.live = [value for value in model.state_dict(keep_vars=True).values() if isinstance(value, Tensor)]
        self.held = [value.detach().clone() for value in self.live]

    def keep(self) -> None:
        """The weights are good: remember them."""
        with torch.no_grad():
            for held, value in zip(self.held, self.live):
                held.copy_(value)

    def put_back(self) -> None:
        """Give the model the weights that were good."""
        with torch.no_grad():
            for held, value in zip(self.held, self.live):
                value.copy_(held)


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all tensors together."""
    norms = [tensor.detach().norm() for tensor in tensors]
    return torch.stack(norms).norm() if norms else torch.zeros(())


def _number(found: Tensor | float | Callable[[], Tensor]) -> float:
    """What is logged under a name, as a number; the device is waited for."""
    return float(found if isinstance(found, Tensor | float | int) else found())


def _need_finite(values: Mapping[str, Tensor], model: nn.Module, good: _Kept, step: int) -> None:
    """The device is waited for once, whatever is looked at."""
    if bool(torch.isfinite(torch.stack(list(values.values()))).all()):
        return
    good.put_back()
    what, value = next((name, float(value)) for name, value in values.items() if not math.isfinite(value))
    raise Diverged(
        f"Expected a finite {what} at step {step}, got {value}. The last good weights are kept; lower the learning "
        "rate or the penalties' strength."
    )


def _validated(
    at: Place, model: nn.Module, validation: Split, settings: Training, task: Task
) -> tuple[Place, dict[str, float]]:
    """Validation loss and accuracy; with patience, the best weights so far and whether to stop."""
    with left_as_found(model, frozen=False), torch.no_grad():
        outputs = torch.cat([model(part) for part in validation.inputs.split(REFERENCE_BATCH)])
        accuracy = float(task.correct(outputs, validation.targets).double().mean())
        loss = float(task.loss(outputs, validation.targets))
    found = {"validation_accuracy": accuracy, "validation_loss": loss}
    if settings.patience is None:
        return at, found
    if accuracy > at.best_accuracy or (accuracy == at.best_accuracy and loss < at.best_loss):
        best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return replace(at, best=best, best_accuracy=accuracy, best_loss=loss, waited=0), found
    return replace(at, waited=at.waited + 1, stopped=at.waited + 1 >= settings.patience), found


def _seeded(seed: int, place: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 7919 + 104_729 * place) % MOST_SEEDS)
