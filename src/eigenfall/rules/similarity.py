"""Similarity matching: outputs as similar to one another as their inputs are, by Hebbian and anti-Hebbian learning.

    minimise Σ (xₛᵀ xₜ − yₛᵀ yₜ)² over the outputs of all inputs;   online:   y = (M + threshold)⁻¹ W x
    W ← W + 2 η (⟨y xᵀ⟩ − W),   M ← M + (η/τ) (⟨y yᵀ⟩ − M),   ⟨ ⟩ the mean over the batch

M stands for the lateral inhibition with which units settle; the layer is the linear map F = (M + threshold)⁻¹ W.
Without a threshold its rows end orthonormal, and span the leading components of the inputs' second moment C, mixed by
any rotation; M is then F C Fᵀ. With more units than inputs have components, F's columns end orthonormal instead:
units share the components, and all similarities are kept. A threshold takes as much off every eigenvalue of the
outputs' second moment, and switches components off that have less.

At τ > ½, M slower than W, this need not be stable: of the first and the last component that k units learn, with
q = λ₁/λ_k + λ_k/λ₁, the pair is so only if τ < q / (2 q − 4). Hence τ is at most ½, where every pair is. Below ½ the
same pair asks for η of about 2 / (q (1/τ − 2)) at most, which a wide spectrum makes small.

Source: Pehlevan, Sengupta & Chklovskii 2018, Neural Computation 30, doi:10.1162/neco_a_01018, the online algorithm of
the min-max objective; Pehlevan, Hu & Chklovskii 2015, Neural Computation 27, doi:10.1162/NECO_a_00745, for the network;
Pehlevan & Chklovskii 2015, arXiv:1511.09426, for the threshold.
Differs from the source: outputs are solved for exactly, where the source lets the neural dynamics run until they rest.
A batch's mean stands in place of one input at a time, which a batch of one gives back. Inputs are taken as they are, so
that the second moment is not a covariance unless they have mean 0, or `centre` is on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._moments import affine, centred, need_finite, need_rate, scheduled
from eigenfall.rules._shared import need_batch, need_one_seed, need_sizes, normal
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: W, feedforward, a row for each unit. The map from inputs to outputs is the layer's, not this.
        lateral: M, between units, symmetric and positive definite.
        mean: of the inputs so far; 0 without centring.
        seen: how many inputs that is.
    """

    weights: Float[Tensor, "seeds units inputs"]
    lateral: Float[Tensor, "seeds units others"]
    mean: Float[Tensor, "seeds inputs"]
    seen: int = 0


@dataclass(frozen=True)
class Similarity:
    """Similarity matching: units learn the principal subspace together.

    Attributes:
        learning_rate: η at first. It has no unit: weights settle at averages over about 1/(2η) batches.
        schedule: linear: the rate falls from its first value in epoch 1 towards 0; constant.
        tau: τ, at most ½, where W and M learn equally fast; below it M is faster, and wide spectra need a lower rate.
        threshold: what second moment a component needs to be kept, in squared units of the inputs; 0: none.
        centre: none: inputs are taken as they are; running: less the mean of all inputs so far.
    """

    cite: ClassVar[str] = "pehlevan2018"
    learning_rate: float = 0.05
    schedule: Literal["linear", "constant"] = "linear"
    tau: float = 0.5
    threshold: float = 0.0
    centre: Literal["none", "running"] = "none"

    def __post_init__(self) -> None:
        need_rate(self.learning_rate)
        need(
            0 < self.tau <= 0.5,
            expected="tau above 0 and at most 0.5",
            got=f"{self.tau:g}",
            remedy="With a larger one the principal subspace may be unstable.",
        )
        need(
            self.threshold >= 0,
            expected="a threshold of 0 or more",
            got=f"{self.threshold:g}",
            remedy="0 keeps every component.",
        )
        bound = stable_below(self.tau)
        need(
            self.learning_rate < bound,
            expected=f"learning_rate below {bound:.3g} for tau={self.tau:g}",
            got=f"{self.learning_rate:g}",
            remedy="From there on each step overshoots what it aims at.",
        )

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Normal draws of variance 1/inputs, and no inhibition between units, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        seeds = len(generators)
        weights = normal((units, inputs), generators) / math.sqrt(inputs)
        return State(weights, torch.eye(units).repeat(seeds, 1, 1), torch.zeros(seeds, inputs))

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
            ValueError: if the batch is empty or does not fit, or if units have died out so far that outputs cannot
                be solved for.
        """
        need_batch(batch, state.weights)
        rows = batch.shape[1]
        batch, mean = centred(batch, state.mean, state.seen, self.centre)
        outputs = self._solved(state.lateral, state.weights @ batch.mT)
        moments = outputs @ outputs.mT / rows
        need_finite(moments.diagonal(dim1=1, dim2=2), batch, progress, "Use a lower learning_rate, or a threshold.")
        rate = scheduled(self.learning_rate, self.schedule, progress)
        state.weights.mul_(1 - 2 * rate).baddbmm_(outputs, batch, alpha=2 * rate / rows)
        state.lateral.lerp_(moments, rate / self.tau)
        return State(state.weights, state.lateral, mean, state.seen + rows)

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to settled outputs F x, or F (x − mean), of one seed."""
        need_one_seed(state.weights)
        return affine(self._solved(state.lateral, state.weights)[0], state.mean[0], self.centre)

    def _solved(
        self, lateral: Float[Tensor, "seeds units others"], drive: Float[Tensor, "seeds units columns"]
    ) -> Float[Tensor, "seeds units columns"]:
        """Where the units settle under a drive: (M + threshold)⁻¹ of it."""
        raised = lateral + self.threshold * torch.eye(lateral.shape[-1]).to(lateral)
        root, failed = torch.linalg.cholesky_ex(raised)
        need(
            not bool(failed.any()),
            expected="lateral weights that can be solved for",
            got="units that have died out",
            remedy="Use a threshold above 0, or fewer units.",
        )
        return torch.cholesky_solve(drive, root)


def stable_below(tau: float) -> float:
    """Learning rate from which steps overshoot, whatever the spectrum.

    Of a unit near its component, in units of λ, a step makes (dW − 2 η dM, dM + (η/τ) (2 dW − 3 dM)) of (dW, dM). One
    of its two eigenvalues passes −1 where 2 η² − 3 η + 2 τ = 0: from there on the unit moves away from where it should
    rest. At τ = ½ that is η = ½.
    """
    return (3 - math.sqrt(9 - 16 * tau)) / 4
