"""The user's own model: what makes it, and a file of weights for it; or a program saved by torch.export.

Format: weights are tensors by name, .safetensors or a state dict of torch.save. A pickle of anything else is never
opened. A whole module saved by torch.save is such a pickle, and refused. A TorchScript file is refused because its
inner layers cannot be seen. A torch.export program (.pt2) keeps layers, names and gradients, but loading one may run
what its maker put there (torch falls back to unpickling, and evaluates symbolic shapes as text): it is opened only if
the user says `trusted=true`, for a file of their own.
"""

import importlib
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from eigenfall.architectures._weights import put, state_of
from eigenfall.blocks import need_outputs, seeded
from eigenfall.check import need
from eigenfall.types import Examples


@dataclass(frozen=True)
class Imported:
    """A model made elsewhere.

    Attributes:
        factory: `package.module:function`, called without arguments; the current folder is searched too.
        architecture: a part of this kind that makes the model, in place of a factory.
        weights: a .safetensors file, or a state dict saved by torch.save, for that model; none: as it is made.
        path: a .pt2 file saved by torch.export, in place of both.
        trusted: whether that file is your own, so that loading it may run what is in it.
    """

    cite: ClassVar[str] = ""
    factory: str | None = None
    architecture: Any = None
    weights: Path | None = None
    path: Path | None = None
    trusted: bool = False

    def __call__(self, examples: Examples, generator: torch.Generator) -> nn.Module:
        """Make the model, and try it on a few inputs.

        Args:
            examples: what it must take, and how many classes it must tell apart.
            generator: gives the seed under which the factory runs.

        Raises:
            ValueError: if the factory or a file cannot be found or used, or the outputs are not one logit per class.
        """
        makers = {"factory": self.factory, "architecture": self.architecture, "path": self.path}
        given = [name for name, maker in makers.items() if maker is not None]
        need(
            len(given) == 1,
            expected="one of factory, architecture and path",
            got=" and ".join(given) or "none",
            remedy="Write for instance imported:factory=package.module:function.",
        )
        if self.path is not None:
            model = _program(self.path, self.weights, self.trusted)
        elif self.architecture is not None:
            model = self.architecture(examples, generator)
        else:
            with seeded(generator):
                model = _made(self.factory or "")
        if self.weights is not None:
            put(model, state_of(self.weights), self.weights)
        need_outputs(model, examples)
        return model


def _made(factory: str) -> nn.Module:
    """What the factory returns, a module; its package may lie in the current folder."""
    path, _, name = factory.partition(":")
    need(
        bool(path and name),
        expected="a factory as package.module:function",
        got=repr(factory),
        remedy="Write for instance my_models:make_model.",
    )
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(path), name)
        model = made()
    except Exception as reason:  # somebody else's code may raise anything
        raise ValueError(
            f"Expected {factory!r} to be a function that can be imported and called without arguments, got "
            f"{type(reason).__name__}: {(str(reason).strip() or 'no reason').splitlines()[0].rstrip('.')}. "
            "Mend the name, start in the folder that holds it, or wrap it in a function without arguments."
        ) from reason
    finally:
        sys.path.remove(here)
    need(
        isinstance(model, nn.Module),
        expected=f"a torch.nn.Module from {factory!r}",
        got=type(model).__name__,
        remedy="Return the model from the function.",
    )
    return model


def _program(path: Path, weights: Path | None, trusted: bool) -> nn.Module:
    """A torch.export program as a module with the layers it was exported from."""
    need(
        weights is None,
        expected="a program without weights",
        got=f"weights={weights}",
        remedy="A program carries its own; leave weights out, or name a factory.",
    )
    need(path.is_file(), expected=f"a program at {path}", got="none", remedy="Mend the path.")
    need(
        path.suffix == ".pt2",
        expected="a .pt2 file saved by torch.export",
        got=str(path),
        remedy="A pickled module may run code when opened, and TorchScript hides its layers: name the model's factory, "
        "and give its state dict as weights.",
    )
    need(
        trusted,
        expected="trusted=true for a program, whose loading can run what its maker put there",
        got=str(path),
        remedy="Set it for a file of your own; from others, ask for a factory and .safetensors.",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.unflatten(torch.export.load(path))
    except Exception as reason:  # torch raises AssertionError, RuntimeError, zip and JSON errors alike
        raise ValueError(
            f"Expected a program that this torch can load at {path}, got {type(reason).__name__}. Export it again."
        ) from reason


PRESETS: dict[str, Imported] = {}
