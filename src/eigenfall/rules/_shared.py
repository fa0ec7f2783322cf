"""What rules share: draws for several seeds, the refusal of batches that do not fit, and linear layers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import need


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Float[Tensor, "seeds ..."]:
    """Standard normal draws of this shape, one for each seed, stacked; a seed's do not depend on the others."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def need_sizes(inputs: int, units: int) -> None:
    """Refuse layers without inputs or units."""
    need(
        inputs >= 1 and units >= 1,
        expected="at least one input and one unit",
        got=f"{inputs} inputs and {units} units",
        remedy="Use more.",
    )


def need_batch(batch: Tensor, weights: Float[Tensor, "seeds units inputs"]) -> None:
    """Refuse a batch that is empty, or is not `(seeds, batch, inputs)` of these weights."""
    seeds, _, inputs = weights.shape
    need(
        batch.ndim == 3 and batch.shape[0] == seeds and batch.shape[2] == inputs,
        expected=f"a batch ({seeds}, batch, {inputs}): seeds, batch, inputs",
        got=f"shape {tuple(batch.shape)}",
        remedy="Flatten the inputs, and give each seed its own batch.",
    )
    need(batch.shape[1] > 0, expected="at least one input in a batch", got="an empty batch", remedy="Leave it out.")


def need_one_seed(weights: Float[Tensor, "seeds units inputs"]) -> None:
    """Refuse to make one layer of several seeds."""
    need(
        len(weights) == 1,
        expected="the state of one seed",
        got=f"{len(weights)} seeds",
        remedy="Take one by eigenfall.types.one_seed(state, place).",
    )


def linear(weights: Float[Tensor, "units inputs"]) -> nn.Linear:
    """Currents W v, without bias; the weights are copied, and held fixed."""
    units, inputs = weights.shape
    layer = nn.Linear(inputs, units, bias=False, device="meta")
    layer.weight = nn.Parameter(weights.detach().clone(), requires_grad=False)
    return layer
