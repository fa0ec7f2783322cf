"""One piece of a curve: an attack called on one block of inputs, its proposal verified, and judged by fresh
predictions.

Source: `docs/robustness.md` §2.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched, margin
from eigenfall.robustness.sound import need_inside
from eigenfall.types import Split, Threat


@dataclass(frozen=True, eq=False)
class Judged:
    """What one attack did to one block at one epsilon, or without one.

    Attributes:
        broken: whether a verified perturbation was misclassified, in any draw.
        flips: share of draws that were.
        zero: whether a gradient was exactly zero.
        distances: smallest norm of a verified perturbation that broke the input, in the threat's norm; infinite if
            none did.
        distances_l2: the same in L2.
        reach: smallest over the draws.
        passes: of all draws.
    """

    broken: Bool[Tensor, " block"]
    flips: Float64[Tensor, " block"]
    zero: Bool[Tensor, " block"]
    distances: Float64[Tensor, " block"]
    distances_l2: Float64[Tensor, " block"]
    reach: float
    passes: int


def is_minimal(attack: Any) -> bool:
    """Whether an attack looks for the smallest perturbation: its attribute `minimal`, if it has one."""
    return bool(getattr(attack, "minimal", False))


def draws_of(attack: Any) -> int:
    """How many times an attack is called on the same inputs: its setting `draws`, if it has one."""
    return getattr(attack, "draws", 1)


def judged(
    model: nn.Module,
    name: str,
    attack: Any,
    examples: Split,
    where: slice,
    threat: Threat,
    epsilon: float | None,
    seeds: tuple[int, int],
    batch_size: int,
) -> Judged:
    """Call the attack, verify every proposal, and judge it by fresh predictions.

    Args:
        model: logits of inputs.
        name: of the attack, for the refusal.
        attack: the attack.
        examples: all inputs.
        where: which of them are the block.
        threat: what a perturbation may be.
        epsilon: its budget; none for an attack that looks for the smallest perturbation: then any norm will do.
        seeds: of the run, and the number of the block.
        batch_size: largest number of inputs in one of the model's passes.
    """
    draws, device = draws_of(attack), device_of(model)
    limit = math.inf if epsilon is None else epsilon
    with torch.inference_mode(False):
        inputs, targets = _block(examples, where, device)
        flips = torch.zeros(len(inputs), dtype=torch.float64, device=device)
        zero = torch.zeros(len(inputs), dtype=torch.bool, device=device)
        nearest, nearest_l2 = (torch.full_like(flips, math.inf) for _ in range(2))
        reach, passes = math.inf, 0
        for draw in range(draws):
            seed = _seed(*seeds, draw)
            with left_as_found(model, seed=seed):
                source = torch.Generator().manual_seed(seed)
                own = inputs.clone(), targets.clone()  # an attack that writes into these judges nothing
                proposal = attack(Batched(model, batch_size), *own, threat, epsilon, source)
                threat.check(proposal.inputs, inputs, limit, name)
                moved = proposal.inputs.detach()
                wrong = ~_correct(model, moved, targets, batch_size, where.start)
            flips += wrong.double()
            zero |= proposal.zero_gradients
            reach, passes = min(reach, proposal.reach), passes + proposal.passes
            if wrong.any() and threat.norm != "gaussian":  # no ball: its noise has no smallest norm
                moved, still = moved[wrong], inputs[wrong]
                nearest[wrong] = nearest[wrong].minimum(threat.size(moved, still).clamp_max(limit))
                length = torch.linalg.vector_norm((moved - still).flatten(1), dim=1, dtype=torch.float64)
                length = length.clamp_max(limit) if threat.norm == "L2" else length
                nearest_l2[wrong] = nearest_l2[wrong].minimum(length)
        return Judged(
            broken=(flips > 0).cpu(),
            flips=(flips / draws).cpu(),
            zero=zero.cpu(),
            distances=nearest.cpu(),
            distances_l2=nearest_l2.cpu(),
            reach=reach,
            passes=passes,
        )


def clean(
    model: nn.Module, examples: Split, where: slice, threat: Threat, seed: int, batch_size: int
) -> Bool[Tensor, " block"]:
    """Whether each clean input of a block is classified correctly; refuses inputs outside the bounds."""
    inputs, targets = _block(examples, where, device_of(model))
    need_inside(inputs, threat)
    with left_as_found(model, seed=_seed(seed, where.start, 0)):
        return _correct(model, inputs, targets, batch_size, where.start).cpu()


def _seed(seed: int, block: int, draw: int) -> int:
    """A seed below 2⁶³ for each block and draw."""
    return int(np.random.SeedSequence((seed, block, draw)).generate_state(1, np.uint64)[0] >> 1)


def _block(examples: Split, where: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Our own copy of some inputs and their classes: the caller's tensors are not touched."""
    return examples.inputs[where].detach().clone().to(device), examples.targets[where].clone().long().to(device)


def _correct(model: nn.Module, inputs: Tensor, targets: Tensor, batch_size: int, first: int) -> Bool[Tensor, " block"]:
    """Fresh predictions: whether the target's logit is above every other; a tie is an error."""
    with torch.no_grad():
        outputs = Batched(model, batch_size)(inputs)
    need(
        outputs.ndim == 2 and outputs.shape[0] == len(inputs) and outputs.shape[1] >= 2,
        expected="logits as (batch, classes), of at least two classes",
        got=f"shape {tuple(outputs.shape)} for {len(inputs)} inputs",
        remedy="Attack a classifier that returns one row of logits per input.",
    )
    lost = outputs.isnan().any(1).nonzero()
    need(
        len(lost) == 0,
        expected="logits that are numbers",
        got=f"NaN for input {first + int(lost[0])}" if len(lost) else "",
        remedy="The model overflows there: nothing can be said about its robustness.",
    )
    highest = int(targets.max())
    need(
        highest < outputs.shape[1],
        expected=f"classes from 0 to {outputs.shape[1] - 1}, since the model has {outputs.shape[1]} outputs",
        got=f"class {highest}",
        remedy="Give the labels that the model was trained on.",
    )
    return margin(outputs, targets) > 0
