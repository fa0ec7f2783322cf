"""A layer that has learnt by a rule, and the head that was fitted on it, made again from their weights.

    I = layer(x),   z = head(I):   `flatten`, `currents`, `hidden1`, `readout`

Format: weights are tensors by name, as a record of `eigenfall learn` keeps them; units are as many as they have, so
that a pruned layer is as it was left. A layer whose weights are `weight`, or `weight` and `bias`, is linear. A rule
whose layer is another has a method `restored`, which makes it of its tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eigenfall.architectures._weights import put, state_of
from eigenfall.blocks import joined, need_outputs
from eigenfall.check import need
from eigenfall.types import Examples

LINEAR = ({"weight"}, {"weight", "bias"})


@dataclass(frozen=True)
class LearntLayer:
    """A learnt layer and its head.

    Attributes:
        rule: part of kind rules by which the layer learnt.
        head: part of kind heads, its scale that of the fit.
        weights: file of both, such as weights.safetensors of a record.
    """

    cite: ClassVar[str] = ""
    rule: Any = None
    head: Any = None
    weights: Path | None = None

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Module:
        """Make layer and head, with their weights, and try them on a few inputs.

        Args:
            examples: what the model must take, and how many classes it must tell apart.
            generator: unused; nothing is drawn.

        Returns:
            A module with `flatten`, `currents`, `hidden1` and `readout`.

        Raises:
            ValueError: if a setting is missing, the head's scale is not known, the file cannot be used, its weights
                are not this layer's and this head's, or it does not take the examples.
        """
        missing = [name for name in ("rule", "head", "weights") if getattr(self, name) is None]
        need(
            not missing,
            expected="rule, head and weights of a learnt layer",
            got=f"no {' and no '.join(missing)}",
            remedy="Name the folder of a finished run of eigenfall learn instead: its record knows them.",
        )
        need(
            getattr(self.head, "scale", 1.0) is not None,
            expected="a head with the scale that it was fitted with",
            got=f"{type(self.head).__name__} without one",
            remedy="Set its scale: eigenfall.readout.unit_scale finds it at the inputs that the head was fitted on.",
        )
        path = self.weights or Path()
        state = state_of(path)
        layer = self._layer({name[9:]: value for name, value in state.items() if name.startswith("currents.")})
        readout = state.get("readout.weight", torch.empty(0))
        need(
            readout.ndim == 2,
            expected=f"weights of a readout (classes, units) in {path}",
            got=f"shape {tuple(readout.shape)}" if len(readout) else "none",
            remedy="Give those of a learnt model.",
        )
        head = self.head(readout.shape[1], len(readout), torch.Generator().manual_seed(0)).to(readout.dtype)
        model = joined(layer, head)
        put(model, state, path)
        need_outputs(model, examples)
        return model.eval()

    def _layer(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The map from inputs to currents, held fixed."""
        if hasattr(self.rule, "restored"):
            return self.rule.restored(tensors)
        need(
            set(tensors) in LINEAR and tensors["weight"].ndim == 2,
            expected="currents.weight (units, inputs), with or without currents.bias",
            got=", ".join(f"currents.{name} {tuple(value.shape)}" for name, value in sorted(tensors.items())) or "none",
            remedy="Give weights of a learnt model; a rule whose layer is not linear needs a method restored(tensors).",
        )
        units, inputs = tensors["weight"].shape
        layer = nn.Linear(inputs, units, bias="bias" in tensors, device="meta")
        for name, value in tensors.items():
            setattr(layer, name, nn.Parameter(value.clone(), requires_grad=False))
        return layer


PRESETS: dict[str, LearntLayer] = {}
