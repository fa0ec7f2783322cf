"""Perturbed inputs that are wrong beyond doubt, the nearest of them kept, and each drawn towards its input.

What is beyond doubt `objectives.surely_broken` says: fresh predictions in batches of another size find it wrong, too.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.objectives import margin, rows, surely_broken
from eigenfall.types import Epsilon, Threat


def wrong(model: nn.Module, inputs: Tensor, targets: Tensor) -> Bool[Tensor, " batch"]:
    """Whether the model is wrong beyond doubt about each input."""
    with torch.no_grad():
        outputs = model(inputs)
        return surely_broken(outputs, margin(outputs, targets))


class Nearest:
    """The nearest wrong input found so far, for each input: itself, at infinite distance, until there is one.

    Attributes:
        start: the inputs.
        inputs: the nearest wrong ones.
        distances: how far they are, in the threat's norm, `(batch,)`.
    """

    def __init__(self, inputs: Tensor, threat: Threat):
        self.start = inputs
        self.threat = threat
        self.inputs = inputs.clone()
        self.distances = torch.full((len(inputs),), torch.inf, dtype=torch.float64, device=inputs.device)

    @property
    def found(self) -> Bool[Tensor, " batch"]:
        """Whether there is one."""
        return self.distances < torch.inf

    def offer(self, moved: Tensor, are_wrong: Bool[Tensor, " some"], places: Tensor | None = None) -> None:
        """Keep those that are wrong and nearer than what is kept; `places`: which inputs they belong to."""
        places = torch.arange(len(self.start), device=moved.device) if places is None else places
        sizes: Float64[Tensor, " some"] = self.threat.size(moved, self.start[places])
        better = are_wrong & (sizes < self.distances[places])
        self.inputs[places[better]], self.distances[places[better]] = moved[better], sizes[better]

    def shrink(self, model: nn.Module, targets: Tensor, halvings: int) -> None:
        """Draw each towards its input while it stays wrong: bisection of the segment between them.

        Args:
            model: logits of inputs.
            targets: class of each input.
            halvings: how often the segment is halved: what is left of it is 2^−halvings of its length.
        """
        places = (self.found & (self.distances > 0)).nonzero()[:, 0]
        if len(places) == 0:
            return
        start, far, classes = self.start[places], self.inputs[places], targets[places]
        change = far - start
        stay, share = torch.zeros_like(self.distances[places]), torch.ones_like(self.distances[places])
        for _ in range(halvings):
            middle = (stay + share) / 2
            moved = start + rows(middle.to(change), change) * change
            still = wrong(model, moved, classes)
            far = torch.where(rows(still, far), moved, far)
            share, stay = torch.where(still, middle, share), torch.where(still, stay, middle)
        self.offer(far, torch.ones_like(share, dtype=torch.bool), places)


def farthest(inputs: Tensor, threat: Threat) -> Float64[Tensor, " batch"]:
    """Norm of the largest perturbation that the bounds allow; infinite without bounds."""
    if threat.bounds is None:
        return torch.full((len(inputs),), torch.inf, dtype=torch.float64, device=inputs.device)
    low, high = threat.bounds
    corner = torch.where(inputs - low > high - inputs, low, high).to(inputs)
    return threat.size(corner, inputs)


def first_order(
    margins: Float[Tensor, " batch"], gradient: Float[Tensor, "batch ..."], norm: str
) -> Float64[Tensor, " batch"]:
    """How far the linearised margin's zero is: m / ‖∇m‖_*, the dual norm; infinite where the gradient is zero."""
    slopes = gradient.flatten(1).double()
    length = slopes.abs().sum(1) if norm == "Linf" else slopes.norm(dim=1)
    return margins.double().clamp_min(0) / length


def need_no_epsilon(epsilon: Epsilon | None, attack: str) -> None:
    """Refuse a budget for an attack that looks for the smallest perturbation."""
    need(
        epsilon is None,
        expected=f"no epsilon for attack {attack!r}, which looks for the smallest perturbation",
        got=str(epsilon),
        remedy="Give epsilon=None.",
    )
