"""Residual network for small images: blocks of two 3 × 3 convolutions beside a shortcut, averaged over places at last.

    h₁ = ReLU(N(K ∗ x)),   hₗ₊₁ = ReLU(N(K′ ∗ ReLU(N(K ∗ hₗ))) + S hₗ),   logits = A mean over places(h) + b

    N   batch-norm
    S   the identity; where a stage begins with fewer places and more channels, every second place of each side, and
        zeros in the added channels

Source: He, Zhang, Ren & Sun 2016, arXiv:1512.03385, section 4.2: three stages of n blocks, 6n + 2 layers with weights,
shortcuts without parameters (option A). First weights of the convolutions: normal with variance 2 / (9 · channels in),
as there (He, Zhang, Ren & Sun 2015, arXiv:1502.01852).
Differs from the source: inputs are centred and scaled by channel inside the model, where it subtracts a mean image from
the data; the readout's first weights are torch's own; batch-norm, which it always has, can be left out: convolutions
then have biases, and signals grow from block to block. For 10 classes and three channels the default, ResNet-20, has
269 722 parameters.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from eigenfall.architectures._convolutions import convolution
from eigenfall.blocks import Normalisation, first_modules, hidden_layer, need_images, seeded
from eigenfall.check import need
from eigenfall.types import Examples


@dataclass(frozen=True)
class ResNet:
    """Residual network with shortcuts that have no parameters.

    Attributes:
        blocks: residual blocks of each stage, n; three stages have 6n + 2 layers with weights: 3 is ResNet-20.
        widths: channels of each stage, not falling; each stage after the first halves the sides of the map.
        batch_norm: after each convolution, before the activation and the sum; off, convolutions have biases instead.
        normalise: "channels" centres and scales each channel by its training mean and sd, inside the model.
    """

    cite: ClassVar[str] = "he2016"
    blocks: int = 3
    widths: tuple[int, ...] = (16, 32, 64)
    batch_norm: bool = True
    normalise: Normalisation = "channels"

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Sequential:
        """Build the network.

        Args:
            examples: give the shape of inputs, the number of classes, and the channels' mean and sd.
            generator: gives the seed of the weights.

        Returns:
            Inputs `(batch, channels, height, width)` to logits `(batch, classes)`: `hidden1`, the first convolution;
            `hidden2`, `hidden3`, …, the residual blocks after their sum and ReLU; `pool`, `flatten`, `readout`.

        Raises:
            ValueError: if blocks or a width is below 1, widths fall, or the inputs are not images or too small for so
                many stages.

        Example:
            >>> from eigenfall.datasets.digits import Digits
            >>> model = ResNet(blocks=1, widths=(8, 16))(Digits()(), torch.Generator().manual_seed(0))
            >>> [name for name, _ in model.named_children()]
            ['normalise', 'hidden1', 'hidden2', 'hidden3', 'pool', 'flatten', 'readout']
        """
        self._need_settings()
        need_images(examples, "a resnet")
        channels, *sides = examples.train.inputs.shape[1:]
        smallest = 2 ** (len(self.widths) - 1) + 1
        need(
            min(sides) >= smallest,
            expected=f"images of at least {smallest} × {smallest} pixels for {len(self.widths)} stages",
            got=f"{sides[0]} × {sides[1]} in {examples.name}",
            remedy="Use fewer widths, or architecture mlp.",
        )
        modules = first_modules(examples, self.normalise)
        with seeded(generator):
            first = convolution(channels, self.widths[0], bias=not self.batch_norm)
            modules["hidden1"] = hidden_layer(first, "relu", "before_activation" if self.batch_norm else "none")
            channels, place = self.widths[0], 2
            for stage, width in enumerate(self.widths):
                for block in range(self.blocks):
                    stride = 2 if stage > 0 and block == 0 else 1
                    modules[f"hidden{place}"] = ResidualBlock(channels, width, stride, self.batch_norm)
                    channels, place = width, place + 1
            modules["pool"] = nn.AdaptiveAvgPool2d(1)
            modules["flatten"] = nn.Flatten()
            modules["readout"] = nn.Linear(channels, examples.classes)
        return nn.Sequential(modules)

    def _need_settings(self) -> None:
        need(
            self.blocks >= 1 and len(self.widths) > 0 and min(self.widths) >= 1,
            expected="blocks of 1 or more, and widths of 1 or more for at least one stage",
            got=f"blocks={self.blocks}, widths={self.widths}",
            remedy="Write for instance blocks=3,widths=16/32/64.",
        )
        need(
            sorted(self.widths) == list(self.widths),
            expected="widths that do not fall, as shortcuts can add channels and not leave any out",
            got=f"widths={self.widths}",
            remedy="Write for instance widths=16/32/64.",
        )


class ResidualBlock(nn.Module):
    """ReLU(branch(maps) + shortcut(maps)): two convolutions, and the maps as they are.

    Attributes:
        branch: convolution, batch-norm, ReLU, convolution, batch-norm.
        shortcut: every `stride`-th place of each side, and zeros in the added channels; without parameters.
        activation: ReLU of the sum.
    """

    def __init__(self, channels: int, width: int, stride: int, batch_norm: bool) -> None:
        super().__init__()
        steps: OrderedDict[str, nn.Module] = OrderedDict(
            transform1=convolution(channels, width, stride, bias=not batch_norm),
            batch_norm1=nn.BatchNorm2d(width),
            activation=nn.ReLU(),
            transform2=convolution(width, width, bias=not batch_norm),
            batch_norm2=nn.BatchNorm2d(width),
        )
        if not batch_norm:
            del steps["batch_norm1"], steps["batch_norm2"]
        self.branch = nn.Sequential(steps)
        self.shortcut = shortcut(channels, width, stride)
        self.activation = nn.ReLU()

    def forward(
        self, maps: Float[Tensor, "batch channels height width"] | fx.Proxy
    ) -> Float[Tensor, "batch widened fewer_rows fewer_columns"] | fx.Proxy:
        """Maps of `width` channels, sides ⌈side / stride⌉; torch.fx traces it with proxies."""
        return self.activation(self.branch(maps) + self.shortcut(maps))


def shortcut(channels: int, width: int, stride: int) -> nn.Sequential:
    """Every `stride`-th place of each side, then zeros in the channels from `channels` on: no parameters."""
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    if stride > 1:
        steps["places"] = nn.AvgPool2d(kernel_size=1, stride=stride)
    if width > channels:
        steps["channels"] = nn.ConstantPad3d((0, 0, 0, 0, 0, width - channels), 0.0)
    return nn.Sequential(steps)
