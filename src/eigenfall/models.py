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


def architecture_of(record: Record) -> Any:
    """The part that makes a record's model, whether it was trained, learnt or measured, with the record's weights.

    Raises:
        ValueError: if the record is of a recording, or of a learnt layer whose head's scale it does not know.
    """
    run, weights = record.run, record.path / "weights.safetensors"
    if run.get("verb") == "learn":
        head = parts.read("heads", str(run.get("fitted_head", run["head"])))
        need(
            getattr(head, "scale", 1.0) is not None,
            expected=f"a record in {record.path} that knows the scale of its head",
            got=f"one of eigenfall {record.versions.get('eigenfall', '')} without it",
            remedy="Remove it and learn again by the same command.",
        )
        return LearntLayer(parts.read("rules", str(run["rule"])), head, weights)
    need(
        "architecture" in run,
        expected=f"a finished run of a model in {record.path}",
        got="one of a recording",
        remedy="Name the file of responses itself.",
    )
    made = parts.read("architectures", str(run["architecture"]))
    if isinstance(made, LearntLayer) or (isinstance(made, Imported) and made.path is None):
        return replace(made, weights=weights)
    return made if isinstance(made, Imported) else Imported(architecture=made, weights=weights)


def model_of(record: Record, examples: Examples | None = None) -> nn.Module:
    """A record's model, trained, learnt or measured, with its weights, in eval mode and on the CPU.

    Args:
        record: of a finished run.
        examples: give the shape of its inputs and its classes; `None`: its own data are read.

    Raises:
        ValueError: if the record is of a recording, its weights were changed, or the model cannot be made again.
    """
    architecture = architecture_of(record)
    found = parts.read("datasets", str(record.run["data"]))() if examples is None else examples
    model = architecture(found, torch.Generator().manual_seed(int(record.run["seed"])))
    model.load_state_dict(records.weights(record))
    return model.eval()
