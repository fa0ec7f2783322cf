"""Gates that a layer of Krotov-Hopfield units passes once it has converged.

    W̃ = sgn(W) |W|^(p−1),   I = v W̃ᵀ:   a unit that keeps winning comes to ‖W_μ‖_p = R

    (a)  under a tenth of the units have | ‖W_μ‖_p − R | > .01
    (b)  no unit has mean W_μ < −.35 ‖W_μ‖_p N^(−1/p), and none has under a tenth of its weights above 0
    (c)  at the inputs, if there are any, most units have a positive current somewhere: the layer has not collapsed

Source: the code of Holzhausen et al. 2024, arXiv:2405.00679. Σ|W|^p < 1.1 is the criterion of Talloen, Dambre &
Vandesompele 2021, arXiv:2102.00428, for R = 1; for another R it is 1.1 R^p here.
Differs from the source: its gate (b) asks that no unit's mean lie below −R/2. Power means say |mean| ≤ ‖W‖_p
N^(−1/p), so at norm R only layers of N ≤ 2^p inputs can fail it, and a layer of which every weight is −R N^(−1/p)
passes. It is told beside ours, and decides in the preset `holzhausen2024`. Ours measures a mean by what the unit's
own norm allows: by R, a third of N(0, 1) weights would be flagged at N = 784 and p = 2 before they learn, whose signs
are balanced. A collapsed unit is minus the mean image, whose mean only flat images bring near −1: hence −.35, and
hence (c), which tells a collapsed layer whatever its images (`bench/gates.py`, decision 0025).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eigenfall.check import need
from eigenfall.types import Convergence

_INPUTS = 1000
_SUM = 1.1


@dataclass(frozen=True)
class Gates:
    """When a layer counts as converged.

    Attributes:
        norm: "distance", a unit is off where its norm is further from the radius than `tolerance`; "sum", where
            Σ|W|^p is 1.1 R^p or more, so that short units pass.
        tolerance: of the distance.
        share: gate (a) holds while a smaller share of the units is off.
        mean: a unit is negative if its mean is below −mean · ‖W‖_p N^(−1/p); −1 · that is the lowest that there is.
        positive: a unit is negative, too, if a smaller share of its weights is above 0.
        negative_share: gate (b) holds while no larger share of the units is negative.
        reading: whether the corrected gate (b) decides, or the published one.
    """

    norm: Literal["distance", "sum"] = "distance"
    tolerance: float = 0.01
    share: float = 0.1
    mean: float = 0.35
    positive: float = 0.1
    negative_share: float = 0.0
    reading: Literal["corrected", "holzhausen2024"] = "corrected"

    def __call__(
        self,
        weights: Float[Tensor, "units inputs"],
        p: float,
        radius: float = 1.0,
        inputs: Tensor | Iterable[Tensor] | None = None,
    ) -> Convergence:
        """Judge a layer.

        Args:
            weights: W, one row per unit.
            p: of the norm.
            radius: R, to which winners' norms go.
            inputs: images `(inputs, ...)`, or chunks of them, at which wins are counted, in the weights' own precision;
                `None`: they are not.

        Raises:
            ValueError: if p is below 2, the radius is not positive, there are no units or weights, a weight is not
                finite, or inputs have another size or are none.
        """
        _need_layer(weights, p, radius)
        exact = weights.detach().double()
        norms = torch.linalg.vector_norm(exact, p, dim=1)
        means, positive = exact.mean(1), (exact > 0).double().mean(1)
        off = norms**p >= _SUM * radius**p if self.norm == "sum" else (norms - radius).abs() > self.tolerance
        lowest = norms * exact.shape[1] ** (-1 / p)
        negative = (means < -self.mean * lowest) | (positive < self.positive)
        wins, silent, seen = (None, None, 0) if inputs is None else _wins(weights.detach(), p, inputs)

        norms_hold = float(off.double().mean()) < self.share
        signs_hold = float(negative.double().mean()) <= self.negative_share
        published = not bool((means < -radius / 2).any())
        collapsed = any(float(bad.double().mean()) > 0.5 for bad in (negative, silent) if bad is not None)
        decides = published if self.reading == "holzhausen2024" else signs_hold and not collapsed
        return Convergence(
            p=float(p),
            radius=float(radius),
            norms=norms.cpu(),
            means=means.cpu(),
            variances=exact.var(1, correction=0).cpu(),
            positive=positive.cpu(),
            off=off.cpu(),
            negative=negative.cpu(),
            wins=wins,
            silent=silent,
            inputs=seen,
            norms_hold=norms_hold,
            signs_hold=signs_hold,
            signs_hold_published=published,
            reading=self.reading,
            collapsed=collapsed,
            converged=norms_hold and decides,
        )


PRESETS = {
    "holzhausen2024": Gates(reading="holzhausen2024"),
    "talloen2021": Gates(norm="sum"),
}


def _wins(
    weights: Float[Tensor, "units inputs"], p: float, inputs: Tensor | Iterable[Tensor]
) -> tuple[Int64[Tensor, " units"], Bool[Tensor, " units"], int]:
    """How often each unit had the largest current, the first of several; which were positive nowhere; of how many."""
    effective = (weights.sign() * weights.abs() ** (p - 1)).T.contiguous()
    wins = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
    heard = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    for chunk in _chunks(inputs):
        need(
            chunk[0].numel() == len(effective),
            expected=f"inputs of {len(effective)} values, as the weights have",
            got=f"{chunk[0].numel()}",
            remedy="Give images of the data that the layer learnt.",
        )
        currents = chunk.to(weights).flatten(1) @ effective
        wins += torch.bincount(currents.argmax(1), minlength=len(weights))
        heard |= (currents > 0).any(0)
    seen = int(wins.sum())
    need(seen > 0, expected="at least one input", got="none", remedy="Leave inputs out, or give some.")
    return wins.cpu(), ~heard.cpu(), seen


def _chunks(inputs: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    """Pieces of at most a thousand inputs."""
    for given in (inputs,) if isinstance(inputs, Tensor) else inputs:
        need(
            given.ndim >= 2,
            expected="chunks (inputs, ...)",
            got=f"shape {tuple(given.shape)}",
            remedy="Give a single input a first axis of length 1.",
        )
        if len(given):
            yield from given.split(_INPUTS)


def _need_layer(weights: Float[Tensor, "units inputs"], p: float, radius: float) -> None:
    need(p >= 2, expected="p of 2 or more", got=f"{p:g}", remedy="Below 2 the rule's bracket divides by small weights.")
    need(radius > 0, expected="a radius above 0", got=f"{radius:g}", remedy="1 is usual.")
    need(
        weights.numel() > 0,
        expected="weights of at least one unit and one input",
        got=f"shape {tuple(weights.shape)}",
        remedy="Give (units, inputs).",
    )
    broken = int((~weights.isfinite()).any(1).sum())
    need(
        broken == 0,
        expected="finite weights",
        got=f"NaN or infinity in {broken} of {len(weights)} units",
        remedy="Learning blew up: lower the rate.",
    )
