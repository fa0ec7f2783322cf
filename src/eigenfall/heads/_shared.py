"""What heads share: building from a seed, and the refusals."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from eigenfall.blocks import RePU, seeded
from eigenfall.check import need


def built(units: int, classes: int, hidden: nn.Module, bias: bool, generator: torch.Generator) -> nn.Sequential:
    """`hidden1`, then a linear `readout` with torch's default initialisation, of a seed that the generator draws.

    Raises:
        ValueError: if there are no units, or fewer than two classes.
    """
    need(
        units >= 1 and classes >= 2,
        expected="at least one unit and two classes",
        got=f"{units} units and {classes} classes",
        remedy="Give the layer's units and the data's classes.",
    )
    with seeded(generator):
        readout = nn.Linear(units, classes, bias=bias)
    return nn.Sequential(OrderedDict(hidden1=hidden, readout=readout))


def rectified_power(power: float, scale: float) -> RePU:
    """The activation, refused if its slope at 0 is not finite or its scale not positive."""
    need(power >= 1, expected="a power of 1 or more", got=f"{power:g}", remedy="A power of 1 is a ReLU.")
    need(
        scale > 0,
        expected="a scale above 0",
        got=f"{scale:g}",
        remedy="A scale of 1 leaves currents as they are; eigenfall.readout.unit_scale finds one.",
    )
    return RePU(power, scale)


def need_logits(outputs: Tensor, targets: Tensor) -> None:
    """Refuse logits that are not a row of classes for each target."""
    need(
        outputs.ndim == 2 and len(outputs) > 0 and tuple(targets.shape) == (len(outputs),),
        expected="logits (batch, classes) and as many targets (batch,), at least one",
        got=f"shapes {tuple(outputs.shape)} and {tuple(targets.shape)}",
        remedy="Give one class for each row of logits.",
    )
