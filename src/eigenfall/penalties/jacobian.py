"""Squared Frobenius norm of a layer's Jacobian, by random projections.

    R = ½ · K/(m·B) · Σ_projections Σ_b ‖J_bᵀ v̂_b‖²,   v̂_b uniform on the unit sphere of ℝ^K, drawn for each input

    E[K ‖Jᵀv̂‖²] = ‖J‖²_F,   so R is unbiased for ½ of the mean ‖J‖²_F

Source: Hoffman, Roberts & Yaida 2019, arXiv:1908.02729.
Differs from the source: any layer can be named instead of the logits, with K its number of values. The preset
`holzhausen2024` is the code of Holzhausen et al. 2024, arXiv:2405.00679, slips included: the layer is the currents
h = W x, whose Jacobian is W at every x; there is no ½; and of three projections only the first is a unit vector for
each input, the second and third are unit vectors of the whole batch, ℝ^(B·K), so that each counts 1/B. Its mean is
strength · (1 + 2/B)/3 · ‖W‖²_F: weight decay of W alone, at about a third of the strength that is written.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

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
        half: whether R has the ½.
        unit: what has length 1: "input", each input's part of every direction; "first_input", only of the first
            direction, the others have it as a whole over the batch, which is too short by a factor √B.
    """

    cite: ClassVar[str] = "hoffman2019"
    reads_inputs: ClassVar[bool] = True
    strength: float = 0.01
    layer: str = "outputs"
    projections: int | None = 1
    half: bool = True
    unit: Literal["input", "first_input"] = "input"

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
                whole = self.unit == "first_input" and direction > 0
                length = towards.norm() if whole else towards.norm(dim=1, keepdim=True)
                towards = (towards / length).to(values.device)
            (product,) = torch.autograd.grad(values, forward_pass.inputs, towards, create_graph=True)
            squares = squares + product.square().sum()
        projections = units if self.projections is None else self.projections
        norm = squares * units / (projections * batch)
        if self.half:
            norm = norm / 2
        return Penalty(total=self.strength * norm, per_layer={self.layer: norm.detach()})

    def refreshed(self, state: None, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""

    def _values(self, forward_pass: ForwardPass) -> Float[Tensor, "batch ..."]:
        known = {"outputs": forward_pass.outputs, **forward_pass.hidden}
        if self.layer not in known:  # the nearest name takes a while to find
            remedy = nearest(self.layer, known)
            need(False, expected="a layer that was captured", got=repr(self.layer), remedy=remedy)
        need(
            forward_pass.inputs.requires_grad,
            expected="inputs that require gradients",
            got="inputs that do not",
            remedy="Set requires_grad on the inputs before the forward pass.",
        )
        return known[self.layer]


PRESETS = {
    "nassar2020": JacobianNorm(strength=0.01, layer="outputs", projections=1, half=True, unit="input"),
    "holzhausen2024": JacobianNorm(strength=1e-3, layer="currents", projections=3, half=False, unit="first_input"),
}
