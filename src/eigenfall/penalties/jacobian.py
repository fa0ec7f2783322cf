"""Squared Frobenius norm of a layer's Jacobian, by random projections.

    R = ½ · K/(m·B) · Σ_projections Σ_b ‖J_bᵀ v̂_b‖²,   v̂_b uniform on the unit sphere of ℝ^K, drawn for each input

    E[K ‖Jᵀv̂‖²] = ‖J‖²_F,   so R is unbiased for ½ of the mean ‖J‖²_F

Source: Hoffman, Roberts & Yaida 2019, arXiv:1908.02729.
Differs from the source: any layer can be named instead of the logits, with K its number of values.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from eigenfall.check import nearest, need
from eigenfall.types import ForwardPass, Penalty, Reference


@dataclass(frozen=True)
class JacobianNorm:
    """Penalty on how fast a layer changes with the input.

    Attributes:
        strength: factor of R.
        layer: module path, or "outputs" for the logits.
        projections: random directions per input; `none` takes all K basis vectors, which is exact.
    """

    cite: ClassVar[str] = "hoffman2019"
    reads_inputs: ClassVar[bool] = True
    strength: float = 0.01
    layer: str = "outputs"
    projections: int | None = 1

    @property
    def layers(self) -> tuple[str, ...]:
        """What must be captured for it."""
        return () if self.layer == "outputs" else (self.layer,)

    def start(self, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""
        need(
            self.projections is None or self.projections >= 1,
            expected="1 projection or more, or none for the exact norm",
            got=f"{self.projections}",
            remedy="Use projections=1.",
        )

    def __call__(self, forward_pass: ForwardPass, state: None, generator: torch.Generator) -> Penalty:
        """Penalty of a batch, differentiable in the parameters.

        Raises:
            ValueError: if the layer was not captured, or the inputs do not require gradients.
        """
        values = self._values(forward_pass).flatten(1)
        batch, units = values.shape
        squares = values.new_zeros(())
        for direction in range(units if self.projections is None else self.projections):
            if self.projections is None:
                towards = torch.zeros_like(values)
                towards[:, direction] = 1.0
            else:
                towards = torch.randn(batch, units, generator=generator, device=generator.device, dtype=values.dtype)
                towards = (towards / towards.norm(dim=1, keepdim=True)).to(values.device)
            (product,) = torch.autograd.grad(values, forward_pass.inputs, towards, create_graph=True)
            squares = squares + product.square().sum()
        projections = units if self.projections is None else self.projections
        half = squares * units / (2 * projections * batch)
        return Penalty(total=self.strength * half, per_layer={self.layer: half.detach()})

    def refreshed(self, state: None, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""

    def _values(self, forward_pass: ForwardPass) -> Float[Tensor, "batch ..."]:
        known = {"outputs": forward_pass.outputs, **forward_pass.hidden}
        need(
            self.layer in known,
            expected="a layer that was captured",
            got=repr(self.layer),
            remedy=nearest(self.layer, known),
        )
        need(
            forward_pass.inputs.requires_grad,
            expected="inputs that require gradients",
            got="inputs that do not",
            remedy="Set requires_grad on the inputs before the forward pass.",
        )
        return known[self.layer]


PRESETS = {"nassar2020": JacobianNorm(strength=0.01, layer="outputs", projections=1)}
