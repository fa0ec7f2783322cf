"""Transfer: proposals made on a surrogate, verified and judged on the model, as every other attack's are.

A model whose gradients mislead an attack may still fall to what breaks another model: a twin trained without the
defence, or a net distilled on its outputs.

Source: `docs/robustness.md` §5, check f; Athalye, Carlini & Wagner 2018, arXiv:1802.00420.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched
from eigenfall.parts import spell
from eigenfall.robustness.harness import attacking
from eigenfall.stages import consumed
from eigenfall.types import Epsilon, Proposal, RobustnessCurve, Split, Stage, Threat


def transferred(
    model: nn.Module,
    surrogate: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 256,
    block: int = 256,
) -> RobustnessCurve:
    """Right or wrong of the model on what attacks propose for a surrogate; the model's own gradients play no part.

    Give attacks that climb on after the surrogate is broken, such as `PGD(stop_broken=False)`: one that stops there
    proposes inputs just beyond the surrogate's boundary, which rarely cross another model's, and the clean input where
    the surrogate errs.

    Args:
        model: logits of inputs, judged; left as it was found.
        surrogate: logits of the same inputs for the same classes, attacked; left as it was found.
        attacks: parts of kind attacks by name.
        examples: inputs inside the threat's bounds, and the class of each.
        threat: what a perturbation may be.
        epsilons: budgets, ascending, in the threat's unit.
        generator: its seed decides every draw; the draws are those of the same attacks on the model itself.
        batch_size: largest number of inputs in one of either model's passes.
        block: how many inputs an attack is called on at once.

    Returns:
        The model's curve. Clean errors are the model's; `zero_gradients` are the surrogate's.

    Raises:
        ValueError: as `robustness` does, or if the surrogate does not tell the examples' classes apart.

    Example:
        >>> from eigenfall.attacks.pgd import PGD
        >>> from eigenfall.types import LpBall
        >>> model, surrogate = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> examples = Split(torch.rand(8, 4), torch.arange(8) % 3)
        >>> attacks = {"transfer": PGD(stop_broken=False)}
        >>> curve = transferred(model, surrogate, attacks, examples, LpBall(), (0.1, 0.2), torch.Generator())
        >>> curve.broken.shape
        torch.Size([1, 2, 8])
    """
    return consumed(transferring(model, surrogate, attacks, examples, threat, epsilons, generator, batch_size, block))


def transferring(
    model: nn.Module,
    surrogate: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 256,
    block: int = 256,
) -> Generator[Stage, None, RobustnessCurve]:
    """As `transferred`, but yields the harness's stages and returns the curve."""
    elsewhere = {name: _made_on(surrogate, attack, batch_size) for name, attack in attacks.items()}
    curve = yield from attacking(model, elsewhere, examples, threat, epsilons, generator, batch_size, block)
    return replace(curve, attacks={name: spell(attack) for name, attack in attacks.items()})


def _made_on(surrogate: nn.Module, attack: Any, batch_size: int) -> Any:
    """The attack, called on the surrogate whatever model it is given."""

    @dataclass(frozen=True)
    class Elsewhere:
        draws = getattr(attack, "draws", 1)
        minimal = getattr(attack, "minimal", False)

        def __call__(
            self,
            model: nn.Module,
            inputs: Tensor,
            targets: Tensor,
            threat: Threat,
            epsilon: Epsilon | None,
            generator: torch.Generator,
        ) -> Proposal:
            there = device_of(surrogate)
            with left_as_found(surrogate):
                subject = Batched(surrogate, batch_size)
                _need_classes(subject, inputs.to(there), targets)
                proposal = attack(subject, inputs.to(there), targets.to(there), threat, epsilon, generator)
            return replace(
                proposal,
                inputs=proposal.inputs.detach().to(inputs.device),
                zero_gradients=proposal.zero_gradients.to(inputs.device),
            )

    return Elsewhere()


def _need_classes(surrogate: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    """Refuse a surrogate that has no logit for the examples' classes."""
    with torch.no_grad():
        outputs = surrogate(inputs[:2])
    highest = int(targets.max())
    need(
        outputs.ndim == 2 and highest < outputs.shape[1],
        expected=f"a surrogate with a logit for class {highest}",
        got=f"outputs of shape {tuple(outputs.shape)} for {len(inputs[:2])} inputs",
        remedy="Give a model trained on the same classes in the same order.",
    )
