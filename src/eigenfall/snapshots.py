"""Where a training loop stands, as a flat mapping of tensors, numbers and text, and back: it goes on bit-equal.

model/NAME  optimiser/INDEX/KEY  generator/NAME  state/PENALTY/FIELD[/LAYER]  place/FIELD
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.layers import device_of


@dataclass(frozen=True, eq=False)
class Place:
    """Where the loop stands."""

    order: Tensor
    step: int = 0
    stopped: bool = False
    waited: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best: Mapping[str, Tensor] | None = None


def flattened(value: Any, prefix: str) -> dict[str, Any]:
    """A frozen dataclass of tensors, mappings of them, numbers and text, as a flat mapping; `None` is left out."""
    found: dict[str, Any] = {}
    for field in fields(value):
        entry = getattr(value, field.name)
        if isinstance(entry, Mapping):
            found |= {f"{prefix}{field.name}/{key}": inner for key, inner in entry.items()}
        elif entry is not None:
            found[f"{prefix}{field.name}"] = entry
    return found


def unflattened(like: Any, flat: Mapping[str, Any], prefix: str, device: torch.device) -> Any:
    """The value that was flattened; `like` says its class, and which fields are mappings."""

    def placed(entry: Any) -> Any:
        known = device.type != "mps" or (isinstance(entry, Tensor) and entry.dtype != torch.float64)
        moves = isinstance(entry, Tensor) and entry.is_floating_point() and known
        return entry.clone().to(device) if moves else entry

    found: dict[str, Any] = {}
    for field in fields(like):
        if isinstance(getattr(like, field.name), Mapping):
            start = f"{prefix}{field.name}/"
            found[field.name] = {
                key[len(start) :]: placed(entry) for key, entry in flat.items() if key.startswith(start)
            }
        else:
            found[field.name] = placed(flat.get(f"{prefix}{field.name}"))
    return replace(like, **found)


def snapshot(
    at: Place,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Mapping[str, torch.Generator],
    states: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything from which the loop goes on, copied."""
    found: dict[str, Any] = {f"model/{name}": value.detach().clone() for name, value in model.state_dict().items()}
    for index, entries in optimiser.state_dict()["state"].items():
        found |= {
            f"optimiser/{index}/{key}": value.detach().clone() if isinstance(value, Tensor) else value
            for key, value in entries.items()
            if value is not None
        }
    found |= {f"generator/{name}": generator.get_state() for name, generator in generators.items()}
    for name, state in states.items():
        if is_dataclass(state):
            found |= flattened(state, f"state/{name}/")
    return found | flattened(replace(at, best=at.best or {}), "place/")


def go_on(
    start: Mapping[str, Any],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Mapping[str, torch.Generator],
    states: Mapping[str, Any],
) -> tuple[Place, dict[str, Any]]:
    """Put a snapshot back; where the loop stood, and the penalties' states."""
    device = device_of(model)
    model.load_state_dict({key[6:]: value for key, value in start.items() if key.startswith("model/")})
    held = optimiser.state_dict()
    held["state"] = {}
    for key, value in start.items():
        if key.startswith("optimiser/"):
            _, index, name = key.split("/")
            held["state"].setdefault(int(index), {})[name] = value.clone() if isinstance(value, Tensor) else value
    optimiser.load_state_dict(held)
    for name, generator in generators.items():
        generator.set_state(start[f"generator/{name}"])
    found = {
        name: unflattened(state, start, f"state/{name}/", device) if is_dataclass(state) else state
        for name, state in states.items()
    }
    at = unflattened(Place(order=torch.empty(0), best={}), start, "place/", torch.device("cpu"))
    return replace(at, best=at.best or None), found
