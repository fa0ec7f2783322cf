"""Square attack: random search over squares of the perturbation. It asks for outputs only, never for a gradient.

    propose x' from x, accept it if m(x') < m(x),   m = z_y − max_{j≠y} z_j

Linf: x' is ε or −ε away from the input in a random square, one sign per channel; the start is vertical stripes of ±ε.
L2: two squares W₁, W₂ of the perturbation ν are chosen. In each channel i, W₂ gives its budget to W₁,

    ν_W₁ ← (ρ η/‖η‖ + ν_W₁/‖ν_W₁‖, to norm one) · √(‖ν_W₁∪W₂‖² + (ε² − ‖ν‖²)/c),   ν_W₂ ← 0,   ρ = ±1,

η two bumps of opposite sign, side by side or one above the other; a bump at distance D of its centre (in the maximum
norm) is Σ_j 1/j², j from D + 1 to half its longer side + 1. The start is a grid of such tiles, five by five.
A square covers the share p of a channel. p starts at `p_init` and is halved after 10, 50, 200, 500, 1000, 2000, 4000,
6000 and 8000 queries of 10 000, scaled to the queries allowed.

Source: Andriushchenko, Croce, Flammarion & Hein 2020, arXiv:1912.00049.
Differs from the source: each input has squares of its own, drawn for all inputs, broken or not, so that no draw depends
on which inputs broke; a square that changes nothing costs a query and is not drawn again; the first query is the input
itself; in an L2 ball the shortest side of a square, three, is less along sides shorter than fifteen.
Only comparisons of margins count: nothing depends on the logits' scale. A flat input of a square number of values is
taken for a picture of one channel, any other for a line, of which squares are windows; give `shape` if it is neither.
Of an input of more than two axes, the last two are the picture and all before them channels.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from eigenfall.attacks._iterates import of
from eigenfall.attacks._squares import painted, shifted, stripes, tiles
from eigenfall.check import need
from eigenfall.objectives import margin, need_ball, rows, surely_broken
from eigenfall.types import Epsilon, Proposal, Threat

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10 000, after which the share of a square is halved."""
SMALLEST = 3
"""Shortest side of a square in an L2 ball, so that two bumps fit; less along a side that holds fewer than five such."""
AT_ONCE = 32
"""Queries whose draws are made together; off a CPU, broken inputs leave after as many."""


@dataclass(frozen=True, eq=False)
class _Search:
    """Inputs in play, a row each, as pictures `(n, channels, height, width)`, and where each search stands."""

    places: Tensor
    inputs: Tensor
    targets: Tensor
    epsilon: Epsilon
    best: Tensor
    lowest: Tensor  # margin there
    gone: Tensor

    def only(self, stay: Tensor) -> "_Search":
        """Those that stay in play."""
        return replace(self, **{name: of(value, stay) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Square:
    """Random search over squares, without gradients.

    Attributes:
        queries: forward passes of each input.
        p_init: share of a channel that the first squares cover.
        shape: channels, height and width of an input whose own shape does not say, joined by /; none: see above.
    """

    cite: ClassVar[str] = "andriushchenko2020"
    queries: int = 5000
    p_init: float = 0.8
    shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        need(
            self.queries >= 2 and 0 < self.p_init <= 1,
            expected="at least two queries, and squares of a share of the input in (0, 1]",
            got=f"queries={self.queries}, p_init={self.p_init:g}",
            remedy="Use queries=5000 and p_init=0.8, which are the defaults.",
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
        """Propose one perturbed input for each input: the first that is broken, else the one of lowest margin.

        Args:
            model: logits of inputs; may be anything that computes them.
            inputs: `(batch, ...)`, inside the threat's bounds.
            targets: class of each input.
            threat: an Linf or L2 ball.
            epsilon: radius, one for all or one per input, in the threat's unit.
            generator: of the squares.

        Returns:
            A proposal whose `passes` are forward passes only.

        Raises:
            ValueError: if the threat is no ball, or `shape` does not hold an input's values.
        """
        need_ball(threat, "square")
        pictures = inputs.detach().reshape(len(inputs), *self._layout(inputs))
        moved = pictures.clone()
        with torch.no_grad():
            outputs = model(inputs)
            margins = margin(outputs, targets)
            search = _Search(
                places=torch.arange(len(inputs), device=inputs.device),
                inputs=pictures,
                targets=targets,
                epsilon=epsilon,
                best=pictures,
                lowest=torch.full_like(margins, math.inf),
                gone=surely_broken(outputs, margins),
            )
            self._searched(model, search, inputs.shape, threat, generator, moved)
        none = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        return Proposal(moved.reshape(inputs.shape), none, passes=self.queries)

    def _layout(self, inputs: Tensor) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        own, values = inputs.shape[1:], inputs[0].numel()
        if self.shape is not None:
            need(
                math.prod(self.shape) == values,
                expected=f"inputs of {math.prod(self.shape)} values, for shape={'/'.join(map(str, self.shape))}",
                got=f"inputs of {values}",
                remedy="Give channels, height and width of an input, or leave shape out.",
            )
            return self.shape
        if len(own) == 1:
            side = math.isqrt(values)
            return (1, side, side) if side * side == values else (1, 1, values)
        return math.prod(own[:-2]), own[-2], own[-1]

    def _window(self, query: int, height: int, width: int, norm: str) -> tuple[int, int]:
        """Height and width of a square at a query; one that does not fit is as large as fits."""
        share = self.p_init / 2 ** sum(query * 10_000 > after * self.queries for after in HALVINGS)
        side = round(math.sqrt(share * height * width))
        tall = side if side <= width else round(share * height)
        wide = side if side <= height else round(share * width)
        return _fitted(tall, height, norm), _fitted(wide, width, norm)

    def _searched(
        self,
        model: nn.Module,
        search: _Search,
        shape: torch.Size,
        threat: Threat,
        generator: torch.Generator,
        moved: Tensor,
    ) -> None:
        """Search until the queries are spent or every input is broken, leaving in `moved` what was found."""
        count, channels, height, width = search.inputs.shape
        euclidean = threat.norm == "L2"
        start = (tiles if euclidean else stripes)(search.inputs, threat, search.epsilon, generator)
        propose, numbers = (shifted, 5) if euclidean else (painted, 2)
        drawn = torch.empty(0)
        for query in range(1, self.queries):
            turn = (query - 1) % AT_ONCE
            if _looked(search.inputs.device, turn):
                if bool(search.gone.any()):
                    moved[search.places] = search.best
                    search = search.only(~search.gone)
                if len(search.places) == 0:
                    return
            if turn == 0:
                drawn = torch.rand((AT_ONCE, count, numbers + channels), generator=generator, device=generator.device)
                drawn = drawn.to(search.inputs)
            if query == 1:
                candidate = start[search.places]
            else:
                window, mine = self._window(query, height, width, threat.norm), drawn[turn][search.places]
                candidate = propose(search.best, search.inputs, threat, search.epsilon, mine, window)
            outputs = model(candidate.reshape(-1, *shape[1:]))
            value = margin(outputs, search.targets)
            lower = ~(value >= search.lowest) & ~search.gone  # a NaN is taken: the harness refuses it
            search = replace(
                search,
                best=torch.where(rows(lower, candidate), candidate, search.best),
                lowest=torch.where(lower, value, search.lowest),
                gone=search.gone | surely_broken(outputs, value),
            )
        moved[search.places] = search.best


def _fitted(length: int, size: int, norm: str) -> int:
    """A square's side within an input's side; odd in an L2 ball, so that bumps have a centre."""
    if norm == "L2":
        length = max(length, min(SMALLEST, size // 5))
        length += 1 - length % 2
    return min(max(length, 1), size)


def _looked(device: torch.device, turn: int) -> bool:
    """Whether the host asks which inputs are broken: off a CPU it would wait for the answer."""
    return turn == 0 or device.type == "cpu"
