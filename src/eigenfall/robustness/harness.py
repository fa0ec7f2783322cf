"""Model + attacks + threat + epsilons → curve. Attacks propose; what they propose is verified and judged here.

An attack is called on fixed blocks of inputs with a generator seeded by (seed, block, draw) alone: neither the batch
size, which only splits the model's passes, nor the epsilons, nor the other attacks change a draw. `attacking` is a
generator that says how far it is and returns the curve; `robustness` consumes it unwatched.

Source: `docs/robustness.md` §2; the division of labour is foolbox's (Rauber, Brendel & Bethge 2017, arXiv:1707.04131).
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from eigenfall.check import given, need
from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched, margin
from eigenfall.parts import spell
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
        attacks: parts of kind attacks by name; one with a setting `draws` is called that many times.
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
    _need_sound(model, attacks, examples, threat, epsilons, batch_size, block)
    seed, count, budgets = generator.initial_seed(), len(examples), tuple(float(epsilon) for epsilon in epsilons)
    blocks = [slice(first, min(first + block, count)) for first in range(0, count, block)]
    with torch.inference_mode(False):
        clean = torch.cat([_clean(model, examples, where, threat, seed, batch_size) for where in blocks])
        shape = (len(attacks), len(budgets), count)
        broken, zero = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        flips = torch.zeros(shape, dtype=torch.float64)
        nearest, nearest_l2 = (torch.where(clean, math.inf, 0.0).double() for _ in range(2))
    reach, passes, total = (
        dict.fromkeys(attacks, math.inf),
        dict.fromkeys(attacks, 0),
        math.prod(shape[:2]) * len(blocks),
    )
    done = 0
    for row, (name, attack) in enumerate(attacks.items()):
        for column, epsilon in enumerate(budgets):
            for number, where in enumerate(blocks):
                yield Stage(f"{name}, ε = {epsilon:g}", done, total)
                done += 1
                at = (row, column, where)
                if epsilon == 0:
                    broken[at], flips[at] = ~clean[where], (~clean[where]).double()
                    continue
                found = _judged(model, name, attack, examples, where, threat, epsilon, (seed, number), batch_size)
                broken[at], flips[at], zero[at] = found.broken | ~clean[where], found.flips, found.zero
                nearest[where] = nearest[where].minimum(found.distances)
                nearest_l2[where] = nearest_l2[where].minimum(found.distances_l2)
                reach[name], passes[name] = min(reach[name], found.reach), max(passes[name], found.passes)
    repeated = any(_draws(attack) > 1 for attack in attacks.values())
    return RobustnessCurve(
        threat=threat,
        attacks={name: spell(attack) for name, attack in attacks.items()},
        epsilons=budgets,
        broken=broken,
        clean_correct=clean,
        flip_probability=flips if repeated else None,
        zero_gradients=zero,
        distances=nearest,
        distances_l2=nearest_l2,
        reach=reach,
        passes=passes,
        seed=seed,
        batch_size=batch_size,
        block=block,
        input_size=examples.inputs[0].numel(),
    )


def flip_epsilon(curve: RobustnessCurve) -> Float64[Tensor, " inputs"]:
    """Epsilon at which an input's flip probability crosses one half; 0 for a clean error, infinite if it never does.

    The probability is made monotone in epsilon (running maximum from the clean answer at 0), then interpolated.
    """
    chance = given(
        curve.flip_probability,
        expected="a curve of repeated noise",
        got=f"one of {', '.join(curve.attacks)}",
        remedy="Use the attack `noise` with draws=100.",
    )
    start = (~curve.clean_correct).double()[None]
    chances = torch.cat((start, chance.amax(0))).cummax(0).values
    budgets = torch.tensor((0.0, *curve.epsilons), dtype=torch.float64)
    after = (chances < 0.5).sum(0)
    upper = after.clamp(1, len(budgets) - 1)
    low, high = chances.gather(0, upper[None] - 1)[0], chances.gather(0, upper[None])[0]
    share = (0.5 - low) / torch.where(high > low, high - low, torch.ones_like(low))
    crossing = budgets[upper - 1] + share * (budgets[upper] - budgets[upper - 1])
    return torch.where(after == 0, 0.0, torch.where(after == len(budgets), math.inf, crossing))


def only(curve: RobustnessCurve, name: str) -> RobustnessCurve:
    """One attack's part of a curve. Distances are the whole curve's, so they are left out."""
    row = list(curve.attacks).index(name)
    return RobustnessCurve(
        threat=curve.threat,
        attacks={name: curve.attacks[name]},
        epsilons=curve.epsilons,
        broken=curve.broken[row : row + 1],
        clean_correct=curve.clean_correct,
        flip_probability=None if curve.flip_probability is None else curve.flip_probability[row : row + 1],
        zero_gradients=None if curve.zero_gradients is None else curve.zero_gradients[row : row + 1],
        reach={name: curve.reach[name]},
        passes={name: curve.passes[name]},
        seed=curve.seed,
        batch_size=curve.batch_size,
        block=curve.block,
        input_size=curve.input_size,
    )


# ------------------------------------------------------------------------------ one piece


@dataclass(frozen=True, eq=False)
class _Judged:
    """What one attack did to one block at one epsilon."""

    broken: Bool[Tensor, " block"]
    flips: Float64[Tensor, " block"]
    zero: Bool[Tensor, " block"]
    distances: Float64[Tensor, " block"]
    distances_l2: Float64[Tensor, " block"]
    reach: float
    passes: int


def _judged(
    model: nn.Module,
    name: str,
    attack: Any,
    examples: Split,
    where: slice,
    threat: Threat,
    epsilon: float,
    seeds: tuple[int, int],
    batch_size: int,
) -> _Judged:
    """Call the attack, verify every proposal, and judge it by fresh predictions."""
    draws, device = _draws(attack), device_of(model)
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
                threat.check(proposal.inputs, inputs, epsilon, name)
                moved = proposal.inputs.detach()
                wrong = ~_correct(model, moved, targets, batch_size, where.start)
            flips += wrong.double()
            zero |= proposal.zero_gradients
            reach, passes = min(reach, proposal.reach), passes + proposal.passes
            if wrong.any():
                moved, still = moved[wrong], inputs[wrong]
                size = threat.size(moved, still)
                size = size.clamp_max(epsilon) if threat.norm != "gaussian" else size
                nearest[wrong] = nearest[wrong].minimum(size)
                length = torch.linalg.vector_norm((moved - still).flatten(1), dim=1, dtype=torch.float64)
                length = length.clamp_max(epsilon) if threat.norm == "L2" else length
                nearest_l2[wrong] = nearest_l2[wrong].minimum(length)
        return _Judged(
            broken=(flips > 0).cpu(),
            flips=(flips / draws).cpu(),
            zero=zero.cpu(),
            distances=nearest.cpu(),
            distances_l2=nearest_l2.cpu(),
            reach=reach,
            passes=passes,
        )


def _draws(attack: Any) -> int:
    """How many times an attack is called on the same inputs: its setting `draws`, if it has one."""
    return getattr(attack, "draws", 1)


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


def _clean(
    model: nn.Module, examples: Split, where: slice, threat: Threat, seed: int, batch_size: int
) -> Bool[Tensor, " block"]:
    """Whether each clean input of a block is classified correctly; refuses inputs outside the bounds."""
    inputs, targets = _block(examples, where, device_of(model))
    _need_inside(inputs, threat)
    with left_as_found(model, seed=_seed(seed, where.start, 0)):
        return _correct(model, inputs, targets, batch_size, where.start).cpu()


def _need_inside(inputs: Tensor, threat: Threat) -> None:
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


def _need_sound(
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
