"""Model + attacks + threat + epsilons → curve. Attacks propose; what they propose is verified and judged here.

An attack is called on fixed blocks of inputs with a generator seeded by (seed, block, draw) alone: neither the batch
size, which only splits the model's passes, nor the epsilons, nor the other attacks change a draw. `attacking` is a
generator that says how far it is and returns the curve; `robustness` consumes it unwatched. Distances are the smallest
verified norms over all attacks and epsilons, those of minimal-norm attacks among them, so that "distance ≤ ε" and
"broken at ε" agree in the curve's worst case.

Source: `docs/robustness.md` §2; the division of labour is foolbox's (Rauber, Brendel & Bethge 2017, arXiv:1707.04131).
"""

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eigenfall.parts import spell
from eigenfall.robustness.judging import clean, draws_of, is_minimal, judged
from eigenfall.robustness.sound import need_sound
from eigenfall.stages import consumed
from eigenfall.types import RobustnessCurve, Split, Stage, Threat


def robustness(
    model: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 256,
    block: int = 256,
) -> RobustnessCurve:
    """Right or wrong for each attack, epsilon and input; the worst case is taken per input.

    Args:
        model: logits of inputs; left as it was found.
        attacks: parts of kind attacks by name; one with a setting `draws` is called that many times, one whose
            attribute `minimal` is true once, without epsilon: it breaks an input at every epsilon that its verified
            perturbation does not exceed.
        examples: inputs inside the threat's bounds, and the class of each.
        threat: what a perturbation may be.
        epsilons: budgets, ascending, in the threat's unit; 0 is the clean input.
        generator: its seed, not its position, decides every draw, so that the curve's `seed` rebuilds it.
        batch_size: largest number of inputs in one of the model's passes.
        block: how many inputs an attack is called on at once.

    Raises:
        ValueError: if labels are missing, inputs lie outside the bounds or are not finite, logits are NaN, epsilons do
            not ascend, or an attack proposes what the threat forbids.
    """
    return consumed(attacking(model, attacks, examples, threat, epsilons, generator, batch_size, block))


def attacking(
    model: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 256,
    block: int = 256,
) -> Generator[Stage, None, RobustnessCurve]:
    """As `robustness`, but yields a `Stage` before each (attack, epsilon, block) and returns the curve."""
    need_sound(model, attacks, examples, threat, epsilons, batch_size, block)
    seed, count, budgets = generator.initial_seed(), len(examples), tuple(float(epsilon) for epsilon in epsilons)
    blocks = [slice(first, min(first + block, count)) for first in range(0, count, block)]
    with torch.inference_mode(False):
        right = torch.cat([clean(model, examples, where, threat, seed, batch_size) for where in blocks])
        shape = (len(attacks), len(budgets), count)
        broken, zero = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        flips = torch.zeros(shape, dtype=torch.float64)
        nearest, nearest_l2 = (torch.where(right, math.inf, 0.0).double() for _ in range(2))
        found_by = torch.full((count,), -1)
        radii = torch.tensor(budgets, dtype=torch.float64)[:, None]
    reach, passes = dict.fromkeys(attacks, math.inf), dict.fromkeys(attacks, 0)
    calls: dict[str, tuple[float | None, ...]] = {
        name: (None,) if is_minimal(attack) else budgets for name, attack in attacks.items()
    }
    done, total = 0, sum(map(len, calls.values())) * len(blocks)
    for row, (name, attack) in enumerate(attacks.items()):
        for column, epsilon in enumerate(calls[name]):
            for number, where in enumerate(blocks):
                yield Stage(f"{name}, {'smallest norm' if epsilon is None else f'ε = {epsilon:g}'}", done, total)
                done += 1
                at = (row, slice(None) if epsilon is None else column, where)
                if epsilon == 0:
                    broken[at], flips[at] = ~right[where], (~right[where]).double()
                    continue
                found = judged(model, name, attack, examples, where, threat, epsilon, (seed, number), batch_size)
                wrong = found.broken if epsilon is not None else found.distances <= radii
                broken[at], zero[at] = wrong | ~right[where], found.zero
                flips[at] = found.flips if epsilon is not None else wrong.double()
                closer = found.distances < nearest[where]
                found_by[where] = torch.where(closer, row, found_by[where])
                nearest[where] = nearest[where].minimum(found.distances)
                nearest_l2[where] = nearest_l2[where].minimum(found.distances_l2)
                reach[name], passes[name] = min(reach[name], found.reach), max(passes[name], found.passes)
    ball = threat.norm != "gaussian"
    return RobustnessCurve(
        threat=threat,
        attacks={name: spell(attack) for name, attack in attacks.items()},
        epsilons=budgets,
        broken=broken,
        clean_correct=right,
        flip_probability=flips if any(draws_of(attack) > 1 for attack in attacks.values()) else None,
        zero_gradients=zero,
        distances=nearest if ball else None,
        distances_l2=nearest_l2 if ball else None,
        found_by=found_by if ball else None,
        reach=reach,
        passes=passes,
        seed=seed,
        batch_size=batch_size,
        block=block,
        input_size=examples.inputs[0].numel(),
    )
