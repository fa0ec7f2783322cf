"""How far a rule steps: rates that may fall over the epochs, and changes by their mean or by their largest entry."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from eigenfall.check import need
from eigenfall.types.training import Progress

Schedule = Literal["constant", "linear"]
Step = Literal["mean", "largest"]

TINY = 1e-30
"""What a largest change of exactly 0 is taken for, so that nothing is divided by it."""


def scheduled(rate: float, schedule: Schedule, progress: Progress) -> float:
    """The rate in this epoch: constant, or rate · (1 − e/E) in epoch e = 0 … E − 1."""
    return rate * (1 - progress.epoch / progress.epochs) if schedule == "linear" else rate


def stepped(
    change: Float[Tensor, "seeds units inputs"], inputs: int, step: Step
) -> Float[Tensor, "seeds units inputs"]:
    """A change summed over a batch, in place: its mean over the inputs, or scaled so that a seed's largest entry is 1."""
    if step == "mean":
        return change.div_(inputs)
    low, high = change.flatten(1).aminmax(dim=1)
    return change.div_((-low).maximum(high).clamp(min=TINY)[:, None, None])


def need_rate(rate: float, name: str = "rate") -> None:
    """Refuse a learning rate that is not positive."""
    need(rate > 0, expected=f"a {name} above 0", got=f"{rate}", remedy="Use a small positive one, such as 0.01.")
