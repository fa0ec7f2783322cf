"""A model that draws at random: its gradient is averaged over draws, and its accuracy is a mean over draws.

    gradient of ℓ(z̄, y),   z̄ the mean logits of 20 passes;      accuracy: of 20 further passes, mean and s.d.

One gradient of such a model is mostly noise, so that an attack on it stumbles about; and one pass judges one draw of
the noise. Broken inputs do not leave the batch, as another draw may find them right.

Source: Athalye et al. 2018, arXiv:1802.00420, §4.2 (expectation over transformation).
Differs from the source: the loss of the mean logits, not the mean loss.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from eigenfall.layers import device_of, left_as_found
from eigenfall.objectives import Batched, margin
from eigenfall.stages import seeded
from eigenfall.types import Split, Stage, Threat

DRAWS = 20


class Averaged(nn.Module):
    """Mean logits of several passes of a model.

    Attributes:
        model: the model.
        draws: how many passes.
    """

    def __init__(self, model: nn.Module, draws: int = DRAWS):
        super().__init__()
        self.model = model
        self.draws = draws

    def forward(self, inputs: Tensor) -> Tensor:
        """The mean, pass after pass."""
        total = self.model(inputs)
        for _ in range(self.draws - 1):
            total = total + self.model(inputs)
        return total / self.draws


def averaging(
    model: nn.Module,
    attacks: Mapping[str, Any],
    examples: Split,
    threat: Threat,
    epsilons: Sequence[float],
    seed: int,
    batch_size: int,
    draws: int = DRAWS,
) -> Generator[Stage, None, dict[str, float]]:
    """Accuracy over draws, clean and at each epsilon, under attacks on averaged gradients; a `Stage` before each.

    Args:
        model: logits of inputs, which draws at random; left as it was found.
        attacks: climbing ones by name: the worst of them, by accuracy over all inputs and draws, counts.
        examples: what is attacked, as one block.
        threat: an Linf or L2 ball.
        epsilons: budgets, ascending.
        seed: of every draw.
        batch_size: largest number of inputs in one of the model's passes.
        draws: passes behind a gradient, and behind an accuracy.

    Returns:
        By name and epsilon, `randomised_accuracy 0.1`, and `randomised_spread 0.1`, its standard deviation over draws;
        clean is epsilon 0. `randomised_draws` says how many draws.
    """
    device = device_of(model)
    inputs, targets = examples.inputs.detach().clone().to(device), examples.targets.clone().long().to(device)
    found: dict[str, float] = {"randomised_draws": draws}
    for place, epsilon in enumerate((0.0, *(epsilon for epsilon in epsilons if epsilon > 0))):
        yield Stage(f"averaged gradients, ε = {epsilon:g}", place, len(epsilons) + 1)
        shares = []
        for name, attack in attacks.items() if epsilon else ():
            with left_as_found(model, seed=seed):
                climb, subject = replace(attack, stop_broken=False), Batched(Averaged(model, draws), batch_size)
                moved = climb(subject, inputs.clone(), targets.clone(), threat, epsilon, seeded(seed)).inputs
                threat.check(moved, inputs, epsilon, name)
                shares.append(_shares(model, moved.detach(), targets, batch_size, draws))
        if not epsilon:
            with left_as_found(model, seed=seed):
                shares.append(_shares(model, inputs, targets, batch_size, draws))
        share = min(shares, key=lambda one: float(one.mean()))
        found |= {
            f"randomised_accuracy {epsilon:g}": float(share.mean()),
            f"randomised_spread {epsilon:g}": float(share.std()),
        }
    return found


def _shares(model: nn.Module, inputs: Tensor, targets: Tensor, batch_size: int, draws: int) -> Tensor:
    """Accuracy in each of several passes."""
    batched = Batched(model, batch_size)
    with torch.no_grad():
        return torch.stack([(margin(batched(inputs), targets) > 0).double().mean() for _ in range(draws)])
