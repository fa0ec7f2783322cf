"""What a finished curve says: the epsilon at which noise flips half of the answers, one attack's part of it."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import given
from eigenfall.types import RobustnessCurve


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
