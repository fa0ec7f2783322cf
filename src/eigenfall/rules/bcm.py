"""BCM: each unit is driven towards inputs to which it responds more than its own threshold, and away from the others.

    u = W v,   y_k = u_k − ι · mean of u_j over j ≠ k,   θ_k ← θ_k + ρ (mean y_k² − θ_k),   φ_k = y_k (y_k − θ_k)
    ΔW_k = η · mean over the batch of (φ_k − ι · mean of φ_j over j ≠ k) v

With θ = E y² that is gradient descent of Σ_k (E y_k²)²/4 − E y_k³/3 in the weights. Of K linearly independent inputs,
equally likely, a unit comes to respond to one alone, with y = θ = K there and 0 elsewhere: the stable points. A unit
whose responses are all negative may creep up to 0 and stay silent, since 0 repels positive responses only; so weights
start positive, for inputs that are.

Source: Bienenstock, Cooper & Munro 1982, Journal of Neuroscience 2, 32, doi:10.1523/JNEUROSCI.02-01-00032.1982, in the
form of Intrator & Cooper 1992, Neural Networks 5, 3, doi:10.1016/S0893-6080(05)80003-6.
Differs from the source: units are linear, where Intrator & Cooper pass y through a sigmoid. Inhibition takes off a
share of the others' mean, not of their sum, so that it means the same for any number of units; that its gradient is
theirs is unverified against the text. θ is a running mean over batches, and the plain mean over those seen as long as
they are fewer than 1/ρ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._hebbian import Distribution, Step, first_weights, need_above_0, stepped
from eigenfall.rules._moments import need_finite, scheduled
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: W, a row for each unit.
        thresholds: θ of each unit, the running mean of its y².
        seen: how many batches that is of.
    """

    weights: Float[Tensor, "seeds units inputs"]
    thresholds: Float[Tensor, "seeds units"]
    seen: int = 0


@dataclass(frozen=True)
class BCM:
    """Bienenstock, Cooper and Munro's rule.

    Attributes:
        learning_rate: η at first.
        schedule: linear: the rate falls from its first value in epoch 1 towards 0; constant.
        threshold_rate: ρ, the share of a batch in the running mean of y²; at 1 the threshold is the batch's own.
        inhibition: ι, the share of the other units' mean current that is taken off a unit's; 0 leaves units alone.
        step: what η multiplies. mean: the mean change over the batch; largest: that with its largest entry scaled to 1.
        start_weights: normal; uniform: from 0 up.
        start_norm: root mean square length of a unit's first weights.
    """

    cite: ClassVar[str] = "intrator1992"
    learning_rate: float = 0.01
    schedule: Literal["linear", "constant"] = "linear"
    threshold_rate: float = 0.1
    inhibition: float = 0.0
    step: Step = "mean"
    start_weights: Distribution = "uniform"
    start_norm: float = 1.0

    def __post_init__(self) -> None:
        need_above_0(self, "learning_rate", "threshold_rate", "start_norm")
        need(
            self.threshold_rate <= 1,
            expected="threshold_rate of 1 or less",
            got=f"{self.threshold_rate:g}",
            remedy="It is the share of one batch in the running mean.",
        )
        need(
            0 <= self.inhibition < 1,
            expected="inhibition of at least 0 and below 1",
            got=f"{self.inhibition:g}",
            remedy="At 1 nothing would be left of what all units have in common.",
        )

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Random weights and thresholds of 0, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        weights = first_weights(inputs, units, self.start_weights, self.start_norm, generators)
        return State(weights, torch.zeros(len(weights), units))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn from one batch, thresholds first. The state's tensors are written into.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands, for the schedule.
            generators: unused; nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit, or if the layer has blown up.
        """
        need_batch(batch, state.weights)
        responses = self._inhibited(batch @ state.weights.mT, dim=2)
        seen = state.seen + 1
        thresholds = state.thresholds.lerp_(responses.square().mean(1), max(self.threshold_rate, 1 / seen))
        need_finite(thresholds, batch, progress, f"Use a learning_rate below {self.learning_rate:g}, or step=largest.")
        drives = self._inhibited(responses * (responses - thresholds[:, None]), dim=2)
        change = stepped(drives.mT @ batch, batch.shape[1], self.step)
        state.weights.add_(change, alpha=scheduled(self.learning_rate, self.schedule, progress))
        return replace(state, seen=seen)

    def layer(self, state: State) -> nn.Module:
        """The layer as it is measured: the responses y, currents after inhibition, which are linear in the inputs.

        Raises:
            ValueError: for the state of several seeds.
        """
        need_one_seed(state.weights)
        return linear(self._inhibited(state.weights, dim=1)[0])

    def _inhibited(self, values: Tensor, dim: int) -> Tensor:
        """Each unit's value less its share of the other units' mean; the matrix that does so is symmetric."""
        if self.inhibition == 0:
            return values
        share = self.inhibition / max(values.shape[dim] - 1, 1)
        return (1 + share) * values - share * values.sum(dim, keepdim=True)
