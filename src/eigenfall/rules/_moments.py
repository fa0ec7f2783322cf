"""What rules share that learn from second moments: centring, rates and their schedule, and the refusal of blow-ups.

    mean ← mean + (⟨x⟩ − mean) · B / (seen + B)

and the mean squared length of the inputs likewise: each input counts the same, whatever the size of its batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._shared import linear, normal
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: W, a row for each unit.
        mean: of the inputs so far; 0 without centring.
        power: mean squared length of the inputs so far, each less the mean as it then was.
        seen: how many inputs that is.
    """

    weights: Float[Tensor, "seeds units inputs"]
    mean: Float[Tensor, "seeds inputs"]
    power: Float[Tensor, " seeds"]
    seen: int = 0


def begun(inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
    """Normal draws of variance 1/inputs, so that rows have a length of about 1, and no input seen."""
    weights = normal((units, inputs), generators) / math.sqrt(inputs)
    return State(weights, torch.zeros(len(weights), inputs), torch.zeros(len(weights)))


def averaged(
    average: Float[Tensor, "seeds ..."], batch_average: Float[Tensor, "seeds ..."], seen: int, rows: int
) -> Float[Tensor, "seeds ..."]:
    """An average over `seen` inputs, after `rows` more of another average."""
    return average + (batch_average - average) * (rows / (seen + rows))


def centred(
    batch: Float[Tensor, "seeds batch inputs"], mean: Float[Tensor, "seeds inputs"], seen: int, centre: str
) -> tuple[Float[Tensor, "seeds batch inputs"], Float[Tensor, "seeds inputs"]]:
    """The batch less the mean of all inputs so far, its own among them, and that mean; without centring, as it was."""
    if centre == "none":
        return batch, mean
    mean = averaged(mean, batch.mean(1), seen, batch.shape[1])
    return batch - mean[:, None], mean


def mean_square(batch: Float[Tensor, "seeds batch inputs"]) -> Float[Tensor, " seeds"]:
    """Mean squared length of a batch's inputs."""
    return torch.linalg.vector_norm(batch, dim=(1, 2)).square() / batch.shape[1]


def need_rate(learning_rate: float) -> None:
    """Refuse a learning rate that is not above 0."""
    need(
        learning_rate > 0,
        expected="learning_rate above 0",
        got=f"{learning_rate:g}",
        remedy="Leave it out for the default.",
    )


def scheduled(learning_rate: float, schedule: str, progress: Progress) -> float:
    """The rate of the present epoch: linear falls from its first value in epoch 1 towards 0; constant."""
    return learning_rate * (1 - progress.epoch / progress.epochs) if schedule == "linear" else learning_rate


def rates(learning_rate: float, scale: str, power: Float[Tensor, " seeds"]) -> Float[Tensor, "seeds 1 1"]:
    """η of each seed: with scale=power divided by the power. Inputs that were all 0 teach nothing at any rate."""
    divisor = power.clamp_min(torch.finfo(power.dtype).tiny) if scale == "power" else torch.ones_like(power)
    return (learning_rate / divisor)[:, None, None]


def need_components(inputs: int, units: int) -> None:
    """Refuse more units than there are components to find."""
    need(
        units <= inputs,
        expected=f"at most {inputs} units for {inputs} inputs",
        got=f"{units}",
        remedy=f"Use units={inputs} or fewer: inputs have no further component to find.",
    )


def need_finite(values: Tensor, batch: Tensor, progress: Progress, remedy: str) -> None:
    """Refuse to go on once a layer has blown up; `values` are few, and not finite if an output is not."""
    if not bool(values.isfinite().all()):
        need(bool(batch.isfinite().all()), "finite inputs", "NaN or infinity among them", "Leave those inputs out.")
        need(False, "finite outputs", f"a layer that has blown up by step {progress.step}", remedy)


def affine(weights: Float[Tensor, "units inputs"], mean: Float[Tensor, " inputs"], centre: str) -> nn.Linear:
    """W (x − mean), or W x without centring; the parameters are copied, and held fixed.

    Raises:
        ValueError: if the weights are not finite.
    """
    need(
        bool(weights.isfinite().all()),
        expected="finite weights",
        got="a layer that has blown up",
        remedy="Use a lower learning_rate.",
    )
    layer = linear(weights)
    if centre != "none":
        layer.bias = nn.Parameter(-(weights @ mean).detach(), requires_grad=False)
    return layer
