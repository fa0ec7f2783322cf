"""BCM: each unit is driven towards inputs to which it responds more than its own threshold, and away from the others.

    u = W v,   y_k = u_k − ι · mean of u_j over j ≠ k,   θ_k ← θ_k + ρ (mean y_k² − θ_k)
    φ_k = y_k (y_k − θ_k)/θ_k,   ΔW_k = η · mean over the batch of (φ_k − ι · mean of φ_j over j ≠ k) v / P

with P the mean squared length of the inputs so far, so that η has no unit. Of K linearly independent inputs, equally
likely, a unit comes to respond to one alone, with y = θ = K there and 0 elsewhere: the stable points, whatever the
scale of the inputs. They are stable if thresholds are faster than weights, ρ > η ‖v‖²/(P K): slower ones oscillate.

With `modification="plain"` φ = y (y − θ), and with θ = E y² and without P the rule is gradient descent of
Σ_k (E y_k²)²/4 − E y_k³/3 in the weights.

A unit whose responses are all negative creeps up to 0 and may stay silent: there y² is the smaller of φ's terms. It
comes back if φ is divided by a θ that falls as fast as y². Weights start positive, for inputs that are, to avoid it.

Source: Bienenstock, Cooper & Munro 1982, Journal of Neuroscience 2, 32, doi:10.1523/JNEUROSCI.02-01-00032.1982, in the
form of Intrator & Cooper 1992, Neural Networks 5, 3, doi:10.1016/S0893-6080(05)80003-6; division by θ: Law & Cooper
1994, PNAS 91, 7797, doi:10.1073/pnas.91.16.7797.
Differs from the source: units are linear, where Intrator & Cooper pass y through a sigmoid. Inhibition takes off a
share of the others' mean, not of their sum, so that it means the same for any number of units; that its gradient is
theirs is unverified against the text. θ is a running mean over batches, and the plain mean over the inputs seen as long
as a batch has more than ρ of them. P is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._hebbian import TINY, Distribution, first_weights, need_above_0, scale_of
from eigenfall.rules._moments import averaged, mean_square, need_finite, scheduled
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: W, a row for each unit.
        thresholds: θ of each unit, the running mean of its y².
        power: P, mean squared length of the inputs so far.
        seen: how many inputs that is.
    """

    weights: Float[Tensor, "seeds units inputs"]
    thresholds: Float[Tensor, "seeds units"]
    power: Float[Tensor, " seeds"]
    seen: int = 0


@dataclass(frozen=True)
class BCM:
    """Bienenstock, Cooper and Munro's rule.

    Attributes:
        learning_rate: η at first.
        schedule: linear: the rate falls from its first value in epoch 1 towards 0; constant.
        threshold_rate: ρ, the share of a batch in the running mean of y²; at 1 the threshold is the batch's own.
        inhibition: ι, the share of the other units' mean current that is taken off a unit's; 0 leaves units alone.
        modification: over_threshold: φ = y (y − θ)/θ; plain: φ = y (y − θ).
        step: what η multiplies. power: the mean change over the batch, divided by P; mean: without P; largest: the
            summed change, scaled until its largest entry is 1.
        start_weights: normal; uniform: from 0 up.
        start_norm: root mean square length of a unit's first weights.
    """

    cite: ClassVar[str] = "intrator1992"
    learning_rate: float = 0.02
    schedule: Literal["linear", "constant"] = "linear"
    threshold_rate: float = 0.1
    inhibition: float = 0.0
    modification: Literal["over_threshold", "plain"] = "over_threshold"
    step: Literal["power", "mean", "largest"] = "power"
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
        return State(weights, torch.zeros(len(weights), units), torch.zeros(len(weights)))

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
        rows = batch.shape[1]
        responses = self._inhibited(batch @ state.weights.mT, dim=2)
        share = max(self.threshold_rate, rows / (state.seen + rows))
        thresholds = state.thresholds.lerp_(responses.square().mean(1), share)
        need_finite(thresholds, batch, progress, f"Use a learning_rate below {self.learning_rate:g}, or step=largest.")
        power = averaged(state.power, mean_square(batch), state.seen, rows)
        drives = responses * (responses - thresholds[:, None])
        if self.modification == "over_threshold":
            drives = drives / thresholds.clamp_min(TINY)[:, None]
        change = self._inhibited(drives, dim=2).mT @ batch
        scale = scale_of(change, rows, self.step) * scheduled(self.learning_rate, self.schedule, progress)
        if self.step == "power":
            scale = scale / power.clamp_min(TINY)[:, None, None]
        state.weights.addcmul_(change, scale)
        return replace(state, power=power, seen=state.seen + rows)

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
