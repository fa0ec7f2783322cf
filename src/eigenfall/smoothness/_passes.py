"""What measures of smoothness share: inputs in chunks that fit into memory, values with a graph, the layer's spread."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import hidden_of, need_gradient, values_of


class Probed(NamedTuple):
    """One input's pass: bytes held while it is pulled back, values of the layer, values of the input."""

    held: int
    values: int
    inputs: int


Beside = Callable[[Probed], int]
"""Bytes that a measure holds for each input beside the passes."""


def need_room(memory: float, chunk_size: int | None) -> None:
    """Refuse settings that leave no room for an input."""
    need(
        memory > 0 and (chunk_size is None or chunk_size >= 1),
        expected="some memory, and one input at a time or more",
        got=f"memory={memory}, chunk_size={chunk_size}",
        remedy="Use memory=1.0, in GB, which is the default.",
    )


def chunks(
    model: nn.Module,
    inputs: Float[Tensor, "inputs ..."],
    layer: str,
    memory: float,
    chunk_size: int | None,
    beside: Beside = lambda probed: 0,
    graphs: int = 2,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs that require gradients, and a layer's values `(some, values)` with the graph between, chunk by chunk.

    Args:
        model: guarded by the caller (`left_as_found`).
        inputs: at least one.
        layer: module path, or "outputs".
        memory: what the passes and what stands beside them may hold at once, in GB.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
        beside: bytes that the measure holds for each input beside the passes.
        graphs: how many passes it holds at once: that of the values, and what is pulled back through it, or the
            values of the next chunk before these are let go.
    """
    need(len(inputs) >= 1, expected="at least one input", got="none", remedy="Give some.")
    if chunk_size is None:
        found = probed(model, inputs[:1], layer)
        chunk_size = max(1, int(memory * 1e9 / (graphs * found.held + beside(found))))
    for some in inputs.split(chunk_size):
        at = some.detach().clone().requires_grad_()
        values = values_of(model, at, layer)
        need_gradient(values, layer)
        yield at, values


def need_finite(values: Float64[Tensor, " inputs"], layer: str) -> None:
    """Refuse a Jacobian that is not finite at some input."""
    finite = torch.isfinite(values)
    need(
        bool(finite.all()),
        expected=f"a finite Jacobian of {layer!r}",
        got=f"NaN or infinity at {int((~finite).sum())} of {len(values)} inputs",
        remedy="Look for diverged weights, or inputs that are not finite.",
    )


class Spread:
    """Root mean square of values about the mean of each over the inputs, added up over chunks."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, values: Float[Tensor, "some values"]) -> None:
        """Add the values of some inputs."""
        values = values.detach().double()
        mean = values.mean(0)
        change, total = mean - self.mean, self.count + len(values)
        self.squares = (
            self.squares + (values - mean).square().sum(0) + change.square() * self.count * len(values) / total
        )
        self.mean, self.count = self.mean + change * len(values) / total, total

    @property
    def root_mean_square(self) -> float:
        """The square root of the variance (divisor: the count), averaged over the values."""
        return float((self.squares / self.count).mean().sqrt())


def bytes_per_input(model: nn.Module, one: Float[Tensor, "one ..."], layer: str) -> int:
    """What one input holds while it is pulled back: every module's output, the layer thrice, the input thrice."""
    return probed(model, one, layer).held


def probed(model: nn.Module, one: Float[Tensor, "one ..."], layer: str) -> Probed:
    """Size of one input's pass, by running it."""
    counted: list[int] = []

    def count(module: nn.Module, arguments: object, output: object) -> None:
        if isinstance(output, Tensor):
            counted.append(output.numel() * output.element_size())

    handles = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad():
            _, found = hidden_of(model, one, [layer])
    finally:
        for handle in handles:
            handle.remove()
    values = found[layer]
    own = values.numel() * values.element_size()
    return Probed(sum(counted) + 3 * own + 3 * one.numel() * one.element_size(), values.numel(), one.numel())
