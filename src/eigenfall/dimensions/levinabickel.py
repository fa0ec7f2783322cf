"""Levina-Bickel: intrinsic dimension by the likelihood of how many stimuli lie within a distance.

    at stimulus i   dᵢ = (k − 1) / Tᵢ,   Tᵢ = Σ_{j<k} ln(R_k / R_j),   R_j the distance to its j-th neighbour
    over stimuli    harmonic mean: (k − 1) / mean of Tᵢ;   or the mean of dᵢ

Tᵢ has a gamma distribution with shape k − 1 and rate d: the harmonic mean is consistent, and the mean of dᵢ too large
by (k − 1)/(k − 2), which `unbiased` mends.

Source: Levina & Bickel 2004, Advances in Neural Information Processing Systems 17, 777-784; the harmonic mean is that
of MacKay & Ghahramani 2005, www.inference.org.uk/mackay/dimension.
Differs from the source: it averages dᵢ over stimuli, then over a range of k; here k is one number, and the curve over
all smaller ones stands beside it. Stimuli at the same place count once.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.dimensions._neighbours import need_spread, points_of
from eigenfall.types import Dimension, Estimate, Gram, Responses


@dataclass(frozen=True)
class LevinaBickel:
    """Intrinsic dimension from the k nearest neighbours of each stimulus.

    Attributes:
        neighbours: k.
        pooling: "harmonic", over stimuli the mean of 1/dᵢ; or "mean", that of dᵢ.
        unbiased: k − 2 in place of k − 1, which makes each dᵢ unbiased; meant for the mean. The harmonic mean is
            without bias as it is, and becomes too small by it.
    """

    cite: ClassVar[str] = "levina2004"
    neighbours: int = 20
    pooling: Literal["harmonic", "mean"] = "harmonic"
    unbiased: bool = False

    def __post_init__(self) -> None:
        one_of(self.pooling, ("harmonic", "mean"), "pooling")
        need(
            self.neighbours >= 3,
            expected="at least three neighbours",
            got=f"{self.neighbours}",
            remedy="The default is 20; twonn needs two.",
        )

    def __call__(self, responses: Responses | Gram) -> Dimension:
        """Dimension at the scale of k neighbours, and of fewer.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first, in memory or in chunks; or their Gram
                matrix over stimuli.

        Returns:
            The dimension at k neighbours, and its curve from three neighbours to k.

        Raises:
            ValueError: for k distinct stimuli or fewer, values that are not finite, neighbours all at one distance, or
                a Gram matrix over units.

        Example:
            >>> plane = torch.rand(1, 1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            >>> round(LevinaBickel()(Responses(values=plane)).value.value)
            2
        """
        settings = f"neighbours={self.neighbours},pooling={self.pooling},unbiased={str(self.unbiased).lower()}"
        points = points_of(responses, self.neighbours + 1, f"levinabickel:{settings}")
        curve = self._curve(points.nearest(self.neighbours))
        need_spread(float(curve[-1]), points.about.name_of)
        return replace(
            points.about,
            name="levina_bickel",
            value=Estimate(float(curve[-1])),
            scales=torch.arange(3, self.neighbours + 1, dtype=torch.float64),
            by_scale=curve,
            scale="neighbours",
        )

    def _curve(self, distances: Float64[Tensor, "points neighbours"]) -> Float64[Tensor, " scales"]:
        """The dimension for k = 3 … all."""
        logs = distances.log()
        k = torch.arange(1, logs.shape[1] + 1, dtype=torch.float64)
        totals = (k * logs - logs.cumsum(1))[:, 2:]  # Σ_{j<k} (ln R_k − ln R_j)
        factor = (k[2:] - 2) if self.unbiased else (k[2:] - 1)
        return factor / totals.mean(0) if self.pooling == "harmonic" else factor * (1 / totals).mean(0)
