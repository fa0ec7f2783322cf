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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._rates import Schedule, need_rate, scheduled
from eigenfall.rules._shared import first_weights, need_batch, need_one_seed, need_sizes
from eigenfall.types.training import Progress


@dataclass(frozen=True, eq=False)
class State:
    """What the layer remembers: forward weights Q, lateral weights L, and each unit's threshold t."""

    weights: Float[Tensor, "seeds units inputs"]
    lateral: Float[Tensor, "seeds units units"]
    thresholds: Float[Tensor, "seeds units"]


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
        rate: β of the forward weights, at the start.
        lateral_rate: α of the lateral weights, at the start.
        threshold_rate: γ of the thresholds, at the start.
        schedule: the three rates over the epochs: "constant", or "linear", falling towards 0.
        slope: λ of the units' sigmoid.
        settle_steps: Euler steps of the differential equation.
        settle_size: length of such a step, in the time constant of a unit.
        output: what the rule learns from: "thresholded", 1 where y* is above ½ and 0 elsewhere, or "graded", y*.
        warm_up: first steps in which the thresholds alone learn.
        warm_up_rate: rate of the thresholds in these.
    """

    cite: ClassVar[str] = "foldiak1990"
    probability: float = 0.125
    rate: float = 0.02
    lateral_rate: float = 0.1
    threshold_rate: float = 0.02
    schedule: Schedule = "constant"
    slope: float = 10.0
    settle_steps: int = 50
    settle_size: float = 0.1
    output: Literal["thresholded", "graded"] = "thresholded"
    warm_up: int = 100
    warm_up_rate: float = 0.1

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Uniform weights of length 1, no inhibition, thresholds of 0, float32 on the CPU, a generator for each seed.

        Raises:
            ValueError: for a probability outside (0, 1), a rate, slope or step that is not positive, or empty sizes.
        """
        need_sizes(inputs, units)
        need(
            0 < self.probability < 1,
            expected="a probability between 0 and 1",
            got=f"{self.probability}",
            remedy="It is the share of inputs on which a unit fires.",
        )
        for name in ("rate", "lateral_rate", "threshold_rate", "warm_up_rate"):
            need_rate(getattr(self, name), name)
        for name in ("slope", "settle_steps", "settle_size"):
            value = getattr(self, name)
            need(value > 0, expected=f"a {name} above 0", got=f"{value}", remedy="Nothing would settle otherwise.")
        need(self.settle_size <= 1, expected="a settle_size of at most 1", got=f"{self.settle_size}", remedy="Use 0.1.")
        need(self.warm_up >= 0, expected="a warm_up of 0 or more", got=f"{self.warm_up}", remedy="It counts steps.")
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
        """Settle on one batch and learn it; the state's tensors are written into, and nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit the weights.
        """
        need_batch(batch, state.weights)
        size, warming = batch.shape[1], progress.step < self.warm_up
        responses = self.settled(batch @ state.weights.mT - state.thresholds[:, None], state.lateral)
        if self.output == "thresholded":
            responses = (responses > 0.5).to(responses)
        firing = responses.mean(1)
        rate = self.warm_up_rate if warming else scheduled(self.threshold_rate, self.schedule, progress)
        state.thresholds.add_(firing - self.probability, alpha=rate)
        if warming:
            return state
        change = (responses.mT @ batch).div_(size).addcmul_(firing[..., None], state.weights, value=-1)
        state.weights.add_(change, alpha=scheduled(self.rate, self.schedule, progress))
        together = responses.mT @ responses / size
        together = (together + together.mT) / 2  # exactly symmetric, whatever the order of the sums
        rate = scheduled(self.lateral_rate, self.schedule, progress)
        state.lateral.sub_(together - self.probability**2, alpha=rate).clamp_(max=0)
        state.lateral.diagonal(dim1=1, dim2=2).zero_()
        return state

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
