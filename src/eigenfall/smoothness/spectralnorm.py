"""Spectral norm of the Jacobian of the logits, or of any layer, at each input: the most that a small step can do.

    exact:   ‖J‖₂ = √λ_max(JJᵀ)                                   one reverse pass per value of the layer, float64
    power:   u ← JᵀJu/‖JᵀJu‖,   ‖J‖₂ ≥ ‖Ju‖                       two reverse passes per step, no Jacobian held

An iteration stops at ‖JᵀJu − σ²u‖ ≤ tolerance · σ², σ = ‖Ju‖: then a singular value lies within tolerance/2 of σ, as a
share of it. σ itself is a lower bound of the norm wherever the iteration stops.

Source: Kuczyński & Woźniakowski 1992, SIAM J. Matrix Anal. Appl. 13, 1094-1122, on random starts.
Differs from the source: each input has its own start and stops on its own; what it judges by is the residual, since a
step that gains little may still be far from the end.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.layers import left_as_found
from eigenfall.smoothness._passes import Spread, chunks, need_finite, need_room
from eigenfall.smoothness._singular import bytes_of_rows, drawn, leading, need_iteration
from eigenfall.types import Smoothness


@dataclass(frozen=True)
class SpectralNorm:
    """‖J‖₂ per input, exact for small layers and by power iteration for wide ones.

    Attributes:
        exact_values: layers of up to so many values are exact, wider ones iterated.
        tolerance: residual at which an input's iteration stops, as a share of ‖J‖₂².
        steps: most steps of an iteration.
        memory: what the passes may hold at once, in GB; how many inputs go through together follows from it.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
    """

    cite: ClassVar[str] = "kuczynski1992"
    exact_values: int = 64
    tolerance: float = 1e-4
    steps: int = 200
    memory: float = 1.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        need_iteration(self.exact_values, self.tolerance, self.steps)
        need_room(self.memory, self.chunk_size)

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, generator: torch.Generator
    ) -> Smoothness:
        """Norm of the derivative of a layer's values with respect to the input, largest singular value.

        Args:
            model: any module whose rows do not see each other in eval mode; it is left as it was found.
            inputs: `(inputs, ...)`, in the unit of the data set, on the model's device.
            layer: module path, or "outputs" for the logits. A map counts with all its values.
            generator: starts of iterations are drawn from it input by input, so that chunks change nothing.

        Returns:
            The norm at each input in layer units per input unit, a lower bound where it is iterated; then with the
            residual of each input, above `tolerance` where the steps did not suffice.

        Raises:
            ValueError: if there are no inputs, the model has no such layer, the layer does not depend on the inputs,
                or a norm is not finite.
        """
        found, spread, exact = [], Spread(), True
        with left_as_found(model):
            for at, values in chunks(
                model,
                inputs,
                layer,
                self.memory,
                self.chunk_size,
                lambda one: bytes_of_rows(min(one.values, self.exact_values), one.inputs),
                graphs=3,
            ):
                spread.add(values)
                exact = values.shape[1] <= self.exact_values
                starts = None if exact else drawn(len(at), at[0].numel(), generator).to(at.device)
                found.append(leading(values, at, starts, self.tolerance, self.steps))
        norms, residuals = torch.cat([one.norms for one in found]), torch.cat([one.residuals for one in found])
        need_finite(norms, layer)
        return Smoothness(
            "spectral_norm",
            layer,
            norms.cpu(),
            spread.root_mean_square,
            method="spectralnorm, exact" if exact else f"spectralnorm, at most {self.steps} power steps, lower bound",
            residuals=None if exact else residuals.cpu(),
        )
