"""Squared size of the weights.

    ½ · strength · Σ θ²,   θ over the weights, biases only if asked

Its gradient is strength · θ, as when an optimiser is handed a weight decay that is not decoupled.

Source: Krogh & Hertz 1992, NIPS 4.
Differs from the source: biases are spared unless `biases` is on. `nassar2020` is that paper's decay inside Adam, over
every parameter; `holzhausen2024` adds 5e-4 · Σ θ² (without ½) over every weight and bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import ForwardPass, Penalty, Reference

_REMEDY = "Switch `biases` on, or leave the penalty out."


@dataclass(frozen=True)
class WeightDecay:
    """Weight decay in the loss: ½ · strength · Σ θ².

    Attributes:
        strength: factor of ½ Σ θ².
        biases: also over parameters with one axis: biases, and scales of batch-norm.
        modules: paths of the modules whose parameters are decayed; empty: all.
    """

    cite: ClassVar[str] = "krogh1992"
    reads_inputs: ClassVar[bool] = False
    strength: float = 1e-4
    biases: bool = False
    modules: tuple[str, ...] = ()

    def start(self, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""
        need(
            self.strength >= 0,
            expected="a strength of 0 or more",
            got=f"{self.strength}",
            remedy="A negative one would blow the weights up.",
        )

    def __call__(self, forward_pass: ForwardPass, state: None, generator: torch.Generator) -> Penalty:
        """Penalty of the parameters; `per_layer` is ½ Σ θ² of each.

        Raises:
            ValueError: if a module that is named has no parameter, or no parameter is left to decay.
        """
        owners = dict.fromkeys(name.rpartition(".")[0] for name in forward_pass.parameters)
        for module in self.modules:
            need(
                any(f"{owner}.".startswith(f"{module}.") for owner in owners),
                expected="modules with parameters",
                got=f"none in {module}",
                remedy=f"Choose among: {', '.join(filter(None, owners))}.",
            )
        halves = {
            name: parameter.square().sum() / 2
            for name, parameter in forward_pass.parameters.items()
            if self._decayed(name, parameter)
        }
        need(
            len(halves) > 0,
            expected="a weight to decay",
            got=f"none in {', '.join(self.modules)}"
            if self.modules
            else "parameters with fewer than two axes only"
            if forward_pass.parameters
            else "no parameters",
            remedy="Switch `biases` on, or name other modules." if self.modules else _REMEDY,
        )
        total = self.strength * torch.stack(list(halves.values())).sum()
        per_layer: Mapping[str, Tensor] = {name: half.detach() for name, half in halves.items()}
        return Penalty(total=total, per_layer=per_layer)

    def refreshed(self, state: None, reference: Reference, generator: torch.Generator) -> None:
        """Nothing is remembered."""

    def _decayed(self, name: str, parameter: Tensor) -> bool:
        named = not self.modules or any(name.startswith(f"{module}.") for module in self.modules)
        return named and parameter.requires_grad and (self.biases or parameter.ndim >= 2)


PRESETS = {
    "nassar2020": WeightDecay(strength=1e-4, biases=True, modules=()),
    "holzhausen2024": WeightDecay(strength=1e-3, biases=True, modules=()),
}
