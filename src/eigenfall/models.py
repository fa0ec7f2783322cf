"""The model of a finished run: what makes it again, and the module itself with its weights."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from eigenfall import parts, records
from eigenfall.architectures.imported import Imported
from eigenfall.architectures.learnt import LearntLayer
from eigenfall.check import need
from eigenfall.types import Examples, Record


def architecture_of(record: Record, foreign: bool = True) -> Any:
    """The part that makes a record's model, whether it was trained, learnt or measured, with the record's weights.

    Args:
        record: of a finished run.
        foreign: whether modules that the record names may be imported, which runs what is in them.

    Raises:
        ValueError: if the record is of a recording, or of a learnt layer whose head's scale it does not know.
    """
    run, weights = record.run, record.path / "weights.safetensors"
    if run.get("verb") == "learn":
        head = parts.read("heads", str(run.get("fitted_head", run["head"])), foreign)
        need(
            getattr(head, "scale", 1.0) is not None,
            expected=f"a record in {record.path} that knows the scale of its head",
            got=f"one of eigenfall {record.versions.get('eigenfall', '')} without it",
            remedy="Remove it and learn again by the same command.",
        )
        return LearntLayer(parts.read("rules", str(run["rule"]), foreign), head, weights)
    need(
        "architecture" in run,
        expected=f"a finished run of a model in {record.path}",
        got="one of a recording",
        remedy="Name the file of responses itself.",
    )
    made = parts.read("architectures", str(run["architecture"]), foreign)
    need_trust(made, foreign)
    if isinstance(made, LearntLayer) or (isinstance(made, Imported) and made.path is None):
        return replace(made, weights=weights)
    return made if isinstance(made, Imported) else Imported(architecture=made, weights=weights)


def need_trust(made: Any, foreign: bool) -> None:
    """Refuse a factory or a program that a record names, unless its owner trusts the record."""
    if foreign or not isinstance(made, Imported):
        return
    named = made.factory or (str(made.path) if made.path is not None else "")
    need(
        not named,
        expected="a model that eigenfall makes itself",
        got=f"the record's own word for {named!r}",
        remedy="Making it runs what is in it: say that you trust the record that names it.",
    )
    need_trust(made.architecture, foreign)


def model_of(record: Record, examples: Examples | None = None, foreign: bool = True) -> nn.Module:
    """A record's model, trained, learnt or measured, with its weights, in eval mode and on the CPU.

    Args:
        record: of a finished run.
        examples: give the shape of its inputs and its classes; `None`: its own data are read.
        foreign: whether modules and programs that the record names may be run; leave it out for a record of your own.

    Raises:
        ValueError: if the record is of a recording, its weights were changed, or the model cannot be made again.
    """
    architecture = architecture_of(record, foreign)
    found = parts.read("datasets", str(record.run["data"]), foreign)() if examples is None else examples
    model = architecture(found, torch.Generator().manual_seed(int(record.run["seed"])))
    model.load_state_dict(records.weights(record))
    return model.eval()
