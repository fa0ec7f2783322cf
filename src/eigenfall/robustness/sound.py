"""What can not be attacked is refused here, before anything is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.types import Split, Threat


def need_inside(inputs: Tensor, threat: Threat) -> None:
    """Refuse inputs that are not finite, or outside the threat's bounds."""
    low, high = torch.stack(inputs.aminmax()).tolist()  # a NaN shows in both
    need(
        math.isfinite(low) and math.isfinite(high),
        expected="finite inputs",
        got="NaN or infinity",
        remedy="Leave out the inputs that are not complete.",
    )
    if threat.bounds is not None:
        need(
            threat.bounds[0] <= low and high <= threat.bounds[1],
            expected=f"inputs inside {threat.bounds}",
            got=f"values from {low:.6g} to {high:.6g}",
            remedy="Put the normalisation inside the model and give raw pixels, or give the inputs' own bounds.",
        )


def need_finite_weights(model: nn.Module) -> None:
    """Refuse a model with a weight that is NaN or infinite, as after training that diverged."""
    lost = (name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight.detach()).all()))
    name = next(lost, "")
    need(
        not name,
        expected="finite weights",
        got=f"NaN or infinity in {name}",
        remedy="Training diverged, or the file is damaged: nothing can be said about this model.",
    )


def need_sound(
    model: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    batch_size: int,
    block: int,
) -> None:
    """Refuse what cannot be attacked, before anything is."""
    need(
        examples.targets is not None,
        expected="the class of each input",
        got="none",
        remedy="Labels are never guessed: attacking away from the model's own answer can raise its accuracy.",
    )
    need(
        len(examples.inputs) == len(examples.targets) >= 1,
        expected="at least one input, and a class for each",
        got=f"{len(examples.inputs)} inputs and {len(examples.targets)} classes",
        remedy="Give inputs and targets of the same length.",
    )
    need(
        not examples.targets.is_floating_point() and int(examples.targets.min()) >= 0,
        expected="classes as whole numbers from 0",
        got=f"{examples.targets.dtype} from {examples.targets.min()}",
        remedy="Give the index of each input's class.",
    )
    need(
        examples.inputs.is_floating_point(),
        expected="inputs as floating-point numbers",
        got=str(examples.inputs.dtype),
        remedy="Divide 8-bit pixels by 255.",
    )
    budgets = [float(epsilon) for epsilon in epsilons]
    need(
        len(budgets) >= 1 and all(math.isfinite(e) and e >= 0 for e in budgets) and budgets == sorted(set(budgets)),
        expected="epsilons that are not negative and ascend",
        got=", ".join(f"{epsilon:g}" for epsilon in budgets) or "none",
        remedy="Give each budget once, smallest first.",
    )
    need(len(attacks) >= 1, expected="at least one attack", got="none", remedy="Give {'pgd': PGD()}, for instance.")
    need(
        batch_size >= 1 and block >= 1,
        expected="batches and blocks of at least one input",
        got=f"batch_size={batch_size}, block={block}",
        remedy="Use 256 for both.",
    )
    need(
        not any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())),
        expected="a model that can be differentiated",
        got="one created under torch.inference_mode",
        remedy="Create or load it outside inference_mode; calling us inside is fine.",
    )
