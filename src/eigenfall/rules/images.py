"""Training images as weights: each unit is one image, and nothing is learnt.

    W_u = x_u,   the images in the order in which they come, each once;   of unit length if asked

What a learnt layer has to beat, beside random features: the same readout on templates that are merely looked up. A loop
shuffles its images, so that the units are a random sample of them.

Source: Coates & Ng 2011, ICML, whose codes with randomly sampled patches as their dictionary come close to learnt ones.
Differs from the source: whole images rather than whitened patches, of the length that they have unless `length=unit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.rules._shared import linear, need_batch, need_one_seed, need_sizes
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer that fills.

    Attributes:
        weights: W, an image for each unit; 0 where none has come yet.
        filled: how many units have their image.
    """

    weights: Float[Tensor, "seeds units inputs"]
    filled: int = 0


@dataclass(frozen=True)
class Images:
    """Training images as weights.

    Attributes:
        length: as_is: an image is copied; unit: it is scaled to length 1, so that bright ones answer no louder.
    """

    cite: ClassVar[str] = "coates2011"
    length: Literal["as_is", "unit"] = "as_is"

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Units without an image, for each generator; nothing is drawn.

        Args:
            inputs: values of an input.
            units: of the layer.
            generators: one for each seed.

        Raises:
            ValueError: if there are no inputs or no units.
        """
        need_sizes(inputs, units)
        return State(torch.zeros(len(generators), units, inputs))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Give the next units an image each. The state's tensors are written into: what comes back is the state.

        Args:
            state: the layer.
            batch: inputs, each seed its own.
            progress: where the loop stands: after the first epoch images would come again.
            generators: unused; the loop's order decides.

        Raises:
            ValueError: if the batch is empty or does not fit, or if an epoch has fewer images than there are units.
        """
        need_batch(batch, state.weights)
        units = state.weights.shape[1]
        need(
            state.filled == units or progress.epoch == 0,
            expected=f"at least {units} images for {units} units",
            got=f"{state.filled} in an epoch",
            remedy=f"Use {state.filled} units or fewer: an image is used once.",
        )
        taken = batch[:, : units - state.filled]
        if self.length == "unit":
            taken = nn.functional.normalize(taken, dim=-1)
        filled = state.filled + taken.shape[1]
        state.weights[:, state.filled : filled] = taken
        return State(state.weights, filled)

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to their products with the images, of one seed.

        Raises:
            ValueError: if units still lack an image.
        """
        need_one_seed(state.weights)
        units = state.weights.shape[1]
        need(
            state.filled == units,
            expected=f"an image for each of {units} units",
            got=f"{state.filled}",
            remedy="Let it see more batches, or use fewer units.",
        )
        return linear(state.weights[0])
