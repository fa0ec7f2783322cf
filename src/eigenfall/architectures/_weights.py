"""Files of weights: tensors by name, and into a model whose names and shapes are theirs."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from eigenfall.check import need


def state_of(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name from a file of weights; no pickle beyond tensors is read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    need(path.is_file(), expected=f"a file of weights at {path}", got="none", remedy="Mend the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        raise ValueError(
            f"Expected a state dict in {path}, got a pickle of other objects, which may run code when opened. "
            "Save model.state_dict(), or use .safetensors, and name the factory of the model."
        ) from reason
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError, KeyError) as reason:
        raise ValueError(
            f"Expected weights as .safetensors or a state dict in {path}, got {type(reason).__name__}. "
            "The file is damaged, TorchScript or of another kind; save model.state_dict() again."
        ) from reason
    need(
        isinstance(state, Mapping) and len(state) > 0 and all(isinstance(value, Tensor) for value in state.values()),
        expected=f"a state dict of tensors in {path}",
        got=f"entries {', '.join(map(str, list(state)[:4]))}" if isinstance(state, Mapping) else type(state).__name__,
        remedy="Save model.state_dict() alone.",
    )
    return state


def put(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a model whose names and shapes are the same."""
    own = model.state_dict()
    strange = [
        *(f"{name} is missing" for name in own if name not in state),
        *(f"{name} is not in the model" for name in state if name not in own),
        *(
            f"{name} has shape {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ),
    ]
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    need(
        not strange,
        expected=f"the model's own names and shapes in {path}",
        got=f"{len(strange)} that differ: {', '.join(strange[:3])}{more}",
        remedy="Give the weights of this model, or the factory of that one.",
    )
    model.load_state_dict(state)
