"""Competitive learning: each unit comes to the mean direction of the inputs that it wins.

    μ(x) = argmaxₘ wₘ · x,   wₘ ← wₘ + η (dₘ − wₘ), then wₘ ← wₘ / ‖wₘ‖,
    dₘ the direction of Σ x over the inputs of the batch that unit m wins

Source: Rumelhart & Zipser 1985, Cognitive Science 9, doi:10.1016/S0364-0213(85)80010-0.
Differs from the source: rows have a Euclidean length of 1, not a sum of 1, and a batch moves a unit once.
A unit that wins no input of a batch stays where it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from eigenfall.check import need
from eigenfall.types import Progress


@dataclass(frozen=True, eq=False)
class State:
    """A layer in learning.

    Attributes:
        weights: a row for each unit, each of length 1.
        wins: inputs that each unit has won so far.
    """

    weights: Float[Tensor, "seeds units inputs"]
    wins: Int64[Tensor, "seeds units"]


@dataclass(frozen=True)
class Competitive:
    """Competitive learning: the unit with the largest current moves towards the input.

    Attributes:
        learning_rate: η, above 0 and at most 1.
    """

    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        need(
            0 < self.learning_rate <= 1,
            expected="learning_rate above 0 and at most 1",
            got=f"{self.learning_rate:g}",
            remedy="Leave it out for the default.",
        )

    def start(self, inputs: int, units: int, generators: Sequence[torch.Generator]) -> State:
        """Directions drawn at random, one layer for each generator."""
        drawn = torch.stack([torch.randn(units, inputs, generator=generator) for generator in generators])
        return State(normalize(drawn, dim=-1), torch.zeros(len(generators), units, dtype=torch.int64))

    def __call__(
        self,
        state: State,
        batch: Float[Tensor, "seeds batch inputs"],
        progress: Progress,
        generators: Sequence[torch.Generator],
    ) -> State:
        """Learn from one batch; nothing is drawn."""
        winner = (batch @ state.weights.mT).argmax(-1)
        won = one_hot(winner, state.weights.shape[1])
        toward = normalize(won.mT.to(batch.dtype) @ batch, dim=-1)
        moved = normalize(state.weights + self.learning_rate * (toward - state.weights), dim=-1)
        wins = won.sum(1)
        return replace(state, weights=torch.where(wins[..., None] > 0, moved, state.weights), wins=state.wins + wins)

    def layer(self, state: State) -> nn.Module:
        """The map from inputs to currents, of one seed."""
        _, units, inputs = state.weights.shape
        layer = nn.Linear(inputs, units, bias=False, device="meta")
        layer.weight = nn.Parameter(state.weights[0].clone(), requires_grad=False)
        return layer


if __name__ == "__main__":
    import eigenfall
    from eigenfall.datasets.digits import Digits
    from eigenfall.fits.leastsquares import LeastSquares
    from eigenfall.learning import Learning, learn
    from eigenfall.plans import Plan

    rule, images = Competitive(), Digits()().train.inputs.flatten(1)
    *_, last = learn(rule, images, Learning(units=32, epochs=5))
    print(f"{int((last.state.wins == 0).sum())} of 32 units never won")
    answers = rule.layer(last.state)(images)
    plan = Plan(fits=(LeastSquares(first_rank=2, last_rank=20),), draws=0, simulations=0, subsets=0)
    print(eigenfall.measure(answers.double().numpy(), plan=plan))
