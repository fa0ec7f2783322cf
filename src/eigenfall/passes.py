"""One pass of a model as penalties see it, and the training rows as they may ask for them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import hidden_names, hidden_of, left_as_found, seed_torch
from eigenfall.types import ForwardPass, Reference, Split
from eigenfall.whitening import freezing, frozen_buffers

REFERENCE_BATCH = 4096
"""How many rows a pass without gradient takes at once."""


def forward(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    layers: Sequence[str],
    requires_grad: bool,
    parameters: Mapping[str, Tensor] | None = None,
) -> ForwardPass:
    """One pass, with the named layers' outputs; the inputs require gradients if a penalty reads them.

    Parameters by name are looked up unless they are given: a loop knows them.
    """
    if requires_grad:
        inputs = inputs.detach().requires_grad_()
    outputs, hidden = hidden_of(model, inputs, layers)
    return ForwardPass(
        inputs, targets, outputs, hidden, dict(model.named_parameters()) if parameters is None else parameters
    )


def reference_of(model: nn.Module, split: Split, layers: Sequence[str], batch_size: int = REFERENCE_BATCH) -> Reference:
    """The rows of a split as a penalty may ask for them. In train mode chunks are batches of about `batch_size`.

    The split lies on the model's device. Passes run without gradient, leave the model as it was, and have the same
    dropout each time. Chunks are of equal size: a lone last row would have no batch statistics. In eval mode layers
    that whiten by running statistics do so by those of all the rows asked for: what they remember lags behind the
    weights.
    """

    parameters = dict(model.named_parameters())

    def passes(indices: Tensor, mode: Literal["train", "eval"]) -> Iterator[ForwardPass]:
        size = batch_size if mode == "train" else REFERENCE_BATCH
        indices = indices.to(split.inputs.device)
        chunks = indices.tensor_split(max(1, math.ceil(len(indices) / size)))
        alone = len(chunks) == 1
        white = frozen_buffers(model, split.inputs, indices) if mode == "eval" and not alone else {}
        for number, some in enumerate(chunks):
            with left_as_found(model, training=mode == "train", frozen=False), torch.no_grad():
                for name, value in white.items():
                    model.get_buffer(name).copy_(value)
                seed_torch(number)
                with freezing(model, len(some)) if mode == "eval" and alone else nullcontext():
                    inputs, targets = split.inputs.index_select(0, some), split.targets.index_select(0, some)
                    found = forward(model, inputs, targets, layers, requires_grad=False, parameters=parameters)
            yield found

    return Reference(len(split), passes)


def captured_by(model: nn.Module, penalties: Mapping[str, Any], layers: Sequence[str] = ()) -> tuple[str, ...]:
    """Layers that the penalties need: those they name; all hidden layers where one names none."""
    if not penalties:
        return ()
    named = [layer for penalty in penalties.values() for layer in getattr(penalty, "layers", ())]
    everything = layers or hidden_names(model)
    needs_all = any(
        hasattr(penalty, "layers") and not penalty.layers and not _on_outputs(penalty) for penalty in penalties.values()
    )
    need(
        bool(everything) or not needs_all,
        expected="the layers that the penalty is about",
        got="a model without layers named hidden1, hidden2, …",
        remedy="Set the penalty's layers=….",
    )
    return tuple(dict.fromkeys([*(everything if needs_all else ()), *named]))


def _on_outputs(penalty: Any) -> bool:
    return getattr(penalty, "layer", "") == "outputs"
