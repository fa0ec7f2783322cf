"""Földiák's layer: Hebbian units that inhibit each other where they fire together too often, at a rate held constant.

    dy*/dt = f(Q v + L y* − t) − y*,   f(x) = 1/(1 + exp(−λ x)), from y* = 0;   y = 1 where y* > ½, else 0
    ΔQ_kj = β y_k (v_j − Q_kj),   ΔL_kj = −α (y_k y_j − p²), then L_kk = 0 and L ≤ 0,   Δt_k = γ (y_k − p)

each a mean over the batch. Where it comes to rest a unit fires with probability p, a row of Q is the mean input on
which it fires, and units that still inhibit each other fire together with probability p². Of images made of bars it
learns the single bars.

Source: Földiák 1990, Biological Cybernetics 64, 165, doi:10.1007/BF02331346; the defaults are its values for bars in
public re-implementations, unverified against the text.
Differs from the source: one input at a time is a batch of one here, and a larger batch makes one step of the mean.
The differential equation is solved by a fixed number of Euler steps, so that the layer is a plain function of its
inputs; as L is symmetric it settles if `settle_size` is small enough. The layer that is measured gives y*, not the
outputs of 0 and 1, which no gradient passes. The first thresholds are found as in the source, by `warm_up` steps in
which they alone learn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._hebbian import first_weights, need_above_0
from eigenfall.rules._moments import need_finite, scheduled
from eigenfall.rules._shared import need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: Q, forward weights, a row for each unit.
        lateral: L, symmetric, 0 on the diagonal and nowhere positive.
        thresholds: t of each unit.
        seen: how many batches have been learnt.
    """

    weights: Float[Tensor, "seeds units inputs"]
    lateral: Float[Tensor, "seeds units units"]
    thresholds: Float[Tensor, "seeds units"]
    seen: int = 0


class SettledLayer(nn.Module):
    """Settled responses y* of one trained layer, `(batch, inputs)` to `(batch, units)`, in (0, 1).

    Buffers hold the weights, the lateral weights and the thresholds; gradients reach the inputs.
    """

    weights: Tensor
    lateral: Tensor
    thresholds: Tensor

    def __init__(
        self,
        weights: Float[Tensor, "units inputs"],
        lateral: Float[Tensor, "units units"],
        thresholds: Float[Tensor, " units"],
        part: "Foldiak",
    ):
        super().__init__()
        for name, value in (("weights", weights), ("lateral", lateral), ("thresholds", thresholds)):
            self.register_buffer(name, value.detach().clone())
        self.part = part

    def forward(self, inputs: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch units"]:
        """Settle from silence."""
        return self.part.settled(inputs @ self.weights.mT - self.thresholds, self.lateral)


@dataclass(frozen=True)
class Foldiak:
    """Hebbian units with anti-Hebbian inhibition and a firing rate held constant.

    Attributes:
        probability: p, the share of inputs on which each unit is to fire.
        learning_rate: β of the forward weights, at first.
        lateral_rate: α of the lateral weights, at first.
        threshold_rate: γ of the thresholds, at first.
        schedule: linear: the three rates fall from their first value in epoch 1 towards 0; constant.
        slope: λ of the units' sigmoid.
        settle_steps: Euler steps of the differential equation.
        settle_size: length of such a step, in the time constant of a unit.
        output: what the rule learns from. thresholded: 1 where y* is above ½ and 0 elsewhere; graded: y*.
        warm_up: first batches, of which the thresholds alone learn.
        warm_up_rate: γ in these.
    """

    cite: ClassVar[str] = "foldiak1990"
    probability: float = 0.125
    learning_rate: float = 0.02
    lateral_rate: float = 0.1
    threshold_rate: float = 0.02
    schedule: Literal["linear", "constant"] = "constant"
    slope: float = 10.0
    settle_steps: int = 50
    settle_size: float = 0.1
    output: Literal["thresholded", "graded"] = "thresholded"
    warm_up: int = 100
    warm_up_rate: float = 0.1

    def __post_init__(self) -> None:
        need(
            0 < self.probability < 1,
            expected="probability between 0 and 1",
            got=f"{self.probability:g}",
            remedy="It is the share of inputs on which a unit fires.",
        )
        rates = ("learning_rate", "lateral_rate", "threshold_rate", "warm_up_rate")
        need_above_0(self, *rates, "slope", "settle_steps", "settle_size")
        need(
            self.settle_size <= 1,
            expected="settle_size of 1 or less",
            got=f"{self.settle_size:g}",
            remedy="A longer step overshoots even a unit that nothing drives.",
        )
        need(self.warm_up >= 0, expected="warm_up of 0 or more", got=f"{self.warm_up}", remedy="It counts batches.")

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Uniform weights of length 1, no inhibition, thresholds of 0, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        weights = nn.functional.normalize(first_weights(inputs, units, "uniform", 1.0, generators), dim=2)
        seeds = len(weights)
        return State(weights, torch.zeros(seeds, units, units), torch.zeros(seeds, units))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Settle on one batch and learn from it. The state's tensors are written into.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands, for the schedule.
            generators: unused; nothing is drawn.

        Raises:
            ValueError: if the batch is empty, does not fit, or is not finite.
        """
        need_batch(batch, state.weights)
        responses = self.settled(batch @ state.weights.mT - state.thresholds[:, None], state.lateral)
        need_finite(responses.sum(1), batch, progress, "Use lower rates.")
        if self.output == "thresholded":
            responses = (responses > 0.5).to(responses)
        warming, firing = state.seen < self.warm_up, responses.mean(1)
        rate = self.warm_up_rate if warming else scheduled(self.threshold_rate, self.schedule, progress)
        state.thresholds.add_(firing - self.probability, alpha=rate)
        if not warming:
            self._learn(state, batch, responses, firing, progress)
        return replace(state, seen=state.seen + 1)

    def settled(
        self, drives: Float[Tensor, "*seeds batch units"], lateral: Float[Tensor, "*seeds units units"]
    ) -> Float[Tensor, "*seeds batch units"]:
        """y* after `settle_steps` Euler steps of dy*/dt = f(drives + L y*) − y* from 0; L is symmetric."""
        responses = torch.zeros_like(drives)
        for _ in range(self.settle_steps):
            target = (self.slope * (drives + responses @ lateral)).sigmoid()
            responses = responses + self.settle_size * (target - responses)
        return responses

    def layer(self, state: State) -> nn.Module:
        """The layer as it is measured: settled responses y* in (0, 1), differentiable in the inputs.

        Raises:
            ValueError: for the state of several seeds.
        """
        need_one_seed(state.weights)
        return SettledLayer(state.weights[0], state.lateral[0], state.thresholds[0], self)

    def restored(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The layer as it is measured, made again of its tensors by name.

        Raises:
            ValueError: if these are not a settled layer's.
        """
        names = ("weights", "lateral", "thresholds")
        need(
            set(tensors) == set(names),
            expected=f"{', '.join(names)} of a settled layer",
            got=", ".join(sorted(tensors)) or "none",
            remedy="Give the weights of a layer that learnt by this rule.",
        )
        weights, lateral, thresholds = (tensors[name] for name in names)
        return SettledLayer(weights, lateral, thresholds, self)

    def _learn(self, state: State, batch: Tensor, responses: Tensor, firing: Tensor, progress: Progress) -> None:
        """Forward and lateral weights, in place."""
        change = (responses.mT @ batch).div_(batch.shape[1]).addcmul_(firing[..., None], state.weights, value=-1)
        state.weights.add_(change, alpha=scheduled(self.learning_rate, self.schedule, progress))
        together = responses.mT @ responses / batch.shape[1]
        together = (together + together.mT) / 2  # symmetric to the last bit, whatever the order of the sums
        rate = scheduled(self.lateral_rate, self.schedule, progress)
        state.lateral.sub_(together - self.probability**2, alpha=rate).clamp_(max=0)
        state.lateral.diagonal(dim1=1, dim2=2).zero_()
