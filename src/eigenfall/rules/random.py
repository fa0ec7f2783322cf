"""Random features: weights are drawn, and nothing is learnt.

    W = gain / √inputs · (standard normal draws);   on the sphere each row is scaled to length gain

What a learnt layer has to beat: the same readout on features that have seen no input.

Source: Rahimi & Recht 2007, NIPS 20, for readouts of features that are drawn.
Differs from the source: currents alone are drawn; what becomes of them is the head's. There is no random phase.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes, normal
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer that stays as it was drawn.

    Attributes:
        weights: W, a row for each unit.
    """

    weights: Float[Tensor, "seeds units inputs"]


@dataclass(frozen=True)
class Random:
    """Random features.

    Attributes:
        distribution: normal: independent normal weights; sphere: their rows, all scaled to the same length.
        gain: root mean square length of a row.
    """

    cite: ClassVar[str] = "rahimi2007"
    distribution: Literal["normal", "sphere"] = "normal"
    gain: float = 1.0

    def __post_init__(self) -> None:
        need(self.gain > 0, expected="gain above 0", got=f"{self.gain:g}", remedy="Leave it out for the default.")

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Draw one layer for each generator.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        drawn = normal((units, inputs), generators)
        if self.distribution == "sphere":
            return State(self.gain * nn.functional.normalize(drawn, dim=-1))
        return State(self.gain / math.sqrt(inputs) * drawn)

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """The state as it was.

        Args:
            state: the layer.
            batch: inputs, each seed its own; they must fit, and are not looked at.
            progress: unused.
            generators: unused.

        Raises:
            ValueError: if the batch is empty or does not fit.
        """
        need_batch(batch, state.weights)
        return state

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to currents W x, of one seed."""
        need_one_seed(state.weights)
        return linear(state.weights[0])


PRESETS = {"holzhausen2024": Random(distribution="normal", gain=math.sqrt(2))}
