"""Deep convolutional network: blocks of padded 3 × 3 convolutions, each block ended by 2 × 2 max-pooling; a readout.

    map ← ReLU(K ∗ map + b), sides kept;   after the last convolution of a block   side ← ⌊side/2⌋;   logits = A map + b

Source: Simonyan & Zisserman 2015, arXiv:1409.1556, configuration A, which is VGG-11; blocks=2/2/3/3/3 is their D,
VGG-16, and 2/2/4/4/4 their E, VGG-19.
Differs from the source: that net is for images of 224 × 224, has two fully connected layers of 4 096 units with dropout
before the readout, and no batch-norm. Here, in the form usual for CIFAR-10, the readout stands right after the last
map, which on 32 × 32 pixels is one place of 512 channels, and batch-norm is on by default; the preset `simonyan2015`
has none. First weights of the convolutions are normal with variance 2 / (9 · channels in) (He, Zhang, Ren & Sun 2015,
arXiv:1502.01852), where the source has variance 0.01 for A and starts deeper nets from a trained A; the readout's are
torch's own. For 10 classes and three channels the default has 9 231 114 parameters.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from eigenfall.architectures._convolutions import convolution
from eigenfall.blocks import BatchNorm, Normalisation, first_modules, hidden_layer, need_images, seeded
from eigenfall.check import need
from eigenfall.types import Examples


@dataclass(frozen=True)
class VGG:
    """Deep convolutional network with one linear readout.

    Attributes:
        blocks: convolutions of each block, each a hidden layer; max-pooling ends a block and halves the sides.
        widths: channels of each block.
        batch_norm: where it stands in each hidden layer, always before pooling.
        normalise: "channels" centres and scales each channel by its training mean and sd, inside the model.
    """

    cite: ClassVar[str] = "simonyan2015"
    blocks: tuple[int, ...] = (1, 1, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    batch_norm: BatchNorm = "before_activation"
    normalise: Normalisation = "channels"

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Sequential:
        """Build the network.

        Args:
            examples: give the shape of inputs, the number of classes, and the channels' mean and sd.
            generator: gives the seed of the weights.

        Returns:
            Inputs `(batch, channels, height, width)` to logits `(batch, classes)`: `hidden1`, `hidden2`, …, one for
            each convolution, the last of a block after pooling; `flatten`, `readout`.

        Raises:
            ValueError: if there is no block, blocks and widths differ in number, one of them is below 1, or the inputs
                are not images or too small for so many poolings.

        Example:
            >>> from eigenfall.datasets.digits import Digits
            >>> model = VGG(blocks=(1, 2), widths=(8, 16))(Digits()(), torch.Generator().manual_seed(0))
            >>> [name for name, _ in model.named_children()]
            ['normalise', 'hidden1', 'hidden2', 'hidden3', 'flatten', 'readout']
        """
        need(
            len(self.blocks) == len(self.widths) > 0 and min((*self.blocks, *self.widths)) >= 1,
            expected="as many blocks as widths, at least one, and each 1 or more",
            got=f"blocks={self.blocks}, widths={self.widths}",
            remedy="Write for instance blocks=1/1/2,widths=64/128/256.",
        )
        need_images(examples, "a vgg")
        channels, *sides = examples.train.inputs.shape[1:]
        smallest = 2 ** len(self.blocks)
        need(
            min(sides) >= smallest,
            expected=f"images of at least {smallest} × {smallest} pixels for {len(self.blocks)} blocks",
            got=f"{sides[0]} × {sides[1]} in {examples.name}",
            remedy="Use fewer blocks and widths, or architecture mlp.",
        )
        modules = first_modules(examples, self.normalise)
        place = 1
        with seeded(generator):
            for convolutions, width in zip(self.blocks, self.widths):
                for left in reversed(range(convolutions)):
                    layer = convolution(channels, width)
                    modules[f"hidden{place}"] = hidden_layer(layer, "relu", self.batch_norm, pool=2 if left == 0 else 1)
                    channels, place = width, place + 1
            modules["flatten"] = nn.Flatten()
            units = channels * (sides[0] // smallest) * (sides[1] // smallest)
            modules["readout"] = nn.Linear(units, examples.classes)
        return nn.Sequential(modules)


PRESETS = {
    "simonyan2015": VGG(
        blocks=(1, 1, 2, 2, 2), widths=(64, 128, 256, 512, 512), batch_norm="none", normalise="channels"
    ),
}
