"""First-order distance from each input to where the decision changes: what a linear model of its logits would say.

    (z_y − z_j)/‖∇ₓ(z_y − z_j)‖_*,   ‖·‖_* = L2 for an L2 ball, L1 for an Linf ball

j is the runner-up, so that this is m/‖∇m‖_*, or each other class in turn, of which the smallest counts. Exact for a
linear model with all classes; elsewhere neither bound nor estimate with an error: attacks say what is reached.

Source: Elsayed, Krishnan, Mobahi, Regan & Bengio 2018, arXiv:1803.05598.
Differs from the source: nothing is trained with it. Called as a part it has no labels, and y is the model's own
decision; `signed_distances` takes labels, and is negative where the model errs.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import OUTPUTS, left_as_found
from eigenfall.smoothness._passes import Spread, chunks, need_finite, need_room
from eigenfall.types import Smoothness

Norm = Literal["L2", "Linf"]
Others = Literal["runner_up", "all"]


@dataclass(frozen=True)
class Distance:
    """First-order distance to another decision; no multiple of the logits changes it.

    Attributes:
        norm: what the distance is measured in, "L2" or "Linf".
        others: which classes the decision may change to: the "runner_up" alone, or "all", at a reverse pass each.
        memory: what the passes may hold at once, in GB; how many inputs go through together follows from it.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
    """

    cite: ClassVar[str] = "elsayed2018"
    of_decisions: ClassVar[bool] = True  # it says nothing of a layer that decides nothing
    norm: Norm = "L2"
    others: Others = "runner_up"
    memory: float = 1.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        need_room(self.memory, self.chunk_size)

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, generator: torch.Generator
    ) -> Smoothness:
        """Distance of each input from the nearest change of the model's own decision, to first order.

        Args:
            model: any module whose rows do not see each other in eval mode; it is left as it was found.
            inputs: `(inputs, ...)`, in the unit of the data set, on the model's device.
            layer: "outputs" for the logits; of another layer, the decision is which of its values is the largest.
            generator: unused.

        Returns:
            Distances in input units, 0 at a tie, infinite where the margin has no gradient.

        Raises:
            ValueError: if there are no inputs, the model has no such layer, the layer does not depend on the inputs,
                it has fewer than two values, or a gradient is not finite.
        """
        return _measured(self, model, inputs, None, layer)


def signed_distances(
    model: nn.Module,
    inputs: Float[Tensor, "inputs ..."],
    targets: Shaped[Tensor, " targets"],
    norm: Norm = "L2",
    others: Others = "runner_up",
    memory: float = 1.0,
    chunk_size: int | None = None,
) -> Smoothness:
    """First-order distance of each input from the edge of its target's region; negative where the model errs.

    Args:
        model: logits of inputs; it is left as it was found.
        inputs: `(inputs, ...)`, in the unit of the data set.
        targets: class of each input.
        norm: as in `Distance`.
        others: as in `Distance`.
        memory: as in `Distance`.
        chunk_size: as in `Distance`.

    Raises:
        ValueError: as `Distance` does, or if targets and inputs are not as many.
    """
    need(
        len(targets) == len(inputs),
        expected="a target for each input",
        got=f"{len(targets)} targets and {len(inputs)} inputs",
        remedy="Give the class of each input.",
    )
    return _measured(Distance(norm, others, memory, chunk_size), model, inputs, targets, OUTPUTS)


def _measured(part: Distance, model: nn.Module, inputs: Tensor, targets: Tensor | None, layer: str) -> Smoothness:
    found, spread, first = [], Spread(), 0
    with left_as_found(model):
        for at, values in chunks(model, inputs, layer, part.memory, part.chunk_size):
            spread.add(values)
            need(
                values.shape[1] >= 2,
                expected=f"two values or more of {layer!r} to decide between",
                got=f"{values.shape[1]}",
                remedy="Give a model with a logit per class.",
            )
            own = values.detach().argmax(1) if targets is None else targets[first : first + len(at)].to(at.device)
            found.append(_first_order(values, at, own, part.norm, part.others))
            first += len(at)
    distances = torch.cat(found)
    need_finite(torch.where(distances.isinf(), 0.0, distances), layer)  # infinity: the margin does not move
    return Smoothness(
        "first_order_distance",
        layer,
        distances.cpu(),
        spread.root_mean_square,
        method=f"distance, {part.norm}, {'runner-up' if part.others == 'runner_up' else 'all classes'}"
        + (", own decision" if targets is None else ", targets"),
        scaling="free",
    )


def _first_order(values: Tensor, at: Tensor, own: Tensor, norm: Norm, others: Others) -> Float64[Tensor, " some"]:
    """Smallest signed ratio over the other classes."""
    hidden = values.detach().scatter(1, own[:, None], -math.inf)
    if others == "runner_up":
        rivals = [hidden.argmax(1)]
    else:  # the classes in turn, past each input's own
        rivals = [other + (other >= own) for other in range(values.shape[1] - 1)]
    best = torch.full((len(at),), math.inf, dtype=torch.float64, device=at.device)
    for rival in rivals:
        ahead = (values.gather(1, own[:, None]) - values.gather(1, rival[:, None]))[:, 0]
        (gradient,) = torch.autograd.grad(ahead.sum(), at, retain_graph=True)
        slope = gradient.flatten(1).double()
        slope = slope.norm(dim=1) if norm == "L2" else slope.abs().sum(1)
        lead = ahead.detach().double()
        best = torch.minimum(best, torch.where(lead == 0, 0.0, lead / slope))
    return best
