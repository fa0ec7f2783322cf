"""SoftHebb: every unit learns each input in proportion to its posterior, a soft winner-take-all.

    u = W v,   y = softmax(u/T),   ΔW = η y (v − u W), for every unit its own y and u

Where it comes to rest the mean of y (v − u W) over the inputs is 0. So W is parallel to the mean of y v and, as
W · (v − u W) = u (1 − ‖W‖²), of length 1 wherever the mean of y u is not 0. With `losers="anti_hebbian"` all units but
the one of the largest current learn with the opposite sign. With a `norm_power` q a unit's rate is η |‖W‖ − 1|^q: it
stops where its length is 1.

Units that nearly agree part only below the temperature T* = λ/‖m‖ (`critical_temperature`), with m the mean input and
λ the largest variance of the inputs across m: about W = m/‖m‖, where all K units agree, the equation above makes a
small difference between them, along the direction of that variance, grow at the rate (λ/T − ‖m‖) η/K.

Source: Moraitis et al. 2022, Neuromorphic Computing and Engineering 2, 044017, doi:10.1088/2634-4386/aca710; Journé,
Garcia Rodriguez, Guo & Moraitis 2023, ICLR, arXiv:2209.11883, for the losers' sign and the rate by the norm.
Differs from the source: the priors are uniform, where Moraitis et al. also derive a rule for a bias, the logarithm of a
unit's prior. The sources give the change for one input. Their released code sums it over a batch and divides by its
largest entry, so that η is the largest change of a weight in a step: `step="largest"`, the default; "mean" is the
equation, averaged over the batch. The presets take their numbers from that code
(github.com/NeuromorphicComputing/SoftHebb), not from the papers' text, against which they are unverified:
`moraitis2022` from its fully connected network for MNIST in [0, 1], in the form whose rate falls linearly (the code is
the later paper's); `journe2023` from the first layer for CIFAR-10 of its one-file demonstration, a convolution behind a
batch-norm, here a full layer. That demonstration starts the norm at 25, the code's other scripts at 5.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._hebbian import Distribution, first_weights, need_above_0, scale_of
from eigenfall.rules._moments import need_finite, scheduled
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """What SoftHebb remembers: its weights."""

    weights: Float[Tensor, "seeds units inputs"]


@dataclass(frozen=True)
class SoftHebb:
    """Soft winner-take-all.

    Attributes:
        temperature: T of the softmax, in the unit of a current. Towards 0 one unit takes all; above
            `critical_temperature(inputs)` all units may end at the mean input.
        losers: sign with which all units but the winner learn. hebbian: the winner's; anti_hebbian: the other one.
        learning_rate: η at first.
        schedule: linear: the rate falls from its first value in epoch 1 towards 0; constant.
        norm_power: q of a unit's rate η |‖W‖ − 1|^q; at 0 all units have the same.
        step: what η multiplies. largest: the change summed over the batch, scaled until its largest entry is 1; mean:
            the mean change over the batch.
        start_weights: normal; uniform: from 0 up.
        start_norm: root mean square length of a unit's first weights. Well above 1, units that win shrink, so that
            others come to win.
        scaling: what images must be like: pixel, in [0, 1]; any. Whoever learns is told, never are images scaled
            silently.
    """

    cite: ClassVar[str] = "moraitis2022"
    temperature: float = 0.02
    losers: Literal["hebbian", "anti_hebbian"] = "hebbian"
    learning_rate: float = 0.05
    schedule: Literal["linear", "constant"] = "linear"
    norm_power: float = 0.0
    step: Literal["largest", "mean"] = "largest"
    start_weights: Distribution = "uniform"
    start_norm: float = 5.0
    scaling: Literal["any", "pixel"] = "any"

    def __post_init__(self) -> None:
        need_above_0(self, "temperature", "learning_rate", "start_norm")
        need(
            self.norm_power >= 0,
            expected="norm_power of 0 or more",
            got=f"{self.norm_power:g}",
            remedy="A negative one would speed units up as they converge.",
        )

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Random weights, one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        return State(first_weights(inputs, units, self.start_weights, self.start_norm, generators))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn from one batch. The state's weights are written into: what comes back is the state.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands, for the schedule.
            generators: unused; nothing is drawn.

        Raises:
            ValueError: if the batch is empty or does not fit, or if the layer has blown up.
        """
        need_batch(batch, state.weights)
        weights = state.weights
        currents = batch @ weights.mT
        shares = self._signed(currents)
        pull = (shares * currents).sum(1)
        need_finite(pull, batch, progress, f"Use a learning_rate below {self.learning_rate:g}, or step=largest.")
        change = (shares.mT @ batch).addcmul_(pull[..., None], weights, value=-1)
        scale = scale_of(change, batch.shape[1], self.step) * scheduled(self.learning_rate, self.schedule, progress)
        if self.norm_power > 0:
            scale = scale * (weights.norm(dim=2, keepdim=True) - 1).abs().pow(self.norm_power)
        weights.addcmul_(change, scale)
        return state

    def posteriors(self, currents: Float[Tensor, "... units"]) -> Float[Tensor, "... units"]:
        """Softmax of the currents over the units: how far each takes an input for its own; they sum to 1."""
        return (currents / self.temperature).softmax(-1)

    def layer(self, state: State) -> nn.Module:
        """The layer as it is measured: currents u = W v, before the softmax, which a head may raise to a power.

        Raises:
            ValueError: for the state of several seeds.
        """
        need_one_seed(state.weights)
        return linear(state.weights[0])

    def _signed(self, currents: Float[Tensor, "seeds batch units"]) -> Float[Tensor, "seeds batch units"]:
        """The posteriors, those of the losers with their sign; of equal currents the first wins."""
        posteriors = self.posteriors(currents)
        if self.losers == "hebbian":
            return posteriors
        winners = currents.argmax(-1, keepdim=True)
        return (-posteriors).scatter(-1, winners, posteriors.gather(-1, winners))


def critical_temperature(inputs: Float[Tensor, "rows inputs"]) -> float:
    """T* = λ/‖m‖, above which units that agree on the mean input m do not part; λ is the largest variance across m.

    In the unit of the inputs, that of a current of weights of length 1: inputs twice as long have one twice as high. It
    is infinite for inputs of mean 0. Of 1 500 images of MNIST in [0, 1] it is 0.78, of those with L3 norm 1 0.19; of
    CIFAR-10 0.93 and 0.11.
    """
    inputs = inputs.double()
    mean = inputs.mean(0)
    across, along = inputs - mean, nn.functional.normalize(mean, dim=0)
    across = across - (across @ along)[:, None] * along
    rows, columns = across.shape
    smaller = across.mT @ across if columns <= rows else across @ across.mT
    return float(torch.linalg.eigvalsh(smaller)[-1] / rows / mean.norm())


PRESETS = {
    "moraitis2022": SoftHebb(
        temperature=1 / 12,
        losers="hebbian",
        learning_rate=0.045,
        schedule="linear",
        norm_power=0.0,
        step="largest",
        start_weights="uniform",
        start_norm=math.sqrt(35),
        scaling="pixel",
    ),
    "journe2023": SoftHebb(
        temperature=1.0,
        losers="anti_hebbian",
        learning_rate=0.08,
        schedule="constant",
        norm_power=0.5,
        step="largest",
        start_weights="normal",
        start_norm=25.0,
        scaling="any",
    ),
}
