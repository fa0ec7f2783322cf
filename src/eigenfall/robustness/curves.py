"""What a finished curve says: relative accuracy, first flips, the epsilon at which noise flips half of the answers, one
attack's part of it.
"""

import math

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from eigenfall.check import given, need
from eigenfall.types import RobustnessCurve


def flip_epsilon(curve: RobustnessCurve, level: float = 0.5) -> Float64[Tensor, " inputs"]:
    """Epsilon at which an input's flip probability crosses one half; 0 for a clean error, infinite if it never does.

    The probability is made monotone in epsilon (running maximum from the clean answer at 0), then interpolated.

    Args:
        curve: of repeated noise.
        level: crossed instead of one half.
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
    after = (chances < level).sum(0)
    upper = after.clamp(1, len(budgets) - 1)
    low, high = chances.gather(0, upper[None] - 1)[0], chances.gather(0, upper[None])[0]
    share = (level - low) / torch.where(high > low, high - low, torch.ones_like(low))
    crossing = budgets[upper - 1] + share * (budgets[upper] - budgets[upper - 1])
    return torch.where(after == 0, 0.0, torch.where(after == len(budgets), math.inf, crossing))


def relative_accuracy(
    curve: RobustnessCurve, keep: Bool[Tensor, " inputs"] | None = None
) -> Float64[Tensor, " epsilons"]:
    """Accuracy at each epsilon among the inputs that are right when clean; of repeated noise the mean over draws.

    It may rise with epsilon: each one is judged by itself.

    Args:
        curve: of any attacks; an input is wrong if one of them makes it so.
        keep: on which inputs, such as those that all compared models classify correctly; `None`: all.

    Raises:
        ValueError: if no input that is kept is right.
    """
    right = curve.clean_correct if keep is None else curve.clean_correct & keep
    need(
        bool(right.any()),
        expected="at least one input that is right when clean",
        got="none",
        remedy="Relative to no right answer there is no accuracy.",
    )
    wrong = curve.broken.double() if curve.flip_probability is None else curve.flip_probability
    return 1 - wrong.amax(0)[:, right].mean(1)


def first_flip(curve: RobustnessCurve) -> Float64[Tensor, " inputs"]:
    """First epsilon of the grid that breaks each input; 0 for a clean error, infinite if none does.

    As published, and no estimate of a distance: it lies up to a step of the grid above one, and of noise that is drawn
    anew at each epsilon it falls, without end, as the grid grows denser.
    """
    broken = curve.broken.any(0)
    budgets = torch.tensor((*curve.epsilons, math.inf), dtype=torch.float64)
    first = torch.where(broken.any(0), broken.int().argmax(0), len(curve.epsilons))
    return torch.where(curve.clean_correct, budgets[first], 0.0)


def flip_lengths(curve: RobustnessCurve) -> Float64[Tensor, " inputs"]:
    """L2 length of what first flipped each input; 0 for a clean error, infinite if nothing did.

    In a ball the smallest L2 length of what broke it: that of the first flip, where perturbations lengthen with
    epsilon. Of normal noise ε √d, the root of its mean square over d values.
    """
    if curve.threat.norm == "gaussian":
        return first_flip(curve) * math.sqrt(curve.input_size)
    return given(
        curve.distances_l2,
        expected="a curve with the length of what broke each input",
        got=f"one of {', '.join(curve.attacks)} without",
        remedy="One attack's part of a curve has none of its own: run it alone.",
    )


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
