"""What other libraries' attacks are given: inputs in [0, 1], logits that have no scale, and a guard around the call.

    z ↦ τ z/s,  s the detached standard deviation of the input's logits, τ = 3

so that a cross-entropy of theirs does not go blind when logits are large. Two logits less their mean are always ±s:
with two classes s is one number, the mean over the clean inputs, or their losses would not change at all.

Source: `docs/robustness.md` §2-4.
"""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from eigenfall.layers import left_as_found
from eigenfall.objectives import TEMPERATURE, rows
from eigenfall.types import Epsilon, Threat


class Given(nn.Module):
    """A model as a foreign attack sees it: inputs in the unit box, logits that have no scale; its passes are counted.

    Attributes:
        model: the model.
        low: value that 0 of the unit box stands for.
        span: length that 1 of it stands for; with low 0 and span 1 inputs go through as they are.
        scale: one s for all inputs; none: each input's own, or, without `standardise`, the logits as they are.
        standardise: logits become τ z/s.
        seen: inputs that went through so far.
    """

    def __init__(self, model: nn.Module, inputs: Tensor, threat: Threat, reach: float, standardise: bool):
        super().__init__()
        self.model = model
        self.dtype = inputs.dtype
        self.shape = inputs.shape[1:]
        self.standardise = standardise
        if threat.bounds is None:  # a box that no perturbation of this size leaves
            low, high = (float(end) for end in inputs.detach().aminmax())
            self.low, self.span = low - 1.01 * reach, high - low + 2.02 * reach
        else:
            self.low, self.span = threat.bounds[0], threat.bounds[1] - threat.bounds[0]
        self.scale: float | None = None
        self.seen = 0
        with torch.no_grad():
            outputs = model(inputs)
        self.classes = outputs.shape[1]
        self.clean = outputs.argmax(1)
        if self.classes == 2:
            spread = float(outputs.std(1, correction=0).mean())
            self.scale = spread if spread > 0 and math.isfinite(spread) else 1.0
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of inputs in the unit box."""
        self.seen += len(inputs)
        at = inputs.reshape(len(inputs), *self.shape)
        if (self.low, self.span) != (0.0, 1.0):
            at = self.low + self.span * at
        outputs = self.model(at.to(self.dtype))
        if not self.standardise:
            return outputs.clone().to(inputs.dtype)
        if self.scale is not None:
            return (outputs * (TEMPERATURE / self.scale)).to(inputs.dtype)
        spread = outputs.detach().std(1, correction=0, keepdim=True)
        return (TEMPERATURE * outputs / torch.where(spread > 0, spread, 1.0)).to(inputs.dtype)

    def boxed(self, inputs: Tensor) -> Tensor:
        """Inputs in the unit box."""
        return inputs.clone() if (self.low, self.span) == (0.0, 1.0) else ((inputs - self.low) / self.span).clamp(0, 1)

    def unboxed(self, found: Tensor, before: Tensor, inputs: Tensor, threat: Threat) -> Tensor:
        """What was found as the model's own inputs; a value that did not change keeps its every bit."""
        found, before = found.detach().reshape(inputs.shape), before.reshape(inputs.shape)
        moved = found if (self.low, self.span) == (0.0, 1.0) else self.low + self.span * found
        moved = moved.to(inputs) if threat.bounds is None else moved.to(inputs).clamp(*threat.bounds)
        return torch.where(found == before, inputs, moved)

    @property
    def passes(self) -> int:
        """Passes per clean input so far, rounded up."""
        return math.ceil(self.seen / max(len(self.clean), 1))


def without_rounding(threat: Threat, moved: Tensor, inputs: Tensor, epsilon: float) -> Tensor:
    """Perturbations that rounding alone made too large, put back on the edge; any other stays, to be refused."""
    excess = threat.size(moved, inputs) - epsilon
    rounded = (excess > 5e-7) & (excess <= 1e-5 * epsilon)
    if not rounded.any():
        return moved
    inside = threat.project(moved, inputs, epsilon * (1 - 1e-7))
    return torch.where(rows(rounded, moved), inside, moved)


def by_epsilon(epsilon: Epsilon, count: int) -> list[tuple[float, Tensor]]:
    """Each distinct epsilon above zero and the places of its inputs: their attacks take one number."""
    radii = torch.as_tensor(epsilon, dtype=torch.float64).cpu().expand(count)
    return [(float(one), (radii == one).nonzero()[:, 0]) for one in radii.unique() if one > 0]


@contextmanager
def guarded(model: nn.Module, generator: torch.Generator) -> Iterator[int]:
    """The model left as found, every random state seeded and put back, warnings dropped; yields the seed."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    handlers = logging.getLogger().handlers
    before = list(handlers)  # foolbox's first line adds one
    with left_as_found(model, seed=seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield seed
        finally:
            handlers[:] = before
