"""DeepFool: step after step to the nearest of the classes' linearised boundaries.

    k* = argmin_k |f_k| / ‖w_k‖_*,   f_k = z_k − z_y,  w_k = ∇f_k,   ‖·‖_* the dual norm
    L2:   r ← r + |f_k*| w_k* / ‖w_k*‖₂²        Linf:   r ← r + |f_k*| sign(w_k*) / ‖w_k*‖₁
    x ← clip(x₀ + (1 + overshoot) r)            until x is wrong

Source: Moosavi-Dezfooli, Fawzi & Frossard 2016, arXiv:1511.04599.
Differs from the source: y is the given class, not the model's answer; a value that stands at its bound and would leave
it is not in w (the source has no bounds); the result is drawn along the segment towards x₀ while it stays wrong, and
the nearest of all wrong iterates is returned.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.objectives import Batched, is_zero, margin, need_ball, surely_broken
from eigenfall.shrinking import Nearest, need_no_epsilon, wrong
from eigenfall.types import Epsilon, Proposal, Threat


@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest linearised boundary.

    Attributes:
        steps: at most so many.
        classes: how many other classes are tried at each step, those of the largest logits at the clean input; none:
            all of them. Each costs a backward pass.
        overshoot: share by which the sum of the steps is lengthened, to land behind the boundary.
        halvings: how often the segment from an input to its result is halved.
    """

    cite: ClassVar[str] = "moosavidezfooli2016"
    minimal: ClassVar[bool] = True
    steps: int = 50
    classes: int | None = 9
    overshoot: float = 0.02
    halvings: int = 10

    def __post_init__(self) -> None:
        need(
            self.steps >= 1 and (self.classes is None or self.classes >= 1) and self.overshoot >= 0,
            expected="at least one step and one class, and no negative overshoot",
            got=f"steps={self.steps}, classes={self.classes}, overshoot={self.overshoot:g}",
            remedy="Use steps=50, classes=9, overshoot=0.02.",
        )

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon | None,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose the nearest wrong input found for each input.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: none.
            generator: not used.

        Raises:
            ValueError: if the threat is no ball, or there is an epsilon.
        """
        need_ball(threat, "deepfool")
        need_no_epsilon(epsilon, "deepfool")
        size = model.batch_size if isinstance(model, Batched) else max(len(inputs), 1)
        alone = model.model if isinstance(model, Batched) else model
        moved, zero, passes = inputs.clone(), torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device), 0
        for first in range(0, len(inputs), size):  # no draws: a batch at a time
            part = slice(first, first + size)
            nearest = Nearest(inputs[part], threat)
            zero[part], used = self._descend(alone, nearest, targets[part], threat)
            nearest.shrink(alone, targets[part], self.halvings)
            moved[part], passes = nearest.inputs, max(passes, used + self.halvings)
        return Proposal(moved, zero, passes=passes)

    def _descend(
        self, model: nn.Module, nearest: Nearest, targets: Tensor, threat: Threat
    ) -> tuple[Bool[Tensor, " batch"], int]:
        """Step until every input is wrong, leaving in `nearest` what is; whose gradient vanished, and the passes."""
        inputs = nearest.start
        nearest.offer(inputs, wrong(model, inputs, targets))
        zero = torch.zeros_like(nearest.found)
        places = (~nearest.found).nonzero()[:, 0]
        at, total = inputs[places], torch.zeros_like(inputs[places])
        others: Tensor | None = None
        passes = 1
        for _ in range(self.steps):
            if len(places) == 0:
                break
            outputs, gaps, slopes, others = self._slopes(model, at, targets[places], others)
            passes += 1 + others.shape[1]
            gone = surely_broken(outputs, margin(outputs, targets[places]))
            nearest.offer(at, gone, places)
            zero[places] |= is_zero(slopes)
            step = _to_boundary(gaps, _free(slopes, at, threat), threat.norm)
            total = total + step
            start = inputs[places]
            at = start + (1 + self.overshoot) * total
            at = at if threat.bounds is None else at.clamp(*threat.bounds)
            stay = ~gone & (step.flatten(1).abs().amax(1) > 0)
            places, at, total, others = places[stay], at[stay], total[stay], others[stay]
        if len(places):
            nearest.offer(at, wrong(model, at, targets[places]), places)
        return zero, passes

    def _slopes(
        self, model: nn.Module, at: Tensor, targets: Tensor, others: Int64[Tensor, "batch others"] | None
    ) -> tuple[
        Float[Tensor, "batch classes"],
        Float[Tensor, "batch others"],
        Float[Tensor, "batch others ..."],
        Int64[Tensor, "batch others"],
    ]:
        """Outputs, f and w of the other classes, and which those are: by default the largest logits here."""
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            outputs = model(at)
            chosen = self._rivals(outputs.detach(), targets) if others is None else others
            gaps = outputs.gather(1, chosen) - outputs.gather(1, targets[:, None])
            slopes = [
                torch.autograd.grad(gaps[:, k].sum(), at, retain_graph=True, allow_unused=True)[0]
                if gaps.requires_grad
                else None
                for k in range(gaps.shape[1])
            ]
        found = torch.stack([torch.zeros_like(at) if slope is None else slope for slope in slopes], 1)
        return outputs.detach(), gaps.detach(), found.detach(), chosen

    def _rivals(self, outputs: Float[Tensor, "batch classes"], targets: Tensor) -> Int64[Tensor, "batch others"]:
        """The other classes that are tried, the largest logit first."""
        count = outputs.shape[1] - 1 if self.classes is None else min(self.classes, outputs.shape[1] - 1)
        return outputs.scatter(1, targets[:, None], -torch.inf).topk(count, dim=1).indices


def _free(slopes: Float[Tensor, "batch others ..."], at: Tensor, threat: Threat) -> Float[Tensor, "batch others ..."]:
    """Slopes without the values that stand at a bound and would leave it."""
    if threat.bounds is None:
        return slopes
    low, high = threat.bounds
    still = at[:, None]
    return torch.where(((still <= low) & (slopes < 0)) | ((still >= high) & (slopes > 0)), 0.0, slopes)


def _to_boundary(
    gaps: Float[Tensor, "batch others"], slopes: Float[Tensor, "batch others ..."], norm: str
) -> Float[Tensor, "batch ..."]:
    """The step to the nearest linearised boundary; zero if none of them has a slope."""
    flat = slopes.flatten(2)
    largest = flat.abs().amax(2, keepdim=True)
    flat = flat / torch.where(largest > 0, largest, 1.0)  # however small the logits are
    length = flat.abs().sum(2) if norm == "Linf" else flat.norm(dim=2)
    distance = gaps.abs() / (length * largest[:, :, 0])
    distance = torch.where(largest[:, :, 0] > 0, distance, torch.inf)
    nearest = distance.argmin(1)
    here = torch.arange(len(gaps), device=gaps.device)
    far, slope, norm_of = distance[here, nearest], flat[here, nearest], length[here, nearest]
    far = torch.where(far < torch.inf, far, 0.0)
    direction = slope.sign() if norm == "Linf" else slope / torch.where(norm_of > 0, norm_of, 1.0)[:, None]
    return (far[:, None] * direction).reshape(gaps.shape[0], *slopes.shape[2:])
