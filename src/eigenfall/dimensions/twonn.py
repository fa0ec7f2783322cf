"""TwoNN: intrinsic dimension from the ratio of the second to the first neighbour's distance.

    μᵢ = r₂ / r₁,   sorted;   F(μᵢ) = i / M for i = 1 … M

    slope        d through the origin of −ln(1 − F) on ln μ, the largest tenth of μ left out
    likelihood   d = (M − 1) / Σ ln μ

Local, where a participation ratio is global: of a curved surface it finds the surface. With scales, as subsets of half,
a quarter, … of the stimuli, whose neighbours are farther away: noise that fills all units shows at the small scale.

Source: Facco, d'Errico, Rodriguez & Laio 2017, Scientific Reports 7, 12140, doi:10.1038/s41598-017-11873-y.
Differs from the source: stimuli at the same place count once. The likelihood is (M − 1) rather than M over the sum,
which makes it unbiased. Subsets of a size share no stimulus and are averaged, as in the source.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from eigenfall.check import need, one_of
from eigenfall.dimensions._neighbours import need_spread, points_of
from eigenfall.stages import seeded
from eigenfall.types import Dimension, Estimate, Gram, Responses

HALVINGS = 7
FEWEST = 20
"""Points that a subset must have."""


@dataclass(frozen=True)
class TwoNN:
    """Intrinsic dimension from two neighbours of each stimulus.

    Attributes:
        estimator: "slope", or "likelihood".
        discard: share of the largest ratios that the slope leaves out, above 0 and below 1.
        seed: of the order in which stimuli are dealt out to subsets; the dimension itself does not depend on it.
    """

    cite: ClassVar[str] = "facco2017"
    estimator: Literal["slope", "likelihood"] = "slope"
    discard: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(self.estimator, ("slope", "likelihood"), "estimator")
        need(
            0 < self.discard < 1,
            expected="discard above 0 and below 1",
            got=f"{self.discard:g}",
            remedy="The source leaves out a tenth: 0.1.",
        )

    def __call__(self, responses: Responses | Gram) -> Dimension:
        """Dimension at the scale of neighbours, and of subsets.

        Args:
            responses: `(repeats, stimuli, units)`, averaged over repeats first, in memory or in chunks; or their Gram
                matrix over stimuli.

        Returns:
            The dimension, and at each share of the stimuli the mean over subsets, as long as these have 20 stimuli.

        Raises:
            ValueError: for fewer than 20 distinct stimuli, values that are not finite, neighbours all at one distance,
                or a Gram matrix over units.

        Example:
            >>> plane = torch.rand(1, 1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            >>> round(TwoNN()(Responses(values=plane)).value.value)
            2
        """
        points = points_of(responses, FEWEST, f"twonn:estimator={self.estimator},discard={self.discard}")
        order = torch.randperm(len(points), generator=seeded(self.seed))
        curve: list[float] = []
        for halving in range(HALVINGS + 1):
            subsets = [order[first :: 2**halving] for first in range(2**halving)]
            if len(subsets[-1]) < FEWEST:
                break
            curve.append(sum(self._of(points.among(subset).nearest(2)) for subset in subsets) / len(subsets))
        need_spread(curve[0], points.about.name_of)
        return replace(
            points.about,
            name="twonn",
            value=Estimate(curve[0]),
            scales=0.5 ** torch.arange(len(curve), dtype=torch.float64),
            by_scale=torch.tensor(curve, dtype=torch.float64),
            scale="share of the stimuli",
        )

    def _of(self, distances: Float64[Tensor, "points 2"]) -> float:
        logs = (distances[:, 1] / distances[:, 0]).log().sort().values
        count = len(logs)
        if self.estimator == "likelihood":
            return float((count - 1) / logs.sum())
        kept = logs[: int(count * (1 - self.discard))]
        y = -torch.log1p(-torch.arange(1, len(kept) + 1, dtype=torch.float64) / count)
        return float((kept * y).sum() / kept.square().sum())
