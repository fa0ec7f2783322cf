"""What architectures and heads share: seeded building, normalisation inside the model, hidden layers, checks."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import device_of, fixed_random_state, left_as_found
from eigenfall.types import Examples

Activation = Literal["tanh", "relu"]
BatchNorm = Literal["none", "before_activation", "after_activation"]
Normalisation = Literal["none", "channels"]

_CHUNK = 2048
_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


class Normalise(nn.Module):
    """(input − mean) / sd, per channel.

    Attributes:
        mean: `(1, channels, 1, 1)`, a buffer.
        sd: `(1, channels, 1, 1)`, a buffer.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, mean: Float[Tensor, " channels"], sd: Float[Tensor, " channels"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("sd", sd.reshape(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalised inputs, in the inputs' own shape."""
        return (inputs - self.mean) / self.sd


class RePU(nn.Module):
    """ReLU(current / scale)^power: a rectified power.

    Attributes:
        power: 1 or more; 1 is a ReLU.
        scale: what currents are divided by, above 0.
    """

    def __init__(self, power: float, scale: float = 1.0) -> None:
        super().__init__()
        self.power, self.scale = power, scale

    def forward(self, currents: Float[Tensor, "*batch units"]) -> Float[Tensor, "*batch units"]:
        """Rectified powers, in the currents' own shape."""
        return (currents / self.scale).relu() ** self.power

    def extra_repr(self) -> str:
        """What a printed model tells of it."""
        return f"power={self.power}, scale={self.scale}"


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Inside, random states start from a seed drawn from the generator; outside, nobody notices."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with fixed_random_state(seed):
        yield


def channel_moments(
    inputs: Float[Tensor, "inputs channels height width"],
) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Mean and standard deviation (divisor: the count) of each channel over inputs and places, summed in float64."""
    count = inputs.numel() // inputs.shape[1]
    total, squares = torch.zeros(2, inputs.shape[1], dtype=torch.float64).unbind()
    for chunk in inputs.split(_CHUNK):
        total = total + chunk.double().sum((0, 2, 3))
    mean = total / count
    for chunk in inputs.split(_CHUNK):
        squares = squares + (chunk - mean[:, None, None]).square().sum((0, 2, 3))
    return mean.to(inputs.dtype), (squares / count).sqrt().to(inputs.dtype)


def need_images(examples: Examples, architecture: str) -> None:
    """Refuse examples that are not images, or hold none to train on."""
    inputs = examples.train.inputs
    need(
        inputs.ndim == 4 and inputs.numel() > 0,
        expected=f"inputs (inputs, channels, height, width) for {architecture}",
        got=f"shape {tuple(inputs.shape)} in train of {examples.name}",
        remedy="Reshape the inputs, and leave some to train on.",
    )


def first_modules(examples: Examples, normalise: Normalisation) -> OrderedDict[str, nn.Module]:
    """The model's beginning: `normalise`, or nothing.

    Raises:
        ValueError: if a channel does not vary over the training inputs.
    """
    if normalise == "none":
        return OrderedDict()
    mean, sd = channel_moments(examples.train.inputs)
    constant = (sd == 0).nonzero()[:, 0].tolist()
    need(
        not constant,
        expected=f"every channel of {examples.name} to vary over train",
        got=f"no variance in channels {constant}",
        remedy="Use normalise=none.",
    )
    return OrderedDict(normalise=Normalise(mean, sd))


def hidden_layer(
    transform: nn.Linear | nn.Conv2d, activation: Activation, batch_norm: BatchNorm, pool: int = 1
) -> nn.Sequential:
    """A linear map or a convolution, its activation, batch-norm before or after that, and max-pooling last."""
    steps: list[tuple[str, nn.Module]] = [("transform", transform), ("activation", _ACTIVATIONS[activation]())]
    if batch_norm != "none":
        norm = (
            nn.BatchNorm2d(transform.out_channels)
            if isinstance(transform, nn.Conv2d)
            else nn.BatchNorm1d(transform.out_features)
        )
        steps.insert(1 if batch_norm == "before_activation" else 2, ("batch_norm", norm))
    if pool > 1:
        steps.append(("pool", nn.MaxPool2d(pool)))
    return nn.Sequential(OrderedDict(steps))


def joined(layer: nn.Module, head: nn.Sequential) -> nn.Sequential:
    """One model of a layer and a head on it; both are shared, not copied.

    Args:
        layer: inputs `(batch, inputs)` to currents `(batch, units)`, such as a rule's layer.
        head: currents to logits, with `hidden1` and `readout`, such as a head makes.

    Returns:
        Inputs `(batch, ...)` to logits: `flatten`, `currents`, `hidden1`, `readout`.
    """
    parts: dict[str, nn.Module] = dict(head.named_children())
    need(
        list(parts) == ["hidden1", "readout"],
        expected="a head with hidden1 and readout",
        got=f"one with {', '.join(parts) or 'no modules'}",
        remedy="Make it by a part of kind heads.",
    )
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), currents=layer, **parts))


def need_dropout(dropout: float) -> None:
    """Refuse a share of units that is no share, or all of them."""
    need(
        0 <= dropout < 1,
        expected="dropout from 0 to below 1",
        got=f"{dropout:g}",
        remedy="It is the share of units that is left out.",
    )


def need_outputs(model: nn.Module, examples: Examples) -> None:
    """Refuse a model that cannot take the inputs, or whose outputs are not one logit per class.

    It is tried on one input and on three, since a model may have been made for one size of batch.

    Raises:
        ValueError: if a pass fails, or gives another shape than `(batch, classes)`.
    """
    split = next((one for one in (examples.test, examples.train) if len(one)), examples.validation)
    for batch in (1, 3):
        inputs = split.inputs[:1].repeat(batch, *[1] * (split.inputs.ndim - 1)).to(device_of(model))
        try:
            with left_as_found(model), torch.no_grad():
                outputs = model(inputs)
        except Exception as reason:  # somebody else's model may raise anything
            raise ValueError(
                f"Expected a model that takes inputs {tuple(inputs.shape)} of {examples.name}, got "
                f"{type(reason).__name__}: {(str(reason).strip() or 'no reason').splitlines()[0].rstrip('.')}. "
                "Give the data that the model was made for, or reshape inside the model."
            ) from reason
        need(
            isinstance(outputs, Tensor) and tuple(outputs.shape) == (batch, examples.classes),
            expected=f"outputs ({batch}, {examples.classes}), one logit for each class of {examples.name}",
            got=f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__,
            remedy="Give a model with as many outputs as the data set has classes.",
        )
