"""AutoPGD: projected gradient ascent with momentum that halves its own steps where they no longer climb.

    z(k+1) = Π(x(k) + η d),   d = sign g for Linf, g/‖g‖₂ for L2,   g = ∇ℓ(x(k)),   Π: onto the ball, then the bounds
    x(k+1) = Π(x(k) + ¾ (z(k+1) − x(k)) + ¼ (x(k) − x(k−1))),   x(1) = z(1)

η = 2ε at first. At the checkpoints w_j = ⌈p_j T⌉, p_0 = 0, p_1 = .22, p_j+1 = p_j + max(p_j − p_j−1 − .03, .06), η is
halved and the climb goes on from the best iterate if, since the last checkpoint, (1) fewer than three quarters of the
steps raised the loss, or (2) neither η nor the highest loss changed.

Source: Croce & Hein 2020, arXiv:2003.01690, algorithm 1.
Differs from the source: the loss is by default the scale-free cross-entropy `ce_std`, since the raw one goes blind when
logits are large; the presets `croce2020_ce`, `croce2020_dlr` and `croce2020_targeted` climb what the source climbs. A
start is uniform in the ball, or the clean input, where the source's code starts at a distance of ε. Checkpoints are the
paper's, where its code rounds down; as there, (2) says nothing at the first one. An iterate that breaks the input
counts as better than any that does not. An exactly zero gradient takes a random direction and is counted. A broken
input leaves with the iterate that broke it. Whoever stands against all goals returns the iterate of highest loss
towards any. Starts and directions are drawn for all inputs, broken or not, so that no draw depends on which inputs
broke. On a CPU broken inputs leave at each step, elsewhere at checkpoints, so that the host seldom waits: neither
changes a proposal.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from eigenfall.attacks._climb import judged, measured, started, stepped
from eigenfall.attacks._iterates import Found, somewhere, uniform
from eigenfall.check import need
from eigenfall.objectives import Loss, ascent, is_zero, losses, need_ball
from eigenfall.types import Epsilon, Proposal, Threat


def checkpoints(steps: int) -> tuple[int, ...]:
    """Steps before which the step size is judged, ascending; whole percents, so that nothing is rounded."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    return tuple(sorted({-(-percent * steps // 100) for percent in percents[1:]} & set(range(1, steps))))


@dataclass(frozen=True)
class APGD:
    """AutoPGD.

    Attributes:
        loss: what is climbed: margin, dlr, ce_std, or ce (raw cross-entropy, blind to models with large logits).
        steps: gradient steps of each start.
        restarts: how many starts, for each goal class if there are any.
        targets: how many of the most likely wrong classes are climbed towards, one after the other; 0: away from the
            right one; never more than there are.
        start: the first start is the "clean" input, or "random" as the source's; later ones are random. On a perceptron
            a random one left half a point fewer images standing under margin and dlr.
        stop_broken: a broken input leaves the batch; off, it climbs on, which suits an attack on another model.
    """

    cite: ClassVar[str] = "croce2020"
    loss: Loss = "ce_std"
    steps: int = 100
    restarts: int = 1
    targets: int = 0
    start: Literal["clean", "random"] = "random"
    stop_broken: bool = True

    def __post_init__(self) -> None:
        need(
            self.steps >= 1 and self.restarts >= 1 and self.targets >= 0,
            expected="at least one step and one start, and no negative number of goal classes",
            got=f"steps={self.steps}, restarts={self.restarts}, targets={self.targets}",
            remedy="Use steps=100, restarts=1 and targets=0, which are the defaults.",
        )

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        threat: Threat,
        epsilon: Epsilon,
        generator: torch.Generator,
    ) -> Proposal:
        """Propose one perturbed input for each input.

        Args:
            model: logits of inputs.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: radius, one for all or one per input, in the threat's unit.
            generator: of the random starts and directions.

        Returns:
            A proposal whose `reach` is what the steps cover if they are halved at every checkpoint.

        Raises:
            ValueError: if the threat is no ball.
        """
        need_ball(threat, "apgd")
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        found, starts = Found(inputs), 0
        for goal in self._goals(model, inputs, targets):
            for start in range(self.restarts):
                clean = start == 0 and self.start == "clean"
                at = inputs if clean else uniform(inputs, threat, epsilon, generator)
                self._climb(model, at, inputs, targets, goal, threat, epsilon, found, seed + starts * self.steps)
                starts += 1
        return Proposal(found.inputs, found.zero, passes=starts * self.steps, reach=self._reach())

    def _goals(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> list[Tensor | None]:
        """Goal class of each input, one tensor per goal, the most likely wrong class first; none: one climb without."""
        if self.targets == 0:
            return [None]
        with torch.no_grad():
            outputs = model(inputs)
        others = outputs.scatter(1, targets[:, None], -torch.inf)
        return list(others.topk(min(self.targets, outputs.shape[1] - 1), dim=1).indices.T)

    def _reach(self) -> float:
        """How many radii the steps cover if they are halved at every checkpoint."""
        edges = (0, *checkpoints(self.steps), self.steps)
        return sum(2.0 * (end - begin) / 2**place for place, (begin, end) in enumerate(pairwise(edges)))

    def _climb(
        self,
        model: nn.Module,
        at: Tensor,
        inputs: Tensor,
        targets: Tensor,
        goals: Tensor | None,
        threat: Threat,
        epsilon: Epsilon,
        found: Found,
        seed: int,
    ) -> None:
        """Climb from one start, leaving in `found` whatever is better than what stands there."""
        climb = started(at, inputs, targets, goals, epsilon)
        if self.stop_broken:
            climb = climb.only(~found.broken)
        points, since = checkpoints(self.steps), 0
        for count in range(self.steps):
            if len(climb.places) == 0:
                return
            gradient, outputs, value = ascent(model, climb.at, climb.targets, self.loss, climb.goals)
            climb = measured(climb, gradient, outputs, value, self.stop_broken)
            if self.stop_broken and _looked(inputs.device, count in points) and bool(climb.gone.any()):
                stay = ~climb.gone
                climb.only(climb.gone).leave(found)
                climb, gradient = climb.only(stay), gradient[stay]
            if count in points:
                climb, gradient = judged(climb, gradient, count - since)
                since = count
            flat = is_zero(gradient)
            if inputs.device.type != "cpu" or bool(flat.any()):  # asking a GPU would make the host wait: draw always
                gradient = somewhere(gradient, flat, climb.places, inputs.shape, seed + count)
            climb = stepped(climb, gradient, threat, first=count == 0)
        if len(climb.places) == 0:
            return
        with torch.no_grad():
            outputs = model(climb.at)
            value = losses(outputs, climb.targets, self.loss, climb.goals)
        measured(climb, None, outputs, value, self.stop_broken).leave(found)


def _looked(device: torch.device, judged: bool) -> bool:
    """Whether the host asks which inputs are broken: off a CPU it would wait for the answer."""
    return judged or device.type == "cpu"


PRESETS = {
    "croce2020_ce": APGD(loss="ce", steps=100, restarts=1, targets=0, start="random"),
    "croce2020_dlr": APGD(loss="dlr", steps=100, restarts=1, targets=0, start="random"),
    "croce2020_targeted": APGD(loss="dlr", steps=100, restarts=1, targets=9, start="random"),
}
