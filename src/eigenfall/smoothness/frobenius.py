"""Frobenius norm of the Jacobian of the logits, or of any layer, at each input.

    exact:         ‖J‖²_F = Σₖ ‖∇ₓ zₖ‖²                        one reverse pass per value zₖ of the layer
    projections:   ‖J‖²_F = E ‖Jᵀv‖²,   E[vvᵀ] = I             one reverse pass per projection

Source: Hoffman, Roberts & Yaida 2019, arXiv:1908.02729; signs as in Hutchinson 1990.
Differs from the source: v is drawn per input and never normalised over the batch. With A = JJᵀ and K values, a draw of
‖Jᵀv‖² has variance 2tr A² (gaussian), 2(tr A² − Σ Aₖₖ²) (signs), or 2K/(K+2) · (tr A² − (tr A)²/K) (sphere).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import left_as_found
from eigenfall.smoothness._passes import Spread, chunks, need_finite
from eigenfall.types import Smoothness

EXACT_VALUES, AUTO_PROJECTIONS = 256, 32


@dataclass(frozen=True)
class Frobenius:
    """‖J‖_F per input, exact or by random projections.

    Attributes:
        projections: how many random projections per input; `none`: exact; "auto": exact for layers of up to 256 values,
            32 projections for wider ones.
        distribution: what projections are drawn from: "signs" has the least variance, "gaussian", or "sphere" (of
            radius √K).
        memory: what the passes may hold at once, in GB; how many inputs go through together follows from it.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
    """

    cite: ClassVar[str] = "hoffman2019"
    projections: int | Literal["auto"] | None = "auto"
    distribution: Literal["signs", "gaussian", "sphere"] = "signs"
    memory: float = 1.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        need(
            (self.projections in (None, "auto") or self.projections >= 1)
            and self.memory > 0
            and (self.chunk_size is None or self.chunk_size >= 1),
            expected="at least one projection, one input at a time and some memory",
            got=f"projections={self.projections}, chunk_size={self.chunk_size}, memory={self.memory}",
            remedy="Use projections=none for the exact norm.",
        )

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, generator: torch.Generator
    ) -> Smoothness:
        """Norm of the derivative of a layer's values with respect to the input.

        Args:
            model: any module whose rows do not see each other in eval mode; it is left as it was found.
            inputs: `(inputs, ...)`, in the unit of the data set, on the model's device.
            layer: module path, or "outputs" for the logits. A map counts with all its values.
            generator: projections are drawn from it input by input, so that chunks change nothing; unused if exact.

        Returns:
            The norm at each input in layer units per input unit, and the scale of the layer's values.

        Raises:
            ValueError: if there are no inputs, the model has no such layer, the layer does not depend on the inputs,
                or a norm is not finite.
        """
        squares, spread, count = [], Spread(), 0
        with left_as_found(model):
            for at, values in chunks(model, inputs, layer, self.memory, self.chunk_size):
                spread.add(values)
                count = values.shape[1]
                squares.append(_square(values, at, self._cotangents(values.detach(), generator)))
        norms = torch.cat(squares).sqrt()
        need_finite(norms, layer)
        projections = self.projections_for(count)
        method = "frobenius, exact" if projections is None else f"frobenius, {projections} projections"
        return Smoothness("jacobian_norm", layer, norms.cpu(), spread.root_mean_square, method=method)

    def _cotangents(self, values: Float[Tensor, "some values"], generator: torch.Generator) -> Iterator[Tensor]:
        """What is pulled back, one `(some, values)` after the other; their squares are summed."""
        projections = self.projections_for(values.shape[1])
        if projections is None:
            for column in range(values.shape[1]):
                one = torch.zeros_like(values)
                one[:, column] = 1
                yield one
            return
        shape = (projections, values.shape[1])
        drawn = torch.stack([_draw(shape, self.distribution, generator) for _ in values], dim=1)
        yield from drawn.to(values) / math.sqrt(projections)

    def projections_for(self, values: int) -> int | None:
        """How many projections a layer of so many values gets; `None`: it is exact."""
        if self.projections == "auto":
            return None if values <= EXACT_VALUES else AUTO_PROJECTIONS
        return self.projections


def _draw(
    shape: tuple[int, int], distribution: str, generator: torch.Generator
) -> Float64[Tensor, "projections values"]:
    """Projections of one input, with E[vvᵀ] = I."""
    device = generator.device
    if distribution == "signs":
        return torch.randint(0, 2, shape, generator=generator, device=device).double() * 2 - 1
    normal = torch.randn(shape, generator=generator, device=device, dtype=torch.float64)
    if distribution == "gaussian":
        return normal
    return normal * (math.sqrt(shape[1]) / normal.norm(dim=1, keepdim=True))


def _square(values: Tensor, inputs: Tensor, cotangents: Iterator[Tensor]) -> Float64[Tensor, " some"]:
    """Σ ‖Jᵀv‖² over the cotangents, for each input."""
    total = torch.zeros(len(inputs), dtype=torch.float64, device=inputs.device)
    for cotangent in cotangents:
        (gradient,) = torch.autograd.grad(values, inputs, cotangent, retain_graph=True)
        total += gradient.flatten(1).double().square().sum(1)
    return total
