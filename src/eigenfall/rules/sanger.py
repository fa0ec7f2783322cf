"""Sanger's generalised Hebbian algorithm: units find the principal components, each its own, in order.

    y = W x,   W ← W + η (⟨y xᵀ⟩ − LT⟨y yᵀ⟩ W),   ⟨ ⟩ the mean over the batch,   η = rate / P

LT keeps the lower triangle, diagonal included: a unit learns by Oja's rule from what the units before it leave over. P
is the mean squared length of the inputs so far. Rows end as ±v₁, ±v₂, …, the eigenvectors of the inputs' second moment,
largest eigenvalue first. A step brings the n-th closer by about η (λₙ − λₙ₊₁), so that late components, which are small
and lie close together, need very many steps. In images as they are the mean takes most of P, and `centre=running` makes
the others faster.

Source: Sanger 1989, Neural Networks 2, doi:10.1016/0893-6080(89)90044-0.
Differs from the source: a batch's mean in place of one input at a time, which a batch of one gives back. The rate has
no unit, since η λ₁ < 1 is needed and λ₁ ≤ P; `scale=none` takes it as it is. Inputs are taken as they are, so that the
second moment is not a covariance unless they have mean 0, or `centre` is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.rules._moments import (
    State,
    affine,
    averaged,
    begun,
    centred,
    mean_square,
    need_components,
    need_finite,
    need_rate,
    rates,
    scheduled,
)
from eigenfall.rules._shared import need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True)
class Sanger:
    """Sanger's rule: unit n learns the n-th principal component.

    Attributes:
        learning_rate: at first; it should stay below 1 with scale=power, below 1/λ₁ with scale=none.
        schedule: linear: the rate falls from its first value in epoch 1 towards 0; constant.
        scale: power: the rate is divided by the mean squared length of the inputs so far, so that it does not depend
            on their unit; none: it is taken as it is.
        centre: none: inputs are taken as they are; running: less the mean of all inputs so far.
    """

    cite: ClassVar[str] = "sanger1989"
    learning_rate: float = 0.5
    schedule: Literal["linear", "constant"] = "linear"
    scale: Literal["power", "none"] = "power"
    centre: Literal["none", "running"] = "none"

    def __post_init__(self) -> None:
        need_rate(self.learning_rate)

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Normal draws of variance 1/inputs, so that rows have a length of about 1, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are more units than inputs, which have no component left to find.
        """
        need_sizes(inputs, units)
        need_components(inputs, units)
        return begun(inputs, units, generators)

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn from one batch. The state's tensors are written into: what comes back is the state.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands, for the schedule.
            generators: unused; nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit, or if the layer has blown up.
        """
        need_batch(batch, state.weights)
        rows, weights = batch.shape[1], state.weights
        batch, mean = centred(batch, state.mean, state.seen, self.centre)
        power = averaged(state.power, mean_square(batch), state.seen, rows)
        outputs = batch @ weights.mT
        moments = outputs.mT @ outputs
        squares = moments.diagonal(dim1=1, dim2=2)
        need_finite(squares, batch, progress, f"Use a learning_rate below {self.learning_rate:g}, or scale=power.")
        change = torch.baddbmm(outputs.mT @ batch, moments.tril_(), weights, alpha=-1)
        rate = rates(scheduled(self.learning_rate, self.schedule, progress), self.scale, power)
        weights.add_(change.mul_(rate / rows))
        return State(weights, mean, power, state.seen + rows)

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to outputs W x, or W (x − mean), of one seed."""
        need_one_seed(state.weights)
        return affine(state.weights[0], state.mean[0], self.centre)
