"""A model's hidden values by name, views of them, and the guard that leaves a model as it was found."""

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from eigenfall.check import nearest, need
from eigenfall.precision import whole_floats

View = Literal["flatten", "channels", "pool"]

OUTPUTS = "outputs"
"""The name under which a model's outputs stand beside its layers."""


def layer_names(model: nn.Module) -> list[str]:
    """Every module path of a model, but for the model itself."""
    return [name for name, _ in model.named_modules() if name]


def hidden_names(model: nn.Module) -> tuple[str, ...]:
    """Modules named `hidden1`, `hidden2`, …, in order: what our own architectures call their hidden layers."""
    found = [name for name in layer_names(model) if name.startswith("hidden") and name[6:].isdigit()]
    return tuple(sorted(found, key=lambda name: int(name[6:])))


def need_layers(model: nn.Module, layers: Sequence[str]) -> None:
    """Refuse a layer that the model does not have, offering the nearest and listing what there is."""
    names = layer_names(model)
    for layer in layers:
        if layer not in names:  # the nearest name takes longer to find than a small model's pass
            remedy = f"{nearest(layer, names)} Its layers are: {', '.join(names)}."
            need(False, expected="a layer of the model", got=repr(layer), remedy=remedy)


@contextmanager
def captured(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, each call of the model leaves the named layers' outputs in the yielded mapping."""
    if layers:
        need_layers(model, layers)
    hidden: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            need(
                isinstance(output, Tensor),
                expected=f"one tensor out of layer {name!r}",
                got=type(output).__name__,
                remedy="Name a layer inside it that returns one tensor.",
            )
            hidden[name] = output

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    try:
        yield hidden
    finally:
        for handle in handles:
            handle.remove()


def view(values: Float[Tensor, "batch ..."], how: View, name: str = "a layer") -> Float[Tensor, "samples units"]:
    """Hidden values as samples × units.

    Args:
        values: `(batch, units)`, or a convolutional map `(batch, channels, height, width)`.
        how: "flatten": every value of a map is a unit; "channels": every place of every map is a sample, its
            channels the units, `(batch · height · width, channels)`; "pool": mean over places, channels the units.
        name: of the layer, for the refusal.

    Raises:
        ValueError: if the values are neither.
    """
    if values.ndim == 2:
        return values
    need(
        values.ndim > 2,
        expected=f"values of {name} as (batch, units) or (batch, channels, height, width)",
        got=f"shape {tuple(values.shape)}",
        remedy="Name a layer whose output has one row per input.",
    )
    if how == "flatten":
        return values.flatten(1)
    channels = values.flatten(2)
    return channels.mean(2) if how == "pool" else channels.transpose(1, 2).flatten(0, 1)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter or buffer lies; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def fusable(parameters: Sequence[Tensor]) -> Literal[True] | None:
    """Whether one kernel can update them all: what the optimisers of torch want as `fused`, `None` where it cannot."""
    return all(one.is_floating_point() and one.device.type in ("cpu", "cuda") for one in parameters) or None


def seed_torch(seed: int) -> None:
    """Seed torch's own generators on the devices in use.

    `torch.manual_seed` would, without CUDA, queue a call and a stack trace each time.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def fixed_random_state(seed: int | None = None) -> Iterator[None]:
    """Random states of torch, NumPy and Python are put back on exit; inside they start from `seed`, if given."""
    python, array = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            seed_torch(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
            if apple is not None:
                torch.mps.set_rng_state(apple)


HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
)


def _put_back(tensor: Tensor, value: Tensor) -> None:
    """Write a value back if it changed; an unchanged tensor keeps its version: graphs that saved it stay good."""
    same = tensor.shape == value.shape and tensor.dtype == value.dtype and tensor.device == value.device
    if same and torch.equal(tensor, value):
        return
    with torch.no_grad():
        if same:
            tensor.copy_(value)
        else:
            tensor.data = value


@contextmanager
def left_as_found(
    model: nn.Module, *, training: bool = False, frozen: bool = True, seed: int | None = None
) -> Iterator[nn.Module]:
    """The model, in eval mode with frozen parameters, and gradients switched on; everything put back on exit.

    Put back bit for bit, also after an exception: each module's own training flag, buffers and hooks, parameters'
    gradients and `requires_grad`, random states (torch, NumPy, Python), grad and inference mode, autocast, default
    dtype, cuDNN flags, and the tracing function. Inside, autocast is off and products of 32-bit floats are whole.

    Args:
        model: any module.
        training: leave it in training mode instead; its buffers are put back all the same.
        frozen: switch off `requires_grad` of the parameters, so that gradients go to inputs only.
        seed: inside, random states start from it, so that a model that draws (dropout) draws the same each time.
    """
    modules = [
        (
            module,
            module.training,
            dict(module._buffers),
            [dict(hooks) if (hooks := getattr(module, name)) else None for name in HOOKS],
        )
        for module in model.modules()
    ]
    with torch.inference_mode(False):
        buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
        gradients = [
            (p, p.requires_grad, p.grad, None if p.grad is None else p.grad.detach().clone())
            for p in model.parameters()
        ]
    tracing, dtype = sys.gettrace(), torch.get_default_dtype()
    cudnn = (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    try:
        with (
            whole_floats(),
            fixed_random_state(seed),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False) if torch.cuda.is_available() else torch.enable_grad(),
        ):
            if any(flag is not training for _, flag, *_ in modules):
                model.train(training)
            if frozen:
                for parameter, *_ in gradients:
                    parameter.requires_grad_(False)
            yield model
    finally:
        with torch.inference_mode(False):
            for module, flag, held, hooks in modules:
                if module.training is not flag:
                    module.training = flag
                module._buffers.clear()
                module._buffers.update(held)
                for name, before in zip(HOOKS, hooks):
                    now = getattr(module, name)
                    if now or before:
                        now.clear()
                        now.update(before or {})
            for buffer, value in buffers:
                _put_back(buffer, value)
            for parameter, required, gradient, value in gradients:
                parameter.requires_grad_(required)
                parameter.grad = gradient
                if gradient is not None and value is not None:
                    _put_back(gradient, value)
        if sys.gettrace() is not tracing:
            sys.settrace(tracing)
        torch.set_default_dtype(dtype)
        (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) = cudnn


def hidden_of(model: nn.Module, inputs: Tensor, layers: Sequence[str]) -> tuple[Tensor, Mapping[str, Tensor]]:
    """One pass: outputs, and each named layer's output as the module returned it; "outputs" is the outputs."""
    with captured(model, [layer for layer in layers if layer != OUTPUTS]) as hidden:
        outputs = model(inputs)
    found = dict(hidden)
    for layer in layers:
        if layer == OUTPUTS:
            found[layer] = outputs
        else:
            need(
                layer in found,
                expected=f"layer {layer!r} to be used in the model's forward pass",
                got="a pass that never called it",
                remedy="Name a layer that the model calls.",
            )
    return outputs, {layer: found[layer] for layer in layers}


def values_of(model: nn.Module, inputs: Tensor, layer: str) -> Float[Tensor, "inputs values"]:
    """A layer's values as rows, one per input; refuses a layer that has none."""
    values = hidden_of(model, inputs, [layer])[1][layer]
    need(
        values.ndim >= 2 and len(values) == len(inputs),
        expected=f"one row per input in layer {layer!r}",
        got=f"shape {tuple(values.shape)} for {len(inputs)} inputs",
        remedy="Name a layer whose output has one row per input.",
    )
    return values.flatten(1)


def need_gradient(values: Tensor, layer: str) -> None:
    """Refuse values of a layer that no gradient leads back from."""
    need(
        values.requires_grad,
        expected=f"values of {layer!r} that depend on the inputs by differentiable steps",
        got="values without a gradient",
        remedy="Name another layer, or take `detach` out of the model.",
    )
