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
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._rates import Schedule, Step, need_rate, scheduled, stepped
from eigenfall.rules._shared import Distribution, first_weights, linear, need_batch, need_one_seed, need_sizes
from eigenfall.types.training import Progress


@dataclass(frozen=True, eq=False)
class State:
    """What BCM remembers: its weights, and each unit's threshold θ, the running mean of y²."""

    weights: Float[Tensor, "seeds units inputs"]
    thresholds: Float[Tensor, "seeds units"]


@dataclass(frozen=True)
class BCM:
    """Bienenstock, Cooper and Munro's rule.

    Attributes:
        rate: η at the start.
        schedule: η over the epochs: "constant", or "linear", falling towards 0.
        threshold_rate: ρ, the share of a batch in the running mean of y²; at 1 the threshold is the batch's own.
        inhibition: ι, the share of the other units' mean current that is taken off a unit's; 0 leaves units alone.
        step: what η multiplies: the "mean" change over the batch, or that scaled until its "largest" entry is 1.
        start_weights: distribution of the first weights: "normal", or "uniform" from 0 up.
        start_norm: root mean square length of a unit's first weights.
    """

    cite: ClassVar[str] = "intrator1992"
    rate: float = 0.01
    schedule: Schedule = "constant"
    threshold_rate: float = 0.1
    inhibition: float = 0.0
    step: Step = "mean"
    start_weights: Distribution = "uniform"
    start_norm: float = 1.0

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Random weights and thresholds of 0, float32 on the CPU, a generator for each seed.

        Raises:
            ValueError: for a rate or norm that is not positive, a share outside its range, or empty sizes.
        """
        need_sizes(inputs, units)
        need_rate(self.rate)
        need(self.start_norm > 0, expected="a start_norm above 0", got=f"{self.start_norm}", remedy="Use 1.")
        need(
            0 < self.threshold_rate <= 1,
            expected="a threshold_rate above 0 and at most 1",
            got=f"{self.threshold_rate}",
            remedy="It is the share of one batch in the running mean.",
        )
        need(
            0 <= self.inhibition < 1,
            expected="an inhibition of at least 0 and below 1",
            got=f"{self.inhibition}",
            remedy="At 1 nothing would be left of what all units have in common.",
        )
        weights = first_weights(inputs, units, self.start_weights, self.start_norm, generators)
        return State(weights, torch.zeros(len(weights), units))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn one batch, thresholds first; the state's tensors are written into, and nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit the weights.
        """
        need_batch(batch, state.weights)
        responses = self._inhibited(batch @ state.weights.mT, dim=2)
        share = max(self.threshold_rate, 1 / (progress.step + 1))
        thresholds = state.thresholds.lerp_(responses.square().mean(1), share)
        drives = self._inhibited(responses * (responses - thresholds[:, None]), dim=2)
        change = stepped(drives.mT @ batch, batch.shape[1], self.step)
        state.weights.add_(change, alpha=scheduled(self.rate, self.schedule, progress))
        return state

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
