"""What models in training hand to penalties and to whoever watches."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn


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
        logged: quantities to log; may find them when they are read, as `eigenfall.deferred.Deferred` does.
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
        values: `loss`, and what each penalty logs, as numbers, each found when it is read.
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
    """What a model is asked to do. Classification: logits `(batch, classes)` against a class each.

    Attributes:
        kind: classification.
        objective: whose `loss(outputs, targets)` is minimised, such as a part of kind heads; `None`: cross-entropy.
    """

    kind: Literal["classification"] = "classification"
    objective: Any = None

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]) -> Float[Tensor, ""]:
        """The objective's loss; without one, mean cross-entropy."""
        if self.objective is not None:
            return self.objective.loss(outputs, targets)
        return nn.functional.cross_entropy(outputs, targets)

    def correct(
        self, outputs: Float[Tensor, "batch classes"], targets: Shaped[Tensor, " batch"]
    ) -> Bool[Tensor, " batch"]:
        """Whether the target's logit is above every other; a tie is an error."""
        others = outputs.scatter(1, targets[:, None], -math.inf).amax(1)
        return outputs.gather(1, targets[:, None])[:, 0] > others
