"""How steep a hidden layer of rectified powers is, in closed form, at inputs and on planes; decisions beside it.

    a = ReLU(I / s)ⁿ,   I = W̃x + b:   ‖∂a/∂x‖²_F = Σ_μ (n/s)² ReLU(I_μ / s)^(2(n−1)) ‖W̃_μ‖²

where for n = 1 the power is 1 for units with a positive current, and 0 for the others, as autograd has it.

Source: Holzhausen, Merlid, Torvik, Malthe-Sørenssen & Lepperød 2024, arXiv:2405.00679, figure 4.
Differs from the source: it needs no gradient, where the source takes one for each unit. What follows the activation in
`hidden1`, such as the batch-norm of its spectral model, does not enter, as in the source, while measures of kind
smoothness take `hidden1` whole.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from eigenfall.blocks import RePU
from eigenfall.check import need
from eigenfall.layers import device_of, hidden_of, left_as_found
from eigenfall.planes import places
from eigenfall.types import Plane


@dataclass(frozen=True, eq=False)
class HiddenLandscape:
    """What a model with one hidden layer makes of a square of a plane of inputs.

    Attributes:
        plane: where.
        reach: ξ₁ and ξ₂ go from −reach to reach, in input units (L2).
        norms: ‖J‖_F of the rectified powers, `(ξ₂, ξ₁)`, in their unit per input unit.
        classes: decision at each place, `(ξ₂, ξ₁)`.
        certainty: the largest softmax of the outputs there.
    """

    plane: Plane
    reach: float
    norms: Float64[Tensor, "steps steps"]
    classes: Int64[Tensor, "steps steps"]
    certainty: Float64[Tensor, "steps steps"]


def repu_jacobian_norms(
    weights: Float[Tensor, "units values"],
    inputs: Float[Tensor, "inputs ..."],
    power: float,
    scale: float = 1.0,
    bias: Float[Tensor, " units"] | None = None,
    memory: float = 1.0,
) -> Float64[Tensor, " inputs"]:
    """‖J‖_F of a hidden layer of rectified powers at each input, in closed form.

    Args:
        weights: W̃, a row for each unit, of which currents are made.
        inputs: flattened.
        power: n, 1 or more.
        scale: s, by which currents are divided.
        bias: of the currents; `None`: none.
        memory: what currents and their powers may take at once, in GB.

    Raises:
        ValueError: if the power is below 1, the scale or the memory is not above 0, inputs have another size, or a
            norm is not finite.
    """
    need(power >= 1, expected="a power of 1 or more", got=f"{power:g}", remedy="A power of 1 is a ReLU.")
    need(scale > 0, expected="a scale above 0", got=f"{scale:g}", remedy="A scale of 1 leaves currents as they are.")
    values = inputs.flatten(1)
    need(
        values.shape[1] == weights.shape[1],
        expected=f"inputs of {weights.shape[1]} values, as the weights have",
        got=f"{values.shape[1]}",
        remedy="Give images of the data that the layer was made for.",
    )
    squares = _squares(weights)
    norms = [
        _norms(nn.functional.linear(some.to(weights), weights.detach(), bias), squares, power, scale)
        for some in values.split(_rows(len(weights), values.shape[1], memory))
    ]
    return _finite(torch.cat(norms) if norms else values.new_zeros(0).double())


def hidden_landscape(
    model: nn.Module, plane: Plane, reach: float = 20.0, steps: int = 100, memory: float = 1.0
) -> HiddenLandscape:
    """‖J‖_F of a model's hidden layer, its decisions and how sure it is of them, on a square of a plane around x₀.

    Places outside the bounds of images count as any other, as in the source.

    Args:
        model: with linear `currents`, and `hidden1` that is, or begins with, a rectified power or a ReLU; it is left as
            it was found.
        plane: where; `eigenfall.planes.random_planes` draws one.
        reach: how far from x₀ the square goes to each side, in input units (L2).
        steps: places along each side.
        memory: what inputs, currents and their powers may take at once, in GB.

    Raises:
        ValueError: if the reach is not above 0, there are fewer than two steps, the model has other layers, or a norm
            or an output is not finite.
    """
    need(
        reach > 0 and steps >= 2,
        expected="a reach above 0 and 2 steps or more",
        got=f"reach={reach:g}, steps={steps}",
        remedy="The paper's are 20 and 100.",
    )
    found = _layer(model)
    along = torch.linspace(-reach, reach, steps, dtype=torch.float64)
    up, right = torch.meshgrid(along, along, indexing="ij")
    pairs = torch.stack([right.flatten(), up.flatten()])
    squares, held = _squares(found.weights), _rows(len(found.weights), plane.origin.numel(), memory)
    norms, classes, certainty = [], [], []
    with left_as_found(model), torch.no_grad():
        for some in pairs.split(held, dim=1):
            inputs = places(plane, some[0], some[1]).to(device_of(model))
            outputs, hidden = hidden_of(model, inputs, ["currents"])
            norms.append(_norms(hidden["currents"], squares, found.power, found.scale))
            sure = outputs.double().softmax(1).max(1)
            classes.append(sure.indices)
            certainty.append(sure.values)
    all_norms, all_certainty = _finite(torch.cat(norms)), _finite(torch.cat(certainty))
    shape = (steps, steps)
    return HiddenLandscape(
        plane,
        float(reach),
        all_norms.reshape(shape).cpu(),
        torch.cat(classes).reshape(shape).cpu(),
        all_certainty.reshape(shape).cpu(),
    )


class _Layer(NamedTuple):
    """What the closed form needs of a hidden layer."""

    weights: Tensor
    power: float
    scale: float


def _layer(model: nn.Module) -> _Layer:
    """Weights of `currents`, power and scale of `hidden1`."""
    modules = dict(model.named_modules())
    currents, hidden = modules.get("currents"), modules.get("hidden1")
    first = hidden[0] if isinstance(hidden, nn.Sequential) and len(hidden) else hidden
    need(
        isinstance(currents, nn.Linear) and isinstance(first, RePU | nn.ReLU),
        expected="a model with linear currents, and hidden1 that begins with a rectified power or a ReLU",
        got=f"currents {type(currents).__name__} and hidden1 {type(first).__name__}",
        remedy="Use frobenius of kind smoothness, which takes any layer.",
    )
    weights = model.get_parameter("currents.weight").detach()
    return _Layer(weights, first.power, first.scale) if isinstance(first, RePU) else _Layer(weights, 1.0, 1.0)


def _squares(weights: Tensor) -> Float64[Tensor, " units"]:
    """‖W̃_μ‖² of each unit."""
    return torch.stack([row.double().square().sum() for row in weights.detach()])


def _norms(
    currents: Float[Tensor, "some units"], squares: Float64[Tensor, " units"], power: float, scale: float
) -> Float64[Tensor, " some"]:
    """The closed form."""
    scaled = currents.detach().double() / scale
    slopes = (power / scale) * scaled.relu() ** (power - 1) * (scaled > 0)
    return (slopes.square() @ squares).sqrt()


def _rows(units: int, values: int, memory: float) -> int:
    """How many inputs go through together: three float64 copies of its values, and four of its currents, for each."""
    need(memory > 0, expected="some memory", got=f"memory={memory:g}", remedy="Use memory=1.0, in GB.")
    return max(1, int(memory * 1e9 / (8 * (3 * values + 4 * units))))


def _finite(values: Float64[Tensor, " places"]) -> Float64[Tensor, " places"]:
    """The values, refused unless all are finite."""
    lost = int((~values.isfinite()).sum())
    need(
        lost == 0,
        expected="a finite layer",
        got=f"NaN or infinity at {lost} of {len(values)} places",
        remedy="Look for diverged weights, or inputs that are not finite.",
    )
    return values
