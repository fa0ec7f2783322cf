"""Single-hidden-layer perceptron (SHLP): linear currents, a rectified power, a linear readout.

    h = W x,   a = ReLU(h)ⁿ, then batch-norm and dropout if asked for,   logits = A a + b

Its modules are named as those of a model whose layer learnt by a rule (`eigenfall.readout.joined`): `currents` is h,
`hidden1` is a, so that both are measured alike.

Source: Holzhausen, Merlid, Torvik, Malthe-Sørenssen & Lepperød 2024, arXiv:2405.00679, whose gradient-trained nets have
n = 1 and no bias in W; initial weights: He, Zhang, Ren & Sun 2015, arXiv:1502.01852.
Differs from the source: power, bias and dropout are settings, which the presets leave at 1, off and 0.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from eigenfall.blocks import RePU, need_dropout, need_images, seeded
from eigenfall.check import need
from eigenfall.types import Examples


@dataclass(frozen=True)
class SHLP:
    """Perceptron with one hidden layer.

    Attributes:
        width: units of the hidden layer.
        power: exponent n of the rectified currents, 1 or more; 1 is a ReLU.
        bias: whether the currents have a bias; the readout always has one.
        batch_norm: after the activation, as part of `hidden1`.
        dropout: share of the units that is set to zero in each training pass, after the activation and batch-norm.
        initial: weights of the currents: "he", normal with variance 2 / inputs and no bias at first, or "torch", the
            default of `torch.nn.Linear`, which the readout always has.
    """

    cite: ClassVar[str] = "holzhausen2024"
    width: int = 2000
    power: float = 1.0
    bias: bool = False
    batch_norm: bool = False
    dropout: float = 0.0
    initial: Literal["he", "torch"] = "he"

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Sequential:
        """Build the network.

        Args:
            examples: give the shape of inputs and the number of classes.
            generator: gives the seed of the weights.

        Returns:
            Inputs `(batch, channels, height, width)` to logits `(batch, classes)`: `flatten`, `currents`, `hidden1`,
            `readout`. The first weights and the readout are the same with batch-norm and dropout as without.

        Raises:
            ValueError: if the width or the power is below 1, dropout is not from 0 to below 1, or the inputs are not
                images.

        Example:
            >>> from eigenfall.datasets.digits import Digits
            >>> model = SHLP(width=32)(Digits()(), torch.Generator().manual_seed(0))
            >>> [name for name, _ in model.named_children()]
            ['flatten', 'currents', 'hidden1', 'readout']
        """
        self._need_settings()
        need_images(examples, "an shlp")
        units = examples.train.inputs[0].numel()
        with seeded(generator):
            currents = nn.Linear(units, self.width, bias=self.bias)
            readout = nn.Linear(self.width, examples.classes)
            if self.initial == "he":
                nn.init.normal_(currents.weight, std=math.sqrt(2 / units))
                if self.bias:
                    nn.init.zeros_(currents.bias)
        return nn.Sequential(
            OrderedDict(flatten=nn.Flatten(), currents=currents, hidden1=self._hidden(), readout=readout)
        )

    def _need_settings(self) -> None:
        need(
            self.width >= 1,
            expected="a width of 1 or more",
            got=f"{self.width}",
            remedy="Write for instance width=200.",
        )
        need(self.power >= 1, expected="a power of 1 or more", got=f"{self.power:g}", remedy="A power of 1 is a ReLU.")
        need_dropout(self.dropout)

    def _hidden(self) -> nn.Module:
        """The activation, alone or with what follows it."""
        steps: dict[str, nn.Module] = {"activation": RePU(self.power)}
        if self.batch_norm:
            steps["batch_norm"] = nn.BatchNorm1d(self.width)
        if self.dropout > 0:
            steps["dropout"] = nn.Dropout(self.dropout)
        return steps["activation"] if len(steps) == 1 else nn.Sequential(OrderedDict(steps))


def _holzhausen2024(batch_norm: bool) -> SHLP:
    return SHLP(width=2000, power=1.0, bias=False, batch_norm=batch_norm, dropout=0.0, initial="he")


PRESETS = {"holzhausen2024": _holzhausen2024(False), "holzhausen2024_spectral": _holzhausen2024(True)}
