"""Convolutional network: 3 × 3 convolutions with 2 × 2 max-pooling, fully connected hidden layers, a linear readout.

    map ← pool(f(K ∗ map + b)),   side ← ⌊(side − 2)/2⌋ for each convolution;   then as in a multilayer perceptron

Source: Nassar, Sokol, Chung, Harris and Park 2020, On 1/n neural representation and robustness, NeurIPS 33,
arXiv:2012.04729. Stride 1, no padding. Flattened, its layers have 2 704, 800 and 1 000 units on MNIST, 3 600, 1 152 and
1 000 on CIFAR-10; the later code's CIFAR-10 network 3 600, 1 152, 256 and 256.
With `whiten` the values of one hidden layer, pooled and flattened, are whitened: they are then that hidden layer.
Differs from the source: CIFAR-10 is normalised inside the model, so that epsilon stays in pixels; whitening remembers
statistics for eval mode, but for the presets `…_whitened`, which take those of whatever batch comes, as published.
"""

from dataclasses import dataclass, replace
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
class CNN:
    """Convolutional network with max-pooling.

    Attributes:
        channels: channels of each convolutional layer.
        widths: units of each fully connected hidden layer that follows; may be none.
        activation: what follows each convolution and each linear map.
        batch_norm: where it stands in each hidden layer, always before pooling.
        normalise: "channels" centres and scales each channel by its training mean and sd, inside the model.
        whiten: the method by which one hidden layer is whitened.
        whitened_layer: which, counted from 1: the last convolutional one, whose maps are flattened first, or one after.
        whitening_statistics: "running", eval mode uses what is remembered of training; "batch", each batch's own.
        dropout: share of each hidden layer's values that is set to zero in each training pass, after all that.
    """

    cite: ClassVar[str] = "nassar2020"
    channels: tuple[int, ...] = (16, 32)
    widths: tuple[int, ...] = (1000,)
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
            A module with `hidden1`, `hidden2`, … (maps after pooling, then fully connected layers) and `readout`.

        Raises:
            ValueError: if there is no convolutional layer, a width is below 1, no such layer to whiten, dropout is not
                from 0 to below 1, or the inputs are not images or too small for so many poolings.
        """
        need(
            len(self.channels) > 0 and min((*self.channels, *self.widths)) >= 1,
            expected="channels of 1 or more for at least one layer, and widths of 1 or more",
            got=f"channels={self.channels}, widths={self.widths}",
            remedy="Write for instance channels=16/32,widths=1000.",
        )
        last, hidden_layers = len(self.channels), len(self.channels) + len(self.widths)
        need(
            self.whiten == "none" or last <= self.whitened_layer <= hidden_layers,
            expected=f"a layer to whiten among hidden layers {last}, the last convolutional one, to {hidden_layers}",
            got=f"whitened_layer={self.whitened_layer}",
            remedy="Name one of them, or use whiten=none.",
        )
        need_dropout(self.dropout)
        need_images(examples, "a cnn")
        maps, *sides = examples.train.inputs.shape[1:]
        smallest = _smallest_side(len(self.channels))
        need(
            min(sides) >= smallest,
            expected=f"images of at least {smallest} × {smallest} pixels for {len(self.channels)} convolutional layers",
            got=f"{sides[0]} × {sides[1]} in {examples.name}",
            remedy="Use fewer channels, or architecture mlp.",
        )
        modules = first_modules(examples, self.normalise)
        with seeded(generator):
            for place, channels in enumerate(self.channels, start=1):
                convolution = nn.Conv2d(maps, channels, kernel_size=3)
                modules[f"hidden{place}"] = hidden_layer(convolution, self.activation, self.batch_norm, pool=2)
                maps, sides = channels, [(side - 2) // 2 for side in sides]
            modules["flatten"] = nn.Flatten()
            units = flat = maps * sides[0] * sides[1]
            for place, width in enumerate(self.widths, start=len(self.channels) + 1):
                modules[f"hidden{place}"] = hidden_layer(nn.Linear(units, width), self.activation, self.batch_norm)
                units = width
            modules["readout"] = nn.Linear(units, examples.classes)
        if self.whiten != "none":
            width = self.widths[self.whitened_layer - last - 1] if self.whitened_layer > last else flat
            hidden = modules[f"hidden{self.whitened_layer}"]
            hidden.add_module("flatten", nn.Flatten())
            hidden.add_module("whiten", Whiten(width, self.whiten, statistics=self.whitening_statistics))
        for place in range(1, hidden_layers + 1) if self.dropout > 0 else ():
            modules[f"hidden{place}"].add_module("dropout", nn.Dropout(self.dropout))
        return nn.Sequential(modules)


def _smallest_side(layers: int) -> int:
    """Side of the smallest image that leaves one place after so many convolutions and poolings."""
    side = 1
    for _ in range(layers):
        side = 2 * side + 2
    return side


_MNIST = CNN(
    channels=(16, 32),
    widths=(1000,),
    activation="tanh",
    batch_norm="none",
    normalise="none",
    whiten="none",
    whitened_layer=2,
    whitening_statistics="running",
    dropout=0.0,
)
_CIFAR10 = replace(_MNIST, normalise="channels")

PRESETS = {
    "nassar2020": _MNIST,
    "nassar2020_cifar10": _CIFAR10,
    "nassar2020_cifar10_head": replace(_CIFAR10, channels=(16, 32, 64), widths=(256,)),
    "nassar2020_whitened": replace(_MNIST, whiten="cholesky", whitening_statistics="batch"),
    "nassar2020_cifar10_whitened": replace(_CIFAR10, whiten="cholesky", whitening_statistics="batch"),
}
