"""What local learning carries: the state of a rule, one seed of it, and what the loop yields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from eigenfall.types.training import Progress

State = TypeVar("State")
"""A rule's state: a frozen dataclass of tensors `(seeds, ...)`, `weights (seeds, units, inputs)` first, and numbers."""


@dataclass(frozen=True, eq=False)
class LearningStep:
    """What the local loop yields after each batch: whoever watches learning consumes these.

    Attributes:
        progress: where the loop stands.
        state: the rule's state, the seeds as its tensors' first axis. It is the loop's own: the next step may write
            into it. Read it, or take a snapshot.
        values: what the rule says of this step, as numbers.
        last_of_epoch: whether an epoch ends here.
        snapshot: everything from which the loop goes on bit-equal, as a flat mapping of tensors, numbers and text.
        last: whether this is the last step.
    """

    progress: Progress
    state: Any
    values: Mapping[str, float]
    last_of_epoch: bool
    snapshot: Callable[[], Mapping[str, Any]]
    last: bool = False


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """Weights of units, in the shape of an input.

    Attributes:
        weights: `(shown, ...)`, the first units of the layer.
        units: how many the layer has.
    """

    weights: Float[Tensor, "shown ..."]
    units: int


def one_seed(state: State, place: int) -> State:
    """One seed of a state, still with its first axis, of length 1. Tensors are views."""
    return _each(state, lambda tensor: tensor[place : place + 1])


def placed(state: State, like: Tensor) -> State:
    """A state on the device and, its floating-point tensors, in the precision of another tensor."""
    return _each(
        state, lambda tensor: tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)
    )


def _each(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """A state with each of its tensors changed."""
    held = {field.name: getattr(state, field.name) for field in fields(state)}  # type: ignore[arg-type]
    return replace(state, **{name: change(value) for name, value in held.items() if isinstance(value, Tensor)})  # type: ignore[type-var]
