"""A model and inputs -> responses of its layers.

Inputs in memory whose hidden values fit into a budget give responses in memory, all layers from one pass. Anything
else gives responses that run the model again, chunk by chunk, whenever they are read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import OUTPUTS, View, device_of, hidden_of, left_as_found, need_layers, view
from eigenfall.objectives import margin
from eigenfall.types import Responses, Split

Inputs = Tensor | np.ndarray | Iterable[Any]
"""A tensor or array `(inputs, ...)`, or batches that can be iterated again: of inputs, or of (inputs, targets)."""


def _float_of(model: nn.Module) -> torch.dtype:
    """The floating type that a model computes in."""
    return next((p.dtype for p in (*model.parameters(), *model.buffers()) if p.is_floating_point()), torch.float32)


def batches(inputs: Inputs, batch_size: int) -> Iterator[Tensor]:
    """Inputs in batches; of pairs only the inputs. An array is read slice by slice, so it may lie on disk.

    Raises:
        ValueError: for batches that can be iterated only once, that are no tensors, or that are integers.
    """
    if isinstance(inputs, Tensor | np.ndarray):
        pieces: Iterable[Any] = (inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size))
    else:
        need(
            iter(inputs) is not inputs,
            expected="batches that can be iterated again, such as a list or a DataLoader",
            got=f"a {type(inputs).__name__} that is used up by one reading",
            remedy="Pass what it is made from.",
        )
        pieces = inputs
    for piece in pieces:
        batch = piece[0] if isinstance(piece, tuple | list) else piece
        need(
            isinstance(batch, Tensor | np.ndarray),
            expected="batches of tensors or arrays, or of pairs (inputs, targets)",
            got=type(batch).__name__,
            remedy="Let the DataLoader collate tensors.",
        )
        tensor = batch if isinstance(batch, Tensor) else torch.from_numpy(np.array(batch))
        need(
            tensor.is_floating_point(),
            expected="inputs of a floating type",
            got=str(tensor.dtype),
            remedy="For images, divide by 255 and give values in [0, 1].",
        )
        yield tensor


def _hidden(
    model: nn.Module, batch: Tensor, layers: Sequence[str], how: View
) -> dict[str, Float[Tensor, "samples units"]]:
    """One batch through the model in eval mode, without gradients; float32 at least."""
    with left_as_found(model), torch.no_grad():
        _, found = hidden_of(model, batch.to(device_of(model), _float_of(model)), layers)
        seen = {}
        for layer, values in found.items():
            need(
                values.ndim >= 2 and len(values) == len(batch),
                expected=f"one row per input in layer {layer!r}",
                got=f"shape {tuple(values.shape)} for {len(batch)} inputs",
                remedy="Name a layer whose output has one row per input.",
            )
            units = view(values, how, layer)
            seen[layer] = units if units.dtype == torch.float64 else units.float()
        return seen


def activations(
    model: nn.Module,
    inputs: Inputs,
    layers: Sequence[str],
    how: View = "flatten",
    batch_size: int = 256,
    memory: float = 1.0,
) -> dict[str, Responses]:
    """Responses of each layer to the inputs, one repeat.

    Args:
        model: any module; it runs in eval mode without gradients and is left as it was found.
        inputs: `(inputs, ...)` in memory, an array on disk, or batches that can be iterated again.
        layers: module paths; "outputs" for the model's outputs.
        how: convolutional maps as units: "flatten", "channels" (every place a sample) or "pool".
        batch_size: how many inputs of a tensor or array go through at once; batches come as they are.
        memory: in GB. Inputs in memory whose hidden values fit are run through once, and the values kept. Batches
            are never kept: each reading of a layer's responses runs the model again.

    Returns:
        Responses by layer, `(1, stimuli, units)`. With "channels" each has the places of an input as its `block`.

    Raises:
        ValueError: for a layer that the model does not have, or has no row per input, and for inputs that cannot be
            read.
    """
    need_layers(model, [layer for layer in layers if layer != OUTPUTS])
    first = next((batch[:1] for batch in batches(inputs, batch_size) if len(batch)), torch.empty(0))
    need(len(first) > 0, expected="at least one input", got="none", remedy="Give some.")
    sample = _hidden(model, first, layers, how)
    blocks = {layer: len(values) for layer, values in sample.items()}
    if isinstance(inputs, Tensor | np.ndarray):
        total = len(inputs) * sum(values.numel() * values.element_size() for values in sample.values())
        if total <= memory * 1e9:
            values = _kept(model, inputs, layers, how, batch_size)
            return {layer: Responses(values=values[layer][None], name=layer, block=blocks[layer]) for layer in layers}
    return {
        layer: Responses(
            chunks=partial(_chunks, model, inputs, layer, how, batch_size), name=layer, block=blocks[layer]
        )
        for layer in layers
    }


def white_noise(like: Inputs, count: int, seed: int) -> Tensor:
    """Inputs whose values are independent and standard normal, shaped as these; a seed's are always the same."""
    one = next(iter(batches(like, 1)))[0]
    return torch.randn((count, *one.shape), generator=torch.Generator().manual_seed(seed))


def _kept(
    model: nn.Module, inputs: Tensor | np.ndarray, layers: Sequence[str], how: View, batch_size: int
) -> Mapping[str, Tensor]:
    """All layers from one pass; each layer's values are written into one tensor, so that they are held once."""
    held: dict[str, Tensor] = {}
    start = 0
    for batch in batches(inputs, batch_size):
        for layer, values in _hidden(model, batch, layers, how).items():
            places = len(values) // len(batch)
            if layer not in held:
                held[layer] = values.new_empty(len(inputs) * places, values.shape[1])
            held[layer][start * places : (start + len(batch)) * places] = values
        start += len(batch)
    return held


def _chunks(model: nn.Module, inputs: Inputs, layer: str, how: View, batch_size: int) -> Iterator[Tensor]:
    """One layer's values, batch by batch. The model is as it was found whenever a chunk is handed out."""
    for batch in batches(inputs, batch_size):
        yield _hidden(model, batch, [layer], how)[layer][None]


def margins(model: nn.Module, examples: Split, batch_size: int = 256) -> Float64[Tensor, " inputs"]:
    """Target's logit less the largest other for each example, in eval mode; positive if correct, zero at a tie."""
    device, kind, found = device_of(model), _float_of(model), []
    with left_as_found(model), torch.no_grad():
        for inputs, targets in zip(examples.inputs.split(batch_size), examples.targets.split(batch_size)):
            found.append(margin(model(inputs.to(device, kind)).double(), targets.to(device)))
    return torch.cat(found).cpu()


def accuracy(model: nn.Module, examples: Split, batch_size: int = 256) -> Bool[Tensor, " inputs"]:
    """Whether each example is classified correctly in eval mode; a tie is an error."""
    return margins(model, examples, batch_size) > 0
