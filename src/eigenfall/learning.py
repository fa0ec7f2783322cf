"""The one local-learning loop: batches, rule, next state; a generator of `LearningStep`.

    state = rule(state, batch, progress, generators),   one batch of each seed at a time, no targets

Seeds are learnt side by side, each with its own order of the inputs and its own draws, as if it were alone. Whatever
watches learning consumes the steps. A step's snapshot holds everything from which the loop goes on bit-equal. The loop
is handed the training inputs, never targets, never the test split.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.snapshots import flattened, unflattened
from eigenfall.types import LearningStep, Progress, placed

MOST_SEEDS = 2**63 - 1


@dataclass(frozen=True)
class Learning:
    """How long a layer learns, and from how many inputs at a time.

    Attributes:
        units: of the layer.
        epochs: passes over the inputs.
        batch_size: inputs in one step.
        last_batch: keep or drop an epoch's short last batch.
    """

    units: int = 100
    epochs: int = 20
    batch_size: int = 100
    last_batch: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        for name in ("units", "epochs", "batch_size"):
            value = getattr(self, name)
            need(value >= 1, expected=f"{name} of 1 or more", got=f"{value}", remedy="Use a larger one.")

    def batches_in(self, rows: int) -> int:
        """Steps in an epoch."""
        return max(1, rows // self.batch_size if self.last_batch == "drop" else math.ceil(rows / self.batch_size))


def learn(
    rule: Any,
    inputs: Tensor,
    settings: Learning,
    seeds: Sequence[int] = (0,),
    start: Mapping[str, Any] | None = None,
) -> Iterator[LearningStep]:
    """Learn a layer from inputs, for several seeds side by side, on the device where the inputs lie.

    Args:
        rule: a part of kind rules.
        inputs: `(inputs, ...)`; flattened. Their precision is the layer's.
        settings: size, length, batches.
        seeds: of the weights, the order of inputs and whatever a rule draws.
        start: a snapshot to go on from.

    Yields:
        A `LearningStep` after each batch.

    Raises:
        ValueError: if there are no inputs or seeds, an input is not finite, or the snapshot is of other inputs.
    """
    need(len(inputs) > 0, expected="inputs to learn from", got="none", remedy="Give the data set training rows.")
    need(len(seeds) > 0, expected="at least one seed", got="none", remedy="Use seeds=(0,).")
    inputs = inputs.flatten(1)
    finite = torch.isfinite(inputs).all(1)
    need(
        bool(finite.all()),
        expected="finite inputs",
        got=f"{int((~finite).sum())} that are not, the first at {int(finite.int().argmin())}",
        remedy="Leave them out.",
    )
    drawing = [_seeded(seed, 0) for seed in seeds]
    generators = [_seeded(seed, 1) for seed in seeds]
    state = placed(rule.start(inputs.shape[1], settings.units, generators), inputs)
    step, order = 0, torch.empty(0, dtype=torch.int64)
    if start is not None:
        step, order = int(start["place/step"]), start["place/order"].clone()
        need(
            tuple(order.shape) == (len(seeds), len(inputs)),
            expected=f"a snapshot of learning {len(inputs)} inputs with {len(seeds)} seeds",
            got=f"one of {order.shape[-1]} with {len(order)}",
            remedy="Go on with the data and seeds that the run began with, or begin anew.",
        )
        state = unflattened(state, start, "state/", inputs.device)
        for place, held in enumerate(zip(drawing, generators)):
            for name, generator in zip(("batches", "rule"), held):
                generator.set_state(start[f"generator/{name}/{place}"])
    size, batches = settings.batch_size, settings.batches_in(len(inputs))
    steps = settings.epochs * batches

    while step < steps:
        if step % batches == 0:
            order = torch.stack([torch.randperm(len(inputs), generator=generator) for generator in drawing])
        place = step % batches
        rows = order[:, place * size : (place + 1) * size].to(inputs.device)
        progress = Progress(step, steps, step // batches, settings.epochs)
        batch = inputs.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        state = rule(state, batch, progress, generators)
        step += 1
        yield LearningStep(
            progress=Progress(step, steps, step // batches, settings.epochs),
            state=state,
            values={},
            last_of_epoch=place == batches - 1,
            snapshot=lambda: _snapshot(step, order, state, drawing, generators),  # noqa: B023
            last=step == steps,
        )


def _seeded(seed: int, place: int) -> torch.Generator:
    """Order and draws apart, so that a rule that draws does not change the order."""
    return torch.Generator().manual_seed((seed * 7919 + 104_729 * place) % MOST_SEEDS)


def _snapshot(
    step: int,
    order: Tensor,
    state: Any,
    drawing: Sequence[torch.Generator],
    generators: Sequence[torch.Generator],
) -> dict[str, Any]:
    """Everything from which the loop goes on, copied."""
    held = flattened(state, "state/")
    found = {name: value.clone() if isinstance(value, Tensor) else value for name, value in held.items()}
    for place, (batches, own) in enumerate(zip(drawing, generators)):
        found[f"generator/batches/{place}"] = batches.get_state()
        found[f"generator/rule/{place}"] = own.get_state()
    return {**found, "place/step": step, "place/order": order.clone()}
