"""Multilayer perceptron: fully connected hidden layers, then a linear readout.

    h₁ = f(W₁ x + b₁),   hₗ = f(Wₗ hₗ₋₁ + bₗ),   logits = W h + b;   f is the activation, with batch-norm if asked for

Source: Nassar, Sokol, Chung, Harris and Park 2020, On 1/n neural representation and robustness, NeurIPS 33,
arXiv:2012.04729; its shallow network has batch-norm after the activation, its deep one none.
With `whiten` the values of one hidden layer, after all that, are whitened: they are then that hidden layer.
Differs from the source: images of several channels may be normalised inside the model; whitening remembers statistics
for eval mode, but for the presets `…_whitened`, which take those of whatever batch comes, as published.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from eigenfall.blocks import (
    Activation,
    BatchNorm,
    Normalisation,
    first_modules,
    hidden_layer,
    need_dropout,
    need_images,
    seeded,
)
from eigenfall.check import need
from eigenfall.defaults import later
from eigenfall.types import Examples
from eigenfall.whitening import Statistics, Whiten, Whitening


@dataclass(frozen=True)
class MLP:
    """Fully connected network.

    Attributes:
        widths: units of each hidden layer.
        activation: what follows each linear map.
        batch_norm: where it stands in each hidden layer; "after_activation" makes it the layer's output.
        normalise: "channels" centres and scales each channel by its training mean and sd, inside the model.
        whiten: the method by which one hidden layer is whitened.
        whitened_layer: which, counted from 1.
        whitening_statistics: "running", eval mode uses what is remembered of training; "batch", each batch's own.
        dropout: share of each hidden layer's values that is set to zero in each training pass, after all that.
    """

    cite: ClassVar[str] = "nassar2020"
    widths: tuple[int, ...] = (200, 200, 200)
    activation: Activation = "tanh"
    batch_norm: BatchNorm = "none"
    normalise: Normalisation = "none"
    whiten: Whitening = later("none")
    whitened_layer: int = later(2)
    whitening_statistics: Statistics = later("running")
    dropout: float = later(0.0)

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Module:
        """Build the network with torch's default initialisation.

        Args:
            examples: give the shape of inputs, the number of classes, and the channels' mean and sd.
            generator: gives the seed of the weights.

        Returns:
            A module with `hidden1`, `hidden2`, … and `readout`.

        Raises:
            ValueError: if there is no hidden layer, a width is below 1, no such layer to whiten, dropout is not from 0
                to below 1, or the inputs are not images.

        Example:
            >>> from eigenfall.datasets.digits import Digits
            >>> model = MLP(widths=(64, 32))(Digits()(), torch.Generator().manual_seed(0))
            >>> [name for name, _ in model.named_children()]
            ['flatten', 'hidden1', 'hidden2', 'readout']
        """
        need(
            len(self.widths) > 0 and min(self.widths) >= 1,
            expected="widths of 1 or more for at least one hidden layer",
            got=f"widths={self.widths}",
            remedy="Write for instance widths=200/200.",
        )
        need(
            self.whiten == "none" or 1 <= self.whitened_layer <= len(self.widths),
            expected=f"a layer to whiten among hidden layers 1 to {len(self.widths)}",
            got=f"whitened_layer={self.whitened_layer}",
            remedy="Name one of them, or use whiten=none.",
        )
        need_dropout(self.dropout)
        need_images(examples, "an mlp")
        modules = first_modules(examples, self.normalise)
        modules["flatten"] = nn.Flatten()
        units = examples.train.inputs[0].numel()
        with seeded(generator):
            for place, width in enumerate(self.widths, start=1):
                hidden = hidden_layer(nn.Linear(units, width), self.activation, self.batch_norm)
                if self.whiten != "none" and place == self.whitened_layer:
                    hidden.add_module("whiten", Whiten(width, self.whiten, statistics=self.whitening_statistics))
                if self.dropout > 0:
                    hidden.add_module("dropout", nn.Dropout(self.dropout))
                modules[f"hidden{place}"] = hidden
                units = width
            modules["readout"] = nn.Linear(units, examples.classes)
        return nn.Sequential(modules)


def _nassar2020(widths: tuple[int, ...], batch_norm: BatchNorm, whiten: Whitening = "none") -> MLP:
    return MLP(
        widths=widths,
        activation="tanh",
        batch_norm=batch_norm,
        normalise="none",
        whiten=whiten,
        whitened_layer=2,
        whitening_statistics="running" if whiten == "none" else "batch",
        dropout=0.0,
    )


PRESETS = {
    "nassar2020_shallow": _nassar2020((2000,), "after_activation"),
    "nassar2020_deep": _nassar2020((1000, 1000, 1000), "none"),
    "nassar2020_shallow_small": _nassar2020((400,), "after_activation"),
    "nassar2020_deep_small": _nassar2020((200, 200, 200), "none"),
    "nassar2020_shallow_quick": _nassar2020((128,), "after_activation"),
    "nassar2020_deep_quick": _nassar2020((64, 64, 64), "none"),
    "nassar2020_deep_whitened": _nassar2020((1000, 1000, 1000), "none", "cholesky"),
    "nassar2020_deep_small_whitened": _nassar2020((200, 200, 200), "none", "cholesky"),
    "nassar2020_deep_quick_whitened": _nassar2020((64, 64, 64), "none", "cholesky"),
}
