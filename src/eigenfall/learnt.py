"""A layer that learns by a local rule, then a head fitted on it: what a run of `learn` does, moment by moment.

    layer ← learn(rule, training inputs);   gates, pruning;   head ← fit_head(layer, head, training split)

`learning_model` is a generator of `Moment`: whatever keeps checkpoints or draws progress consumes it. From a moment's
snapshot the same work goes on, bit-equal.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.convergence import Gates
from eigenfall.judgements import Watched, judged, notices_of, rows_of
from eigenfall.learning import Learning, learn
from eigenfall.optimisation import Training
from eigenfall.pruning import Pruning, removed, zeroed
from eigenfall.readout import fit_head, joined, scaled
from eigenfall.scaling import need_scaling
from eigenfall.snapshots import flattened, unflattened
from eigenfall.types import Convergence, Examples, LearningStep, Pruned, ReceptiveFields, Row, one_seed

SHOWN = 36
"""How many units' weights are kept to be looked at."""


@dataclass(frozen=True, eq=False)
class Moment:
    """How far the work is, and what it can go on from.

    Attributes:
        what: what is being done.
        done: steps of it that are finished.
        total: steps of it.
        snapshot: everything from which the work goes on, as a flat mapping of tensors, numbers and text.
        logged: what goes into the history, if anything.
        last: whether a part of the work ends here, so that its checkpoint must be written.
        said: what a reader must know now; it stays on the screen.
    """

    what: str
    done: int
    total: int
    snapshot: Callable[[], Mapping[str, Any]]
    logged: Row | None = None
    last: bool = False
    said: str = ""


@dataclass(frozen=True, eq=False)
class Learnt:
    """What learning came to.

    Attributes:
        model: inputs to logits, with `currents`, `hidden1` and `readout`.
        head: the part that made the readout, its scale the one that was found.
        convergence: of the layer before pruning; `None` for a rule whose norms go nowhere in particular.
        change: of the weights over the last epoch, relative to them, of such a rule; `None` after a single epoch.
        pruned: which units were kept; `None` if none were to be pruned.
        fields: weights of the first units that are left.
        rows: numbers about the layer.
        notices: what a reader must know.
    """

    model: nn.Module
    head: Any
    convergence: Convergence | None
    change: float | None
    pruned: Pruned | None
    fields: ReceptiveFields
    rows: tuple[Row, ...]
    notices: tuple[str, ...]


Working = Generator[Moment, None, Learnt]


def learning_model(
    rule: Any,
    head: Any,
    examples: Examples,
    learning: Learning,
    training: Training,
    seed: int = 0,
    pruning: Pruning | None = None,
    prune: str = "removed",
    device: torch.device | None = None,
    start: Mapping[str, Any] | None = None,
) -> Working:
    """Learn a layer from the training inputs, judge it, and fit a head on it.

    Args:
        rule: a part of kind rules.
        head: a part of kind heads.
        examples: give the training and the validation split; the test split is not touched.
        learning: size and length of the layer's learning.
        training: how the head is fitted.
        seed: of everything that is drawn.
        pruning: which units are taken out before the head is fitted; `None`: none.
        prune: "removed", or "zeroed" as published.
        device: where; `None`: the CPU.
        start: a snapshot to go on from.

    Returns:
        A value with the model and what the layer was judged to be.

    Raises:
        ValueError: if images are not scaled as the rule needs, units of another rule than Krotov's are to be pruned,
            or the head cannot be made or fitted: before the layer learns.
        Diverged: if the head's loss is not finite.
    """
    train = replace(examples.train, inputs=examples.train.inputs.to(device or torch.device("cpu")))
    need_scaling(train.inputs, getattr(rule, "scaling", "any"))
    need(
        pruning is None or hasattr(rule, "p"),
        expected="a rule whose units' variance says whether they have learnt",
        got=f"{type(rule).__name__.lower()}",
        remedy="Only krotov's units are pruned.",
    )
    training.need_validation(examples.validation)
    head(learning.units, examples.classes, torch.Generator())
    state, watched = yield from _learning_layer(rule, train.inputs, learning, seed, start)
    weights = state.weights[0]
    convergence = judged(rule, weights, train.inputs)
    pruned = None if pruning is None else pruning(weights)
    layer = rule.layer(state)
    if pruned is not None:
        layer.weight.data = (removed if prune == "removed" else zeroed)(layer.weight.data, pruned.kept)
        weights = removed(weights, pruned.kept)
    notices = notices_of(convergence, pruned, watched.change)
    held = _held(state, learning.epochs * learning.batches_in(len(train))) | watched.kept
    begun = {name: value for name, value in (start or {}).items() if name.startswith("head/")}
    yield Moment("judging the layer", 1, 1, lambda: held | begun, said=" ".join(notices))
    head = scaled(layer, head, train.inputs)
    made = yield from _fitting_head(layer, head, examples, training, seed, held, begun)
    rows, fields = rows_of(convergence, pruned, watched.change, len(state.weights[0])), _fields(weights, examples)
    return Learnt(joined(layer, made), head, convergence, watched.change, pruned, fields, tuple(rows), tuple(notices))


def _learning_layer(
    rule: Any, inputs: Tensor, learning: Learning, seed: int, start: Mapping[str, Any] | None
) -> Generator[Moment, None, tuple[Any, Watched]]:
    """The layer's last state, and what was watched of it."""
    kept = _under("layer/", start)
    watched = Watched(**_under("watched/", start))
    steps = learning.epochs * learning.batches_in(len(inputs))
    if kept and kept["place/step"] == steps:
        like = rule.start(inputs[0].numel(), learning.units, [torch.Generator().manual_seed(seed)])
        return unflattened(like, kept, "state/", inputs.device), watched
    found: Any = None
    for step in learn(rule, inputs, learning, (seed,), start=kept or None):
        found = step.state
        if step.last_of_epoch and not hasattr(rule, "radius"):
            watched = watched.after(found.weights[0])
        yield Moment(
            "learning",
            step.progress.step,
            step.progress.steps,
            lambda step=step, watched=watched: (
                {f"layer/{name}": value for name, value in step.snapshot().items()} | watched.kept
            ),
            _logged(rule, step, watched) if step.last_of_epoch else None,
            step.last,
        )
    return found, watched


def _logged(rule: Any, step: LearningStep, watched: Watched) -> Row:
    """An epoch's line of the history: the share of units that are not there yet, or how much the weights changed."""
    told = {"layer_step": step.progress.step, "layer_epoch": step.progress.epoch, **step.values}
    if hasattr(rule, "radius"):
        told["unconverged"] = Gates()(one_seed(step.state, 0).weights[0], rule.p, rule.radius).unconverged
    elif watched.change is not None:
        told["layer_change"] = watched.change
    return told


def _held(state: Any, steps: int) -> dict[str, Any]:
    """A layer that has learnt to its end, as its last step's snapshot tells it; what was drawn is needed no more."""
    return {f"layer/{name}": value for name, value in flattened(state, "state/").items()} | {"layer/place/step": steps}


def _fitting_head(
    layer: nn.Module,
    head: Any,
    examples: Examples,
    training: Training,
    seed: int,
    held: Mapping[str, Any],
    begun: Mapping[str, Any],
) -> Generator[Moment, None, nn.Sequential]:
    """The head, fitted, from where it was begun; snapshots hold the layer beside it."""
    start = _under("head/", begun) or None
    fitting = fit_head(layer, head, examples.train, examples.validation, examples.classes, training, seed, start=start)
    while True:
        try:
            step = next(fitting)
        except StopIteration as finished:
            return finished.value
        at = step.progress
        yield Moment(
            "fitting the head",
            at.step,
            at.steps,
            lambda step=step: {**held, **{f"head/{name}": value for name, value in step.snapshot().items()}},
            {"step": at.step, "epoch": at.epoch, **step.values} if step.last_of_epoch or step.last else None,
            step.last,
        )


def _under(prefix: str, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a snapshot holds under a name."""
    return {name.removeprefix(prefix): value for name, value in (kept or {}).items() if name.startswith(prefix)}


def _fields(weights: Tensor, examples: Examples) -> ReceptiveFields:
    """Weights of the first units, in the shape of an input."""
    some = weights[:SHOWN].detach().float().cpu()
    return ReceptiveFields(some.reshape(len(some), *examples.train.inputs.shape[1:]), len(weights))
