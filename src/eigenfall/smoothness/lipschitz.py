"""Local Lipschitz constant of a layer around each input, from below: the steepest that was found in a ball.

    L(x, r) = sup over x', x'' in the ball of ‖f(x') − f(x'')‖₂/‖x' − x''‖₂ = sup over x' of ‖J(x')‖₂ ≥
              the largest of ‖J‖₂ and of difference quotients along segments from x to the ball's edge

Source: Weng et al. 2018, arXiv:1801.10578, for sampling in a ball.
Differs from the source: spectral norms of all of a layer's values in place of gradients of a margin, difference
quotients beside them, and no extreme value is extrapolated: what is told was found. A true bound is the product of
norms in `eigenfall.operatornorms`; the truth lies between.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eigenfall.check import need
from eigenfall.layers import left_as_found, values_of
from eigenfall.smoothness._passes import Spread, chunks, need_finite, need_room
from eigenfall.smoothness._singular import bytes_of_rows, drawn, leading, need_iteration
from eigenfall.types import Smoothness


@dataclass(frozen=True)
class Lipschitz:
    """Largest ‖J‖₂ and difference quotient along segments from each input.

    Attributes:
        radius: L2 length of each segment, in input units.
        segments: how many from each input.
        points: places on each segment, evenly spaced, at which ‖J‖₂ is taken, beside the input itself.
        directions: of the segments: "random", or "stretched": the first two along and against the direction that the
            layer stretches most at the input, the others random.
        bounds: lowest and highest value of an input, to which the segments' ends are clipped; none: not clipped.
        exact_values: ‖J‖₂ of layers of up to so many values is exact, of wider ones iterated.
        tolerance: residual at which an iteration stops, as a share of ‖J‖₂².
        steps: most steps of an iteration.
        memory: what the passes may hold at once, in GB; how many inputs go through together follows from it.
        chunk_size: how many inputs go through together, instead of what follows from `memory`.
    """

    cite: ClassVar[str] = "weng2018"
    radius: float = 0.1
    segments: int = 4
    points: int = 4
    directions: Literal["random", "stretched"] = "stretched"
    bounds: tuple[float, float] | None = None
    exact_values: int = 64
    tolerance: float = 1e-4
    steps: int = 200
    memory: float = 1.0
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        need(
            self.radius > 0 and self.segments >= 1 and self.points >= 1,
            expected="a radius above 0, and at least one segment and one point on it",
            got=f"radius={self.radius}, segments={self.segments}, points={self.points}",
            remedy="Use radius=0.1, segments=4 and points=4, which are the defaults.",
        )
        need_iteration(self.exact_values, self.tolerance, self.steps)
        need_room(self.memory, self.chunk_size)

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "inputs ..."], layer: str, generator: torch.Generator
    ) -> Smoothness:
        """The steepest that was found around each input.

        Args:
            model: any module whose rows do not see each other in eval mode; it is left as it was found.
            inputs: `(inputs, ...)`, in the unit of the data set, on the model's device.
            layer: module path, or "outputs" for the logits. A map counts with all its values.
            generator: directions, and starts of iterations, are drawn from it input by input.

        Returns:
            A lower bound of the local Lipschitz constant of each input, in layer units per input unit.

        Raises:
            ValueError: if there are no inputs, the model has no such layer, the layer does not depend on the inputs,
                or a norm is not finite.
        """
        return self._measured(model, inputs, None, layer, generator)

    def between(
        self,
        model: nn.Module,
        inputs: Float[Tensor, "inputs ..."],
        ends: Float[Tensor, "..."],
        layer: str,
        generator: torch.Generator,
    ) -> Smoothness:
        """The same along given segments, such as those to what attacks proposed; `radius` and `directions` are unused.

        Args:
            model: as in a call.
            inputs: where the segments begin.
            ends: where they end; one that ends where it begins counts with ‖J‖₂ alone.
            layer: as in a call.
            generator: of starts of iterations.

        Raises:
            ValueError: as in a call, or if the ends are not as many as the inputs.
        """
        need(
            ends.shape[1:] == inputs.shape and len(ends) >= 1,
            expected=f"ends of shape (segments, {', '.join(map(str, inputs.shape))})",
            got=f"{tuple(ends.shape)}",
            remedy="Stack the perturbed inputs of each attack along a first axis.",
        )
        return self._measured(model, inputs, ends, layer, generator)

    def _measured(
        self, model: nn.Module, inputs: Tensor, ends: Tensor | None, layer: str, generator: torch.Generator
    ) -> Smoothness:
        found, spread, first = [], Spread(), 0
        with left_as_found(model):
            for at, values in chunks(
                model,
                inputs,
                layer,
                self.memory,
                self.chunk_size,
                lambda one: bytes_of_rows(min(one.values, self.exact_values), one.inputs),
                graphs=3,
            ):
                spread.add(values)
                side, iterated = at[0].numel(), values.shape[1] > self.exact_values
                draws = drawn(len(at), (self.segments + 1) * side, generator).to(at.device)
                draws = draws.reshape(len(at), self.segments + 1, side)
                starts = draws[:, 0] if iterated else None
                here = leading(values, at, starts, self.tolerance, self.steps)
                reach = self._ends(at, draws[:, 1:], here.directions) if ends is None else ends[:, first:][:, : len(at)]
                steepest = here.norms
                for end in reach:
                    steepest = steepest.maximum(self._along(model, layer, at.detach(), values.detach(), end, starts))
                found.append(steepest)
                first += len(at)
        steepest = torch.cat(found)
        need_finite(steepest, layer)
        ball = f"L2 radius {self.radius:g}, {self.segments} {self.directions} segments"
        where = ball if ends is None else f"{len(ends)} given segments"
        return Smoothness(
            "local_lipschitz",
            layer,
            steepest.cpu(),
            spread.root_mean_square,
            method=f"lipschitz, {where}, {self.points} points, lower bound",
        )

    def _ends(self, at: Tensor, draws: Tensor, stretched: Tensor) -> Tensor:
        """Where each segment ends, `(segments, some, ...)`."""
        ways = draws / draws.norm(dim=2, keepdim=True)
        if self.directions == "stretched":
            known = torch.stack((stretched, -stretched), 1)[:, : self.segments]
            moves = known.norm(dim=2, keepdim=True) > 0
            ways = torch.cat((torch.where(moves, known, ways[:, : known.shape[1]]), ways[:, known.shape[1] :]), 1)
        ends = at.detach() + self.radius * ways.transpose(0, 1).reshape(-1, *at.shape).to(at)
        return ends if self.bounds is None else ends.clamp(*self.bounds)

    def _along(
        self, model: nn.Module, layer: str, begin: Tensor, values: Tensor, end: Tensor, starts: Tensor | None
    ) -> Float64[Tensor, " some"]:
        """The steepest on one segment of each input: norms at its points, quotients between neighbours.

        The quotient of the whole segment is no larger than the largest of its pieces.
        """
        steepest = torch.zeros(len(begin), dtype=torch.float64, device=begin.device)
        before, left = begin, values
        for point in range(1, self.points + 1):
            at = (begin + (end.to(begin) - begin) * (point / self.points)).detach().requires_grad_()
            reached = values_of(model, at, layer)
            steepest = steepest.maximum(leading(reached, at, starts, self.tolerance, self.steps).norms)
            step = (at.detach().double() - before.double()).flatten(1).norm(dim=1)
            rise = (reached.detach().double() - left.double()).norm(dim=1)
            steepest = steepest.maximum(torch.where(step > 0, rise / torch.where(step > 0, step, 1.0), 0.0))
            before, left = at.detach(), reached.detach()
        return steepest
